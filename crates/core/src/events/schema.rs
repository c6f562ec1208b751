//! The tables of the log.

use sea_orm::{
    ConditionalStatement, ConnectionTrait, DbBackend, DbErr, DeriveIden, ExprTrait,
    sea_query::{ColumnDef, Expr, Index, IndexCreateStatement, Table, TableCreateStatement},
};

use super::epoch::RANDOM;

#[derive(DeriveIden)]
enum Events {
    Table,
    Position,
    Stamp,
    SubjectKind,
    SubjectId,
    UserId,
    Version,
    Kind,
    ActorId,
    Payload,
    CreatedAt,
}

#[derive(DeriveIden)]
enum EventLog {
    Table,
    Id,
    Epoch,
    Identity,
    FloorStamp,
    FloorPosition,
}

/// Creates the tables and indexes in their first version, for migrations. A later change is another function.
pub async fn create_v1<C: ConnectionTrait>(conn: &C) -> Result<(), DbErr> {
    let backend = conn.get_database_backend();
    conn.execute(&events_v1(backend)).await?;
    for index in indexes_v1() {
        conn.execute(&index).await?;
    }
    conn.execute(&event_log_v1()).await?;
    let epoch = RANDOM.of(backend);
    conn.execute_unprepared(&format!("INSERT INTO event_log (id, epoch) VALUES (1, {epoch})")).await?;
    Ok(())
}

/// Drops what [`create_v1`] creates.
pub async fn drop_v1<C: ConnectionTrait>(conn: &C) -> Result<(), DbErr> {
    conn.execute(&Table::drop().table(EventLog::Table).take()).await?;
    conn.execute(&Table::drop().table(Events::Table).take()).await?;
    Ok(())
}

fn events_v1(backend: DbBackend) -> TableCreateStatement {
    // A default of the column, so that a statement of a service that inserts events by itself need not know it.
    let stamp = match backend {
        DbBackend::Postgres => {
            "greatest(pg_current_xact_id()::text::bigint, \
             pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)"
        }
        _ => "0",
    };
    Table::create()
        .table(Events::Table)
        .col(ColumnDef::new(Events::Position).big_integer().not_null().auto_increment().primary_key())
        .col(ColumnDef::new(Events::Stamp).big_integer().not_null().default(Expr::cust(stamp)))
        .col(ColumnDef::new(Events::SubjectKind).string_len(32).not_null())
        .col(ColumnDef::new(Events::SubjectId).uuid().not_null())
        .col(ColumnDef::new(Events::UserId).uuid())
        .col(ColumnDef::new(Events::Version).big_integer())
        .col(ColumnDef::new(Events::Kind).string_len(64).not_null())
        .col(ColumnDef::new(Events::ActorId).uuid())
        .col(ColumnDef::new(Events::Payload).json_binary().not_null())
        .col(ColumnDef::new(Events::CreatedAt).date_time().not_null())
        .take()
}

/// One for the whole log, one for the events of a subject, one for the events that concern a user.
fn indexes_v1() -> [IndexCreateStatement; 3] {
    let index = |name: &str| {
        let mut index = Index::create();
        index.name(name).table(Events::Table);
        index
    };
    [
        index("ix_events_order").col(Events::Stamp).col(Events::Position).take(),
        index("ix_events_subject").col(Events::SubjectId).col(Events::Stamp).col(Events::Position).take(),
        index("ix_events_user")
            .col(Events::UserId)
            .col(Events::Stamp)
            .col(Events::Position)
            .and_where(Expr::col(Events::UserId).is_not_null())
            .take(),
    ]
}

/// What is known of the log as a whole, in one row.
fn event_log_v1() -> TableCreateStatement {
    Table::create()
        .table(EventLog::Table)
        .col(ColumnDef::new(EventLog::Id).small_integer().not_null().primary_key())
        // Changes when the log was restored or moved.
        .col(ColumnDef::new(EventLog::Epoch).big_integer().not_null())
        // The database that the log was last used in.
        .col(ColumnDef::new(EventLog::Identity).string_len(100))
        // The last place that was removed.
        .col(ColumnDef::new(EventLog::FloorStamp).big_integer().not_null().default(0))
        .col(ColumnDef::new(EventLog::FloorPosition).big_integer().not_null().default(0))
        .check(Expr::col(EventLog::Id).eq(1))
        .take()
}
