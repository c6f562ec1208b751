//! Statements whose text is built once.

use std::{fmt, sync::OnceLock};

use sea_orm::{DbBackend, Statement, StatementBuilder, Value, sea_query::SelectStatement};

use crate::{Timestamp, Uuid};

/// A statement of the builders whose text is built at its first use, once for each database. Building the text of a
/// statement takes longer than sending it.
///
/// The function has to put each parameter into the statement as a value, and nothing else may depend on a parameter.
/// [`plain`](Self::plain) builds the text anew, so a test can compare both.
///
/// ```
/// use groundwork_core::{Uuid, db::CachedStatement, sea_orm::{DbBackend, prelude::Expr, sea_query::{Alias, ExprTrait, Query}}};
///
/// static NOTES: CachedStatement<(Uuid, u64)> = CachedStatement::new(|(owner, limit)| {
///     let mut select = Query::select();
///     select.column(Alias::new("id")).from(Alias::new("notes"));
///     select.and_where(Expr::col(Alias::new("owner")).eq(owner)).limit(limit).take()
/// });
///
/// let of_owner = NOTES.with(DbBackend::Postgres, (Uuid::nil(), 20));
/// assert_eq!(of_owner.sql, r#"SELECT "id" FROM "notes" WHERE "owner" = $1 LIMIT $2"#);
/// assert_eq!(of_owner, NOTES.plain(DbBackend::Postgres, (Uuid::nil(), 20)));
/// ```
pub struct CachedStatement<P> {
    build: fn(P) -> SelectStatement,
    postgres: OnceLock<Text>,
    sqlite: OnceLock<Text>,
}

impl<P> fmt::Debug for CachedStatement<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStatement").field("postgres", &self.postgres).finish_non_exhaustive()
    }
}

/// The text of a statement, and what is bound to its placeholders.
#[derive(Debug)]
struct Text {
    sql: String,
    slots: Vec<Slot>,
}

#[derive(Debug)]
enum Slot {
    /// The parameter with that index.
    Parameter(usize),
    /// A value that is the same in each statement.
    Constant(Value),
}

impl<P: Parameters> CachedStatement<P> {
    /// Creates the statement that `build` builds. Nothing is built yet.
    pub const fn new(build: fn(P) -> SelectStatement) -> Self {
        Self { build, postgres: OnceLock::new(), sqlite: OnceLock::new() }
    }

    /// Returns the statement with these parameters.
    pub fn with(&self, backend: DbBackend, parameters: P) -> Statement {
        let made = match backend {
            DbBackend::Postgres => &self.postgres,
            _ => &self.sqlite,
        };
        let text = made.get_or_init(|| self.text(backend));
        let values = parameters.values();
        let bound = text.slots.iter().filter_map(|slot| match slot {
            Slot::Parameter(index) => values.get(*index).cloned(),
            Slot::Constant(value) => Some(value.clone()),
        });
        Statement::from_sql_and_values(backend, text.sql.clone(), bound)
    }

    /// Returns the same statement, built anew.
    pub fn plain(&self, backend: DbBackend, parameters: P) -> Statement {
        StatementBuilder::build(&(self.build)(parameters), &backend)
    }

    /// Builds the text with samples, which tell the values of the parameters from the others.
    fn text(&self, backend: DbBackend) -> Text {
        let samples = P::samples().values();
        let Statement { sql, values, .. } = self.plain(backend, P::samples());
        let slot = |value: Value| match samples.iter().position(|sample| *sample == value) {
            Some(index) => Slot::Parameter(index),
            None => Slot::Constant(value),
        };
        Text { sql, slots: values.into_iter().flat_map(|values| values.0).map(slot).collect() }
    }
}

/// A value that a [`CachedStatement`] takes.
pub trait Parameter: Into<Value> {
    /// Returns a value that no statement has as a constant, different for each `index`.
    fn sample(index: u8) -> Self;
}

impl Parameter for Uuid {
    fn sample(index: u8) -> Self {
        Self::from_u128(u128::MAX - u128::from(index))
    }
}

impl Parameter for i64 {
    fn sample(index: u8) -> Self {
        Self::MIN + Self::from(index)
    }
}

impl Parameter for u64 {
    fn sample(index: u8) -> Self {
        Self::MAX - Self::from(index)
    }
}

impl Parameter for Timestamp {
    fn sample(index: u8) -> Self {
        Self::MIN + std::time::Duration::from_micros(index.into())
    }
}

/// The parameters of a [`CachedStatement`]: a tuple.
pub trait Parameters {
    /// Returns parameters that differ from each other and from the constants of any statement.
    fn samples() -> Self;
    /// Returns the parameters as values.
    fn values(self) -> Vec<Value>;
}

macro_rules! parameters {
    ($($kind:ident $name:ident $index:literal),+) => {
        impl<$($kind: Parameter),+> Parameters for ($($kind,)+) {
            fn samples() -> Self {
                ($($kind::sample($index),)+)
            }

            fn values(self) -> Vec<Value> {
                let ($($name,)+) = self;
                vec![$($name.into()),+]
            }
        }
    };
}

parameters!(A a 0);
parameters!(A a 0, B b 1);
parameters!(A a 0, B b 1, C c 2);
parameters!(A a 0, B b 1, C c 2, D d 3);
parameters!(A a 0, B b 1, C c 2, D d 3, E e 4);
parameters!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5);
