//! An index for parts of users' names.
//!
//! On PostgreSQL an index of trigrams serves `ILIKE`. It needs the extension `pg_trgm`, which comes with PostgreSQL, and
//! which the owner of a database may create. Where it can't be created, the search reads all users, and finds the same.
//!
//! On SQLite a full-text index of trigrams narrows the users down (`messenger_domain`, `users/search.rs`). It knows users by a
//! number, as SQLite may change the row ids of a table that does not name them.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

/// The exception ends a transaction inside the statement, so the migration goes on. With `fastupdate` the planner avoids the
/// index while it has a list of new entries that are not in it yet.
const POSTGRES: &str = "
DO $$
DECLARE place text;
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    SELECT quote_ident(n.nspname) INTO place
        FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm';
    EXECUTE format(
        'CREATE INDEX IF NOT EXISTS ix_users_text ON users USING gin
            (username %1$s.gin_trgm_ops, email %1$s.gin_trgm_ops, first_name %1$s.gin_trgm_ops, last_name %1$s.gin_trgm_ops)
            WITH (fastupdate = off)',
        place);
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
    RAISE NOTICE 'pg_trgm can''t be used, so the search for users reads all of them: %', SQLERRM;
END $$";

const SQLITE: [&str; 8] = [
    "CREATE TABLE users_by_number (number INTEGER PRIMARY KEY, user_id BLOB NOT NULL)",
    "CREATE UNIQUE INDEX ux_users_by_number ON users_by_number (user_id)",
    "CREATE VIRTUAL TABLE users_text USING fts5
        (username, first_name, last_name, content = '', contentless_delete = 1, tokenize = 'trigram')",
    "CREATE TRIGGER users_text_insert AFTER INSERT ON users BEGIN
        INSERT INTO users_by_number (user_id) VALUES (new.id);
        INSERT INTO users_text (rowid, username, first_name, last_name)
            SELECT number, new.username, new.first_name, new.last_name FROM users_by_number WHERE user_id = new.id;
    END",
    "CREATE TRIGGER users_text_update AFTER UPDATE OF username, first_name, last_name ON users BEGIN
        INSERT OR REPLACE INTO users_text (rowid, username, first_name, last_name)
            SELECT number, new.username, new.first_name, new.last_name FROM users_by_number WHERE user_id = new.id;
    END",
    "CREATE TRIGGER users_text_delete AFTER DELETE ON users BEGIN
        DELETE FROM users_text WHERE rowid = (SELECT number FROM users_by_number WHERE user_id = old.id);
        DELETE FROM users_by_number WHERE user_id = old.id;
    END",
    "INSERT INTO users_by_number (user_id) SELECT id FROM users ORDER BY id",
    "INSERT INTO users_text (rowid, username, first_name, last_name)
        SELECT number, username, first_name, last_name FROM users_by_number JOIN users ON id = user_id",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements: &[&str] = match manager.get_database_backend() {
            DbBackend::Postgres => &[POSTGRES],
            _ => &SQLITE,
        };
        for statement in statements {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements: &[&str] = match manager.get_database_backend() {
            // The extension may serve something else, and does no harm.
            DbBackend::Postgres => &["DROP INDEX IF EXISTS ix_users_text"],
            _ => &[
                "DROP TRIGGER users_text_insert",
                "DROP TRIGGER users_text_update",
                "DROP TRIGGER users_text_delete",
                "DROP TABLE users_text",
                "DROP TABLE users_by_number",
            ],
        };
        for statement in statements {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}
