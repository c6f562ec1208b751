//! The order of a user's threads by activity, and the numbers that unread counts are made of.
//!
//! The rows that exist get what the rules would have written. Rows that other software inserts later, such as an import,
//! need the statements of [`FILL`] as well.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbBackend},
};

#[derive(DeriveMigrationName)]
pub struct Migration;

/// The minute of a thread's last activity since 1970.
const POSTGRES_MINUTE: &str = "floor(extract(epoch FROM last_activity_at) / 60)::integer";
const SQLITE_MINUTE: &str = "CAST(strftime('%s', last_activity_at) AS INTEGER) / 60";

/// Computes the new values from the rows that exist. `CROSS JOIN` makes SQLite read the messages once, and not once for each
/// participant.
const FILL: [&str; 3] = [
    "UPDATE threads SET recent_minute = CASE WHEN participant_count > 50 THEN 0 ELSE {minute} END",
    "INSERT INTO recent_threads (user_id, minute, thread_id)
     SELECT users_and_threads.user_id, threads.recent_minute, threads.id
     FROM users_and_threads JOIN threads ON threads.id = users_and_threads.thread_id
     WHERE users_and_threads.left_at IS NULL AND threads.deleted_at IS NULL",
    "UPDATE users_and_threads SET sent_since_read = sent.number
     FROM (
         SELECT messages.thread_id, messages.sender_id, count(*) AS number
         FROM messages CROSS JOIN users_and_threads AS readers
         WHERE readers.thread_id = messages.thread_id AND readers.user_id = messages.sender_id
             AND messages.seq > readers.last_read_seq
         GROUP BY messages.thread_id, messages.sender_id
     ) AS sent
     WHERE sent.thread_id = users_and_threads.thread_id AND sent.sender_id = users_and_threads.user_id",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let conn = manager.get_connection();
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        manager.create_table(recent_threads(is_postgres)).await?;
        manager.alter_table(add(Threads::Table, ColumnDef::new(Threads::RecentMinute).integer())).await?;
        let sent = ColumnDef::new(UsersAndThreads::SentSinceRead).big_integer().take();
        manager.alter_table(add(UsersAndThreads::Table, &sent)).await?;
        manager.create_index(deleted_messages()).await?;
        if is_postgres {
            // Both are updated by each message. With room in its page, such an update writes no index.
            for table in ["threads", "users_and_threads"] {
                conn.execute_unprepared(&format!("ALTER TABLE {table} SET (fillfactor = 90)")).await?;
            }
            // The planner takes few messages for each participant for granted, and would read a large thread once for each.
            conn.execute_unprepared("SET LOCAL enable_nestloop = off").await?;
        }
        let minute = if is_postgres { POSTGRES_MINUTE } else { SQLITE_MINUTE };
        for statement in FILL {
            conn.execute_unprepared(&statement.replace("{minute}", minute)).await?;
        }
        if is_postgres {
            conn.execute_unprepared("SET LOCAL enable_nestloop = on").await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let conn = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            for table in ["threads", "users_and_threads"] {
                conn.execute_unprepared(&format!("ALTER TABLE {table} RESET (fillfactor)")).await?;
            }
        }
        manager.drop_index(Index::drop().name(DELETED_MESSAGES).table(Messages::Table).to_owned()).await?;
        let sent =
            Table::alter().table(UsersAndThreads::Table).drop_column(UsersAndThreads::SentSinceRead).take();
        manager.alter_table(sent).await?;
        let minute = Table::alter().table(Threads::Table).drop_column(Threads::RecentMinute).take();
        manager.alter_table(minute).await?;
        manager.drop_table(Table::drop().table(RecentThreads::Table).take()).await
    }
}

#[derive(DeriveIden)]
enum Threads {
    Table,
    RecentMinute,
}

#[derive(DeriveIden)]
enum UsersAndThreads {
    Table,
    SentSinceRead,
}

#[derive(DeriveIden)]
enum Messages {
    Table,
    ThreadId,
    Seq,
    SenderId,
}

#[derive(DeriveIden)]
enum RecentThreads {
    Table,
    UserId,
    Minute,
    ThreadId,
}

/// Without foreign keys: the rows are written together with those that they repeat, and never by themselves.
fn recent_threads(is_postgres: bool) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table(RecentThreads::Table)
        .col(ColumnDef::new(RecentThreads::UserId).uuid().not_null())
        .col(ColumnDef::new(RecentThreads::Minute).integer().not_null())
        .col(ColumnDef::new(RecentThreads::ThreadId).uuid().not_null())
        .primary_key(
            Index::create()
                .col(RecentThreads::UserId)
                .col(RecentThreads::Minute)
                .col(RecentThreads::ThreadId),
        );
    if !is_postgres {
        table.extra("WITHOUT ROWID");
    }
    table
}

/// Adds a column that is 0 in rows that do not name it.
fn add(table: impl IntoTableRef, column: &ColumnDef) -> TableAlterStatement {
    Table::alter().table(table).add_column(column.clone().not_null().default(0)).take()
}

const DELETED_MESSAGES: &str = "ix_messages_deleted";

/// The deleted messages of a thread, which are not unread.
fn deleted_messages() -> IndexCreateStatement {
    Index::create()
        .name(DELETED_MESSAGES)
        .table(Messages::Table)
        .col(Messages::ThreadId)
        .col(Messages::Seq)
        .col(Messages::SenderId)
        .cond_where(Expr::col(Alias::new("deleted_at")).is_not_null())
        .take()
}
