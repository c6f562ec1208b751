//! The tail of the log: one task per server, which reads every event in order and hands it to the hub.
//!
//! A commit on this server, a signal of another one, or a timer wakes it. Nothing else delivers events, so everybody gets
//! them in the order of the log, and a lost signal only delays them.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt;
use groundwork_core::{
    Error, Result,
    events::{
        self, Batch, Model as Event, Position,
        feed::{Personal, Route},
    },
};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        watch,
    },
    time::{Instant, sleep_until},
};

use crate::{
    Realtime, bus::Signal, codes::Close, cursor::Cursor, frame::Frame, hub::Delivery, merge::Merger,
    stats::Counters,
};

/// The maximum number of events in one read.
const BATCH: u64 = 500;
/// The first time to wait for a transaction that holds the tail back; it doubles up to the interval of polling.
const BLOCKED: Duration = Duration::from_millis(2);
/// How long a transaction may hold the tail back before it is measured for how long.
const LATE: Duration = Duration::from_millis(50);
/// How often the epoch of the log is read again while all is well.
const CHECK_EPOCH: Duration = Duration::from_secs(30);

/// How many times longer the tail waits between two reads of a busy log while nobody is connected.
const UNWATCHED: u32 = 8;

/// The place that the tail has reached, and what waits to be merged.
pub(crate) struct Tail {
    realtime: Realtime,
    position: Position,
    merger: Merger,
    merge_at: Option<Instant>,
    blocked: Duration,
    check_epoch: Instant,
    has_failed: bool,
    read_at: Instant,
    /// A busy log is not read again before this time.
    not_before: Instant,
}

impl Tail {
    pub fn new(realtime: Realtime) -> Self {
        Self {
            realtime,
            position: Position::default(),
            merger: Merger::default(),
            merge_at: None,
            blocked: BLOCKED,
            check_epoch: Instant::now(),
            has_failed: true,
            read_at: Instant::now(),
            not_before: Instant::now(),
        }
    }

    /// Reads the log without end.
    pub async fn run(mut self) {
        let realtime = self.realtime.clone();
        let mut appended = realtime.db().appended();
        let mut signals = realtime.bus().subscribe();
        loop {
            // A panic must not end delivery. The place is that before the batch, which comes again.
            let step = AssertUnwindSafe(self.step()).catch_unwind().await;
            if self.merge_at.is_some_and(|at| at <= Instant::now()) {
                self.flush();
            }
            let wait = match step.unwrap_or_else(|_| Err(Error::internal("reading the log panicked"))) {
                Ok(Some(wait)) => wait,
                Ok(None) => continue,
                Err(error) => {
                    if !self.has_failed {
                        tracing::warn!(%error, "the event log can't be read; live delivery goes on when it can");
                    }
                    self.has_failed = true;
                    self.measure_failure();
                    realtime.options().poll
                }
            };
            if !self.wait(Instant::now() + wait, &mut appended, &mut signals).await {
                return;
            }
        }
    }

    /// Waits until the log may have grown, or until `until`. Returns false when the database is closed.
    async fn wait(
        &mut self,
        until: Instant,
        appended: &mut watch::Receiver<u64>,
        signals: &mut broadcast::Receiver<Arc<Signal>>,
    ) -> bool {
        loop {
            let next = self.merge_at.map_or(until, |merge_at| until.min(merge_at));
            let wake = tokio::select! {
                changed = appended.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                    self.realtime.bus().send(Signal::LogGrew);
                    true
                }
                signal = signals.recv() => match signal.as_deref() {
                    Ok(Signal::Hint(hint)) => {
                        self.realtime.take_hint(hint);
                        false
                    }
                    Ok(Signal::LogGrew) | Err(RecvError::Lagged(_)) => true,
                    // No signal comes any more, and the timer does the rest.
                    Err(RecvError::Closed) => {
                        sleep_until(next).await;
                        false
                    }
                },
                () = sleep_until(next) => false,
            };
            if self.merge_at.is_some_and(|at| at <= Instant::now()) {
                self.flush();
            }
            if wake || until <= Instant::now() {
                break;
            }
        }
        self.pace(appended, signals).await;
        true
    }

    /// Waits a moment if the log is busy, so that one read takes what many transactions wrote. What the database and the
    /// server spend on the tail then has a bound, however many commits there are.
    async fn pace(
        &self,
        appended: &mut watch::Receiver<u64>,
        signals: &mut broadcast::Receiver<Arc<Signal>>,
    ) {
        if self.not_before <= Instant::now() {
            return;
        }
        sleep_until(self.not_before).await;
        // The next read takes what these tell of.
        if appended.has_changed().unwrap_or(false) {
            appended.mark_unchanged();
            self.realtime.bus().send(Signal::LogGrew);
        }
        while let Ok(signal) = signals.try_recv() {
            if let Signal::Hint(hint) = &*signal {
                self.realtime.take_hint(hint);
            }
        }
    }

    /// After a read that found something, the next one has to wait. After one that found nothing, none has: an event after
    /// a quiet time is delivered at once.
    fn plan(&mut self, has_found: bool) {
        let now = Instant::now();
        let options = self.realtime.options();
        let pace = if self.realtime.hub().is_empty() { options.pace * UNWATCHED } else { options.pace };
        self.not_before = if has_found { now + pace.min(options.poll) } else { now };
    }

    /// Reads and delivers one batch. Returns how long to wait for more; `None` for not at all.
    async fn step(&mut self) -> Result<Option<Duration>> {
        if self.has_failed || self.check_epoch <= Instant::now() {
            self.follow_epoch().await?;
        }
        let poll = self.realtime.options().poll;
        let batch = events::read(self.realtime.db().reader(), self.position, BATCH).await?;
        self.observe(&batch);
        self.measure(&batch).await?;
        if batch.floor > self.position {
            tracing::warn!("events were removed before they were read; all clients have to load afresh");
            self.realtime.hub().end_all(Close::LOG_RESTARTED);
        }
        self.plan(!batch.events.is_empty());
        let is_full = batch.events.len() as u64 == BATCH;
        if let Some(last) = batch.events.last().map(Event::place) {
            self.deliver(&batch.events).await?;
            self.position = last;
        }
        self.position = self.position.max(batch.floor);
        if is_full {
            return Ok(None);
        }
        if !batch.is_blocked {
            self.blocked = BLOCKED;
            return Ok(Some(poll));
        }
        let wait = self.blocked;
        self.blocked = (wait * 2).min(poll);
        Ok(Some(wait))
    }

    /// Tells the observers of the database what was read, before it is delivered: a session that ended is forgotten before its
    /// connections are looked for, so that no new one is let in afterwards.
    fn observe(&self, batch: &Batch) {
        let observers = self.realtime.db().observers();
        if batch.floor > self.position {
            observers.tell_gap();
        }
        for event in &batch.events {
            observers.tell(&event.subject_kind, event.subject_id);
        }
    }

    /// Begins at the end of the log, at first and after it was restored or moved. A log that was only out of reach goes on
    /// from where it was.
    async fn follow_epoch(&mut self) -> Result<()> {
        let reader = self.realtime.db().reader();
        let epoch = events::epoch(reader).await?;
        self.check_epoch = Instant::now() + CHECK_EPOCH;
        if self.realtime.epoch() != Some(epoch) {
            let is_first = self.realtime.epoch().is_none();
            if !is_first {
                // In a moved log the old places would hold the new ones back. At the start the service does this.
                events::adopt(self.realtime.db()).await?;
            }
            let epoch = events::epoch(reader).await?;
            self.position = events::horizon(reader).await?;
            // What was before this place is not read.
            self.realtime.db().observers().tell_gap();
            self.merger = Merger::default();
            self.merge_at = None;
            self.realtime.set_epoch(epoch);
            if !is_first {
                tracing::warn!("the event log was restored or moved; all clients have to load afresh");
                self.realtime.hub().end_all(Close::LOG_RESTARTED);
            }
        } else if self.has_failed {
            tracing::info!("the event log can be read again");
        }
        self.has_failed = false;
        Ok(())
    }

    /// Measures how far the tail is behind: the age of what it just read, or of what a transaction holds back.
    async fn measure(&mut self, batch: &Batch) -> Result<()> {
        let db = self.realtime.db();
        let lag = match batch.events.first() {
            Some(oldest) => db.now().since(oldest.created_at),
            None if batch.is_blocked && self.blocked > LATE => events::lag(db).await?,
            None => Duration::ZERO,
        };
        let counters = &self.realtime.hub().counters;
        counters.lag_ms.store(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        Counters::add(&counters.read, batch.events.len() as u64);
        Counters::add(&counters.reads, 1);
        self.read_at = Instant::now();
        Ok(())
    }

    /// The log can't be read: the lag grows.
    fn measure_failure(&self) {
        let lag = u64::try_from(self.read_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.realtime.hub().counters.lag_ms.store(lag, Ordering::Relaxed);
    }

    async fn deliver(&mut self, events: &[Event]) -> Result<()> {
        let (feeds, hub) = (self.realtime.feeds(), Arc::clone(self.realtime.hub()));
        if hub.is_empty() {
            // Whoever connects from now on reads what they follow when these events are committed.
            return Ok(());
        }
        let reader = self.realtime.db().reader();
        let routes: Vec<Route> = events.iter().map(|event| feeds.route(event)).collect();
        let pairs: Vec<(&Event, &Route)> = events.iter().zip(&routes).collect();
        let wanted = hub.wanted(&pairs);
        let indexes: Vec<usize> =
            wanted.iter().enumerate().filter(|(_, wanted)| **wanted).map(|(index, _)| index).collect();
        let shown_events: Vec<Event> =
            indexes.iter().filter_map(|index| events.get(*index)).cloned().collect();
        let shown = feeds.show(reader, &shown_events).await?;
        let personal_of: Vec<_> = indexes
            .iter()
            .zip(&shown)
            .enumerate()
            .flat_map(|(place, (index, shown))| {
                let personal = shown.as_ref().map_or(Personal::Nobody, |shown| shown.personal);
                let pair = pairs.get(*index);
                let users = pair.map(|(event, route)| hub.personal_of(event, route, personal));
                users.unwrap_or_default().into_iter().map(move |user| (place, user))
            })
            .collect();
        let personal = feeds.personal(reader, &shown_events, &personal_of).await?;
        let mut shown = indexes.iter().copied().zip(shown).enumerate().peekable();
        let mut before = self.position;
        for (index, (event, route)) in pairs.into_iter().enumerate() {
            let mine = shown.next_if(|(_, (shown, _))| *shown == index);
            let (place, shown) = mine.map_or((usize::MAX, None), |(place, (_, shown))| (place, shown));
            if event.kind == groundwork_auth::session::SESSION_ENDED
                && let Some(user) = event.user_id
            {
                hub.end_session(user, event.subject_id);
            }
            let cursor = self.realtime.cursor(self.merger.reached(event.place())).encode();
            let delivery = Delivery { event, route, shown, index: place, personal: &personal, cursor };
            hub.deliver(&delivery, before, &mut self.merger);
            before = event.place();
            for (user, follow) in &route.joins {
                self.realtime.joined(*user, follow);
            }
            if route.reloads
                && let Some(user) = event.user_id
            {
                self.realtime.reload(user);
            }
        }
        if !self.merger.is_empty() {
            let wait = self.realtime.options().merge;
            self.merge_at.get_or_insert_with(|| Instant::now() + wait);
        }
        Ok(())
    }

    /// Sends what has waited to be merged.
    fn flush(&mut self) {
        self.merge_at = None;
        for (group, reached) in self.merger.take(self.position) {
            let cursor: Cursor = self.realtime.cursor(reached);
            let frame = Frame::event(&group.head(), cursor.encode(), &group.data());
            self.realtime.hub().send_to_followers(group.subject, &Arc::new(frame), None);
        }
    }
}
