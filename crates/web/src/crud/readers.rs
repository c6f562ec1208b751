//! Who may see the rows of a resource, as far as that is the same for every caller: for what has no caller, such as events.

use groundwork_auth::{Caller, Scopes};
use groundwork_core::{
    Timestamp, Uuid,
    sea_orm::{ModelTrait, sea_query::ValueType},
};

use super::{ColumnOf, Resource, RowOf, RowPolicy};

/// Who may see the rows of a resource. Taken from the policy of a caller who has the scope to read and nothing else, so a
/// policy that shows some callers more than others counts as the one that shows less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// The owner of the row, see [`owner_of`].
    Owner,
    /// Every caller with the scope to read.
    Everybody,
    /// Conditions of the policy decide, so it takes a caller and a query to know.
    Conditions,
}

impl Readers {
    /// Returns who may see the rows of the resource.
    pub fn of<R: Resource>() -> Self {
        let policy = plain_policy::<R>();
        match policy.owner {
            _ if policy.readable.is_empty() => Self::Everybody,
            Some(_) => Self::Owner,
            None => Self::Conditions,
        }
    }
}

/// Returns the owner of a row, if the rows of the resource have owners.
pub fn owner_of<R: Resource>(row: &RowOf<R>) -> Option<Uuid> {
    owner_in::<R>(owner_column::<R>()?, row)
}

/// The column with the owner's id. It is not that of the caller's own policy: an administrator may have one without owners.
pub(super) fn owner_column<R: Resource>() -> Option<ColumnOf<R>> {
    plain_policy::<R>().owner
}

pub(super) fn owner_in<R: Resource>(column: ColumnOf<R>, row: &RowOf<R>) -> Option<Uuid> {
    <Option<Uuid> as ValueType>::try_from(row.get(column)).ok().flatten()
}

fn plain_policy<R: Resource>() -> RowPolicy<R> {
    R::policy(&Caller {
        user_id: Uuid::nil(),
        session_id: Uuid::nil(),
        scopes: Scopes::parse(R::SCOPES.0),
        expires_at: Timestamp::MAX,
    })
}
