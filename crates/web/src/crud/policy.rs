//! Which rows a caller may see and change.

use groundwork_auth::Caller;
use groundwork_core::sea_orm::{ColumnTrait, Condition, EntityTrait, Value};

use super::ColumnOf;

/// Which rows a caller may see and change, and the values that are set in the rows that they create.
///
/// A change is checked twice: the row as it was must be writable, and the row as it becomes, as with `USING` and `WITH
/// CHECK` in PostgreSQL. So nobody can create a row that belongs to another user, or give a row to one. Such a change is
/// refused with `forbidden`, and so is one that refers to a row that does not exist.
#[derive(Clone, Debug)]
pub struct RowPolicy<E: EntityTrait> {
    pub(super) readable: Condition,
    pub(super) writable: Condition,
    pub(super) stamp: Vec<(E::Column, Value)>,
    /// The column with the owner's id, if rows have owners.
    pub(super) owner: Option<E::Column>,
}

impl<E: EntityTrait> RowPolicy<E> {
    /// The caller's own rows: those with the caller's id in `owner`, which is set in the rows that they create.
    pub fn own(owner: ColumnOf<E>, caller: &Caller) -> Self {
        let own: Condition = owner.eq(caller.user_id).into();
        let stamp = vec![(owner, caller.user_id.into())];
        Self { readable: own.clone(), writable: own, stamp, owner: Some(owner) }
    }

    /// Everybody can see all rows; the caller can change their own.
    pub fn public_own(owner: ColumnOf<E>, caller: &Caller) -> Self {
        Self { readable: Condition::all(), ..Self::own(owner, caller) }
    }

    /// Everybody with the scopes can see and change all rows.
    pub fn all() -> Self {
        Self { readable: Condition::all(), writable: Condition::all(), stamp: Vec::new(), owner: None }
    }

    /// The caller can see the rows that match `readable`, and change those that also match `writable`. The conditions
    /// may have sub-selects, for example over the table of a parent.
    pub fn matching(readable: Condition, writable: Condition) -> Self {
        let writable = Condition::all().add(readable.clone()).add(writable);
        Self { readable, writable, stamp: Vec::new(), owner: None }
    }

    /// Sets `column` in the rows that the caller creates.
    #[must_use]
    pub fn stamp(mut self, column: ColumnOf<E>, value: impl Into<Value>) -> Self {
        self.stamp.push((column, value.into()));
        self
    }
}
