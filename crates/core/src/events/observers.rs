//! Functions that learn of events at once, to drop what they remember of a subject.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use uuid::Uuid;

/// What an observer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// This subject had an event.
    Subject(Uuid),
    /// Events may have been missed, so any subject may have changed.
    Anything,
}

/// A kind of subject, and who observes it.
type Observer = (&'static str, Arc<dyn Fn(Observed) + Send + Sync>);

/// The observers of the events of one database. Those of this process tell them after their commit, and whoever reads the
/// log tells them of all others. An event may be told twice, and in any order.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
///
/// use groundwork_core::{Uuid, events::{Observed, Observers}};
///
/// let observers = Observers::default();
/// let count = Arc::new(AtomicU32::new(0));
/// let counter = Arc::clone(&count);
/// observers.observe("user", move |_: Observed| { counter.fetch_add(1, Ordering::SeqCst); });
/// observers.tell("user", Uuid::nil());
/// observers.tell("book", Uuid::nil());
/// observers.tell_gap();
/// assert_eq!(count.load(Ordering::SeqCst), 2);
/// ```
#[derive(Clone, Default)]
pub struct Observers(Arc<RwLock<Vec<Observer>>>);

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observers")
    }
}

impl Observers {
    /// Adds an observer of the events of subjects of that kind. It must not block.
    pub fn observe(&self, subject_kind: &'static str, observer: impl Fn(Observed) + Send + Sync + 'static) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.push((subject_kind, Arc::new(observer)));
    }

    /// Tells the observers of an event of this subject.
    pub fn tell(&self, subject_kind: &str, subject: Uuid) {
        for (kind, observer) in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if *kind == subject_kind {
                observer(Observed::Subject(subject));
            }
        }
    }

    /// Tells all observers that events may have been missed.
    pub fn tell_gap(&self) {
        for (_, observer) in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            observer(Observed::Anything);
        }
    }

    /// Whether somebody observes subjects of that kind.
    pub(crate) fn has(&self, subject_kind: &str) -> bool {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().any(|(kind, _)| *kind == subject_kind)
    }
}
