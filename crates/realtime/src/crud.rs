//! The events of a [`Resource`], live.
//!
//! ```ignore
//! let live = [LiveResource::of::<bookmark::Entity>()];
//! Realtime::new(db, authenticator, bus, LiveResource::feeds(&live)?, None, options);
//! Contract::new().with(&live);
//! ```
//!
//! Nobody sees more of a row by its events than by `GET`. The resource's policy decides, as it is for a caller who has the
//! scope to read and nothing else ([`Readers`]):
//!
//! - own rows: the owner gets the events of a row, also of changes that somebody else made;
//! - rows that everybody may read: everybody with the scope to read gets them;
//! - a policy with conditions of its own is refused at the start, as the events do not say whom the conditions select. Such a
//!   resource needs a [`Feed`] of its own.
//!
//! An administrator whom the policy shows more than others gets no events of these rows.
//!
//! The data of an event is the row as it is now, as the routes return it. If the row is deleted by now, or no longer the
//! user's, the data is its `id` alone.

use std::{collections::HashMap, fmt, marker::PhantomData, sync::Arc};

use groundwork_core::{
    Error, Reader, Result, Uuid,
    events::{
        self, Model as Event, Position,
        feed::{Audience, BoxFuture, Feed, Personal, Route, Shown, Span},
    },
};
use groundwork_web::{
    Resource,
    crud::{Readers, RowOf, owner_of},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use serde_json::{Map, Value as Json, json};

use crate::asyncapi::Contract;

/// How many events of the log one statement goes through in search of those that everybody may see.
const SCAN: u64 = 20_000;

/// Returns the feed of a resource's events.
///
/// # Errors
/// `internal` if the resource's policy has conditions of its own.
pub fn feed<R: Resource>() -> Result<Arc<dyn Feed>> {
    let is_public = match Readers::of::<R>() {
        Readers::Owner => false,
        Readers::Everybody => true,
        Readers::Conditions => {
            return Err(Error::internal(format!(
                "the resource {} can't be live by its policy: who may see a row depends on conditions, which its events \
                 don't have; write a Feed for it",
                R::NAME
            )));
        }
    };
    Ok(Arc::new(CrudFeed::<R> { is_public, resource: PhantomData }))
}

/// A resource whose events are live, for a service's list of them.
#[derive(Clone, Copy, Debug)]
pub struct LiveResource {
    feed: fn() -> Result<Arc<dyn Feed>>,
    pub(crate) describe: fn(Contract) -> Contract,
}

impl LiveResource {
    /// The resource `R`.
    pub fn of<R: Resource>() -> Self {
        Self { feed: feed::<R>, describe: Contract::resource::<R> }
    }

    /// Returns the feeds of these resources.
    ///
    /// # Errors
    /// As for [`feed`].
    pub fn feeds(all: &[Self]) -> Result<Vec<Arc<dyn Feed>>> {
        all.iter().map(|resource| (resource.feed)()).collect()
    }
}

struct CrudFeed<R> {
    is_public: bool,
    resource: PhantomData<fn() -> R>,
}

impl<R: Resource> fmt::Debug for CrudFeed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrudFeed").field("resource", &R::NAME).field("is_public", &self.is_public).finish()
    }
}

impl<R: Resource> Feed for CrudFeed<R> {
    fn subjects(&self) -> &'static [&'static str] {
        const { &[R::NAME] }
    }

    fn route(&self, _: &Event) -> Route {
        Route::to(if self.is_public { Audience::Everyone } else { Audience::Concerned })
    }

    fn show<'a>(
        &'a self,
        conn: &'a Reader,
        events: &'a [Event],
    ) -> BoxFuture<'a, Result<Vec<Option<Shown>>>> {
        Box::pin(async move {
            let ids = events.iter().filter(|event| !is_deletion::<R>(event)).map(|event| event.subject_id);
            let rows = R::find().filter(R::ID.is_in(ids)).filter(R::DELETED_AT.is_null()).all(conn).await?;
            let rows: HashMap<Uuid, RowOf<R>> = rows.into_iter().map(|row| (R::id_of(&row), row)).collect();
            events.iter().map(|event| self.show_one(event, &rows).map(Some)).collect()
        })
    }

    fn catch_up<'a>(
        &'a self,
        conn: &'a Reader,
        user: Uuid,
        span: Span,
        limit: u64,
    ) -> BoxFuture<'a, Result<Vec<Event>>> {
        Box::pin(async move {
            if self.is_public {
                return scan::<R>(conn, span, limit).await;
            }
            find::<R>(conn, Some(user), span, limit).await
        })
    }
}

impl<R: Resource> CrudFeed<R> {
    fn show_one(&self, event: &Event, rows: &HashMap<Uuid, RowOf<R>>) -> Result<Shown> {
        let row = rows.get(&event.subject_id).filter(|row| {
            !is_deletion::<R>(event) && (self.is_public || owner_of::<R>(row) == event.user_id)
        });
        let data = match row {
            Some(row) => object(R::Output::from(row.clone()))?,
            None => [("id".to_owned(), json!(event.subject_id))].into_iter().collect(),
        };
        Ok(Shown { scope: R::SCOPES.0, data, personal: Personal::Nobody, merge: None })
    }
}

/// The row may be restored by now; the event says that it was deleted.
fn is_deletion<R: Resource>(event: &Event) -> bool {
    event.kind.strip_prefix(R::NAME) == Some(".deleted")
}

fn object(output: impl serde::Serialize) -> Result<Map<String, Json>> {
    match serde_json::to_value(output).map_err(Error::internal)? {
        Json::Object(members) => Ok(members),
        _ => Err(Error::internal("the output of a live resource must be a JSON object")),
    }
}

/// The events of the resource in the span: those that concern the user, or all.
async fn find<R: Resource>(conn: &Reader, user: Option<Uuid>, span: Span, limit: u64) -> Result<Vec<Event>> {
    let found = within(conn, user, span)
        .filter(events::Column::SubjectKind.eq(R::NAME))
        .order_by_asc(events::Column::Stamp)
        .order_by_asc(events::Column::Position)
        .limit(limit);
    Ok(found.all(conn).await?)
}

/// The events of the resource in the span. No index is on the kind of the subject, as every event would pay for it, so this
/// goes through the log in short steps.
async fn scan<R: Resource>(conn: &Reader, span: Span, limit: u64) -> Result<Vec<Event>> {
    let (mut found, mut after) = (Vec::new(), span.after);
    loop {
        let until = place_after(conn, Span { after, ..span }).await?;
        let step = Span { after, until: until.unwrap_or(span.until) };
        let missing = limit.saturating_sub(u64::try_from(found.len()).unwrap_or(limit));
        found.extend(find::<R>(conn, None, step, missing).await?);
        match until {
            Some(until) if (found.len() as u64) < limit => after = until,
            _ => return Ok(found),
        }
    }
}

/// The place of the last event of the next step; `None` if the span ends before.
async fn place_after(conn: &Reader, span: Span) -> Result<Option<Position>> {
    let place: Option<(i64, i64)> = within(conn, None, span)
        .select_only()
        .columns([events::Column::Stamp, events::Column::Position])
        .order_by_asc(events::Column::Stamp)
        .order_by_asc(events::Column::Position)
        .offset(SCAN - 1)
        .limit(1)
        .into_tuple()
        .one(conn)
        .await?;
    Ok(place.map(|(stamp, number)| Position { stamp, number }))
}

/// The events of the span that concern the user, or all.
fn within(conn: &Reader, user: Option<Uuid>, span: Span) -> sea_orm::Select<events::Entity> {
    use events::Column as E;
    let Span { after, until } = span;
    let mut found = events::Entity::find();
    if let Some(user) = user {
        found = found.filter(E::UserId.eq(user));
    }
    if conn.get_database_backend() == DbBackend::Sqlite {
        // Every `stamp` is 0. By a pair, SQLite would look up its first column alone, and read on from the begin of the log.
        let number = E::Position;
        return found.filter(E::Stamp.eq(0)).filter(number.gt(after.number)).filter(number.lte(until.number));
    }
    // The bounds begin with the user, so that they are only served by the index of users. PostgreSQL knows little of the newest
    // events, and may take the index of places for the better one.
    let columns = user.map(|_| E::UserId).into_iter().chain([E::Stamp, E::Position]);
    let place = Expr::tuple(columns.map(Expr::col));
    let at = |position: Position| {
        let user = user.map(Expr::from);
        Expr::tuple(user.into_iter().chain([position.stamp.into(), position.number.into()]))
    };
    found.filter(place.clone().gt(at(after))).filter(place.lte(at(until)))
}
