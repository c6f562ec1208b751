//! Whose rows a caller may see and change.

use groundwork_auth::Caller;
use groundwork_core::sea_orm::{ColumnTrait, Condition, EntityTrait, Value};

use super::ColumnOf;

/// Whose rows a caller may see and change, and what a row that they make is stamped with.
#[derive(Clone, Debug)]
pub struct RowPolicy<E: EntityTrait> {
    pub(super) readable: Condition,
    pub(super) writable: Condition,
    pub(super) stamp: Vec<(E::Column, Value)>,
}

impl<E: EntityTrait> RowPolicy<E> {
    /// The caller's own: those that have their id in `owner`, which is set in the rows that they make.
    pub fn own(owner: ColumnOf<E>, caller: &Caller) -> Self {
        let own: Condition = owner.eq(caller.user_id).into();
        Self { readable: own.clone(), writable: own, stamp: vec![(owner, caller.user_id.into())] }
    }

    /// Everybody sees all of them; the caller changes their own.
    pub fn public_own(owner: ColumnOf<E>, caller: &Caller) -> Self {
        Self { readable: Condition::all(), ..Self::own(owner, caller) }
    }

    /// All of them, for everybody who has the scopes.
    pub fn all() -> Self {
        Self { readable: Condition::all(), writable: Condition::all(), stamp: Vec::new() }
    }

    /// Those that match, of which the caller changes those that also match `writable`.
    pub fn matching(readable: Condition, writable: Condition) -> Self {
        Self { writable: Condition::all().add(readable.clone()).add(writable), readable, stamp: Vec::new() }
    }

    /// Sets `column` in the rows that the caller makes.
    #[must_use]
    pub fn stamp(mut self, column: ColumnOf<E>, value: impl Into<Value>) -> Self {
        self.stamp.push((column, value.into()));
        self
    }
}
