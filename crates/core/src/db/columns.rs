//! Reading a row by the places of its columns.

use sea_orm::{DbErr, QueryResult, TryGetable};

/// Reads the columns of a row one after the other. A name is looked up for each value of each row, a place is not.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    row: &'a QueryResult,
    next: usize,
}

impl<'a> Columns<'a> {
    /// Begins with the first column.
    pub fn of(row: &'a QueryResult) -> Self {
        Self { row, next: 0 }
    }

    /// Reads the next column.
    pub fn read<T: TryGetable>(&mut self) -> Result<T, DbErr> {
        let place = self.next;
        self.next += 1;
        self.row.try_get_by_index(place)
    }
}
