//! The plans of the statements that a test runs on PostgreSQL.

use std::{
    iter,
    sync::{Mutex, PoisonError},
};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use sea_orm_migration::async_trait::async_trait;

/// A connection that explains each statement that reads, before it runs it.
#[derive(Debug)]
pub struct Explain<'a, C> {
    conn: &'a C,
    plans: Mutex<Vec<Plan>>,
}

/// How PostgreSQL runs a statement.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The statement.
    pub sql: String,
    /// The lines of `EXPLAIN`.
    pub lines: Vec<String>,
}

/// Makes PostgreSQL plan for tables that have that many rows: the statistics are those of the rows that are there, and the
/// number of rows is the one that is given. They stay as they are until the transaction ends, as autovacuum is off for the tables. With less than
/// 30,000 rows there is nothing random in them, as all rows are read for them.
pub async fn pretend_large<C: ConnectionTrait>(conn: &C, tables: &[(&str, u64)]) -> Result<(), DbErr> {
    // The statements run as well, with few rows, for which compiling them takes long.
    conn.execute_unprepared("SET LOCAL jit = off").await?;
    for (table, rows) in tables {
        conn.execute_unprepared(&format!("ALTER TABLE {table} SET (autovacuum_enabled = false)")).await?;
        conn.execute_unprepared(&format!("ANALYZE {table}")).await?;
        // As if it was just vacuumed, so that it makes no difference whether it was.
        let sql = format!(
            "UPDATE pg_class SET reltuples = {rows}, relpages = pg_relation_size(oid) / 8192,
                relallvisible = pg_relation_size(oid) / 8192
             WHERE oid = '{table}'::regclass"
        );
        conn.execute_unprepared(&sql).await?;
    }
    Ok(())
}

impl<'a, C: ConnectionTrait> Explain<'a, C> {
    /// Wraps `conn`, a connection to PostgreSQL.
    pub fn new(conn: &'a C) -> Self {
        Self { conn, plans: Mutex::default() }
    }

    /// Returns the plans of the statements since the last call.
    pub fn take(&self) -> Vec<Plan> {
        std::mem::take(&mut self.plans.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn explain(&self, statement: &Statement) -> Result<(), DbErr> {
        let mut explain = statement.clone();
        explain.sql.insert_str(0, "EXPLAIN ");
        let rows = self.conn.query_all_raw(explain).await?;
        let lines = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
        let plan = Plan { sql: statement.sql.clone(), lines };
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).push(plan);
        Ok(())
    }
}

#[async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Explain<'_, C> {
    fn get_database_backend(&self) -> DbBackend {
        self.conn.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.conn.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.conn.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.explain(&statement).await?;
        self.conn.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.explain(&statement).await?;
        self.conn.query_all_raw(statement).await
    }
}

impl Plan {
    /// Returns the tables that are read in the order of their rows on the disk.
    pub fn scanned(&self) -> Vec<&str> {
        self.scans().map(|(_, table)| table).collect()
    }

    /// As [`scanned`](Self::scanned), without those tables whose scan ends as soon as a `LIMIT` right above it is reached.
    pub fn scanned_whole(&self) -> Vec<&str> {
        self.scans().filter(|(above, _)| !above.contains("Limit ")).map(|(_, table)| table).collect()
    }

    /// The tables that are scanned, each with the line above.
    fn scans(&self) -> impl Iterator<Item = (&str, &str)> {
        let above = iter::once("").chain(self.lines.iter().map(String::as_str));
        above.zip(&self.lines).filter_map(|(above, line)| {
            let (_, table) = line.split_once("Seq Scan on ")?;
            Some((above, table.split_whitespace().next()?))
        })
    }

    /// Returns what the statement costs, in reads of a page: an index of ten million rows that is read from its beginning to its
    /// end costs 50,000 at least.
    pub fn cost(&self) -> f64 {
        let cost = |line: &String| line.split_once("..")?.1.split_once(' ')?.0.parse().ok();
        self.lines.first().and_then(cost).unwrap_or(f64::MAX)
    }

    /// Returns how many rows the largest sort has.
    pub fn sorted(&self) -> u64 {
        let sorted = |line: &String| -> Option<u64> {
            let node = line.trim_start().trim_start_matches("->").trim_start();
            let rows = node.strip_prefix("Sort ")?.split_once("rows=")?.1;
            rows.split_once(' ')?.0.parse().ok()
        };
        self.lines.iter().filter_map(sorted).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_scans_and_sorts() {
        let lines = [
            "Limit  (cost=1.00..2.00 rows=10 width=4)",
            "  ->  Sort  (cost=10.00..20.00 rows=5000 width=4)",
            "        Sort Key: id",
            "        ->  Parallel Seq Scan on books b  (cost=0.00..5.00 rows=5000 width=4)",
            "              ->  Index Scan using shelves_pkey on shelves  (cost=0.00..5.00 rows=1 width=4)",
        ];
        let plan = Plan { sql: String::new(), lines: lines.map(str::to_owned).to_vec() };
        assert_eq!((plan.scanned(), plan.sorted(), plan.cost()), (vec!["books"], 5000, 2.0));
        assert_eq!(plan.scanned_whole(), ["books"]);
        let lines = [
            "Limit  (cost=0.00..2.00 rows=10 width=4)",
            "  ->  Seq Scan on books  (cost=0.00..5.00 rows=50 width=4)",
        ];
        let plan = Plan { sql: String::new(), lines: lines.map(str::to_owned).to_vec() };
        assert_eq!((plan.scanned(), plan.scanned_whole()), (vec!["books"], vec![]));
    }
}
