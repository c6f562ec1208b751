//! Users, threads, participants, messages, receipts and first receipts.

use groundwork_core::base::table_v1;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [users(), threads(), participants(), messages(), receipts(), first_receipts()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["first_receipts", "receipts", "messages", "users_and_threads", "threads", "users"] {
            manager.drop_table(Table::drop().table(Alias::new(table)).take()).await?;
        }
        Ok(())
    }
}

#[derive(DeriveIden)]
enum Users {
    Table,
    Id,
    Username,
    Email,
    EmailConfirmed,
    PasswordHash,
    FirstName,
    LastName,
    Bio,
    IsActive,
    MfaEnabled,
    Group,
    LastSeen,
    LastSeenAt,
}

#[derive(DeriveIden)]
enum Threads {
    Table,
    Id,
    Type,
    Name,
    CreatorId,
    DirectKey,
    History,
    LastSeq,
    Version,
    DetailsVersion,
    LastActivityAt,
    ParticipantCount,
}

#[derive(DeriveIden)]
enum UsersAndThreads {
    Table,
    ThreadId,
    UserId,
    Role,
    JoinedAt,
    JoinedSeq,
    JoinedVersion,
    LeftAt,
    LastDeliveredSeq,
    LastReadSeq,
    Version,
}

#[derive(DeriveIden)]
enum Messages {
    Table,
    Id,
    ThreadId,
    Seq,
    Version,
    SenderId,
    ReceiverId,
    Text,
    EditedAt,
}

#[derive(DeriveIden)]
enum Receipts {
    Table,
    ThreadId,
    UserId,
    Kind,
    Seq,
    FromSeq,
    At,
    Folded,
}

#[derive(DeriveIden)]
enum FirstReceipts {
    Table,
    ThreadId,
    Kind,
    Rank,
    Seq,
    FromSeq,
    UserId,
    At,
}

fn users() -> TableCreateStatement {
    table_v1("users")
        .col(ColumnDef::new(Users::Username).string_len(50).not_null().unique_key())
        .col(ColumnDef::new(Users::Email).string_len(254).unique_key())
        .col(ColumnDef::new(Users::EmailConfirmed).boolean().not_null())
        .col(ColumnDef::new(Users::PasswordHash).string_len(60).not_null())
        .col(ColumnDef::new(Users::FirstName).string_len(100))
        .col(ColumnDef::new(Users::LastName).string_len(100))
        .col(ColumnDef::new(Users::Bio).string_len(500))
        .col(ColumnDef::new(Users::IsActive).boolean().not_null())
        .col(ColumnDef::new(Users::MfaEnabled).boolean().not_null())
        .col(ColumnDef::new(Users::Group).string_len(50).not_null())
        .col(ColumnDef::new(Users::LastSeen).string_len(16).not_null())
        .col(ColumnDef::new(Users::LastSeenAt).date_time())
        .take()
}

fn threads() -> TableCreateStatement {
    table_v1("threads")
        .col(ColumnDef::new(Threads::Type).string_len(16).not_null())
        .col(ColumnDef::new(Threads::Name).string_len(100))
        .col(ColumnDef::new(Threads::CreatorId).uuid().not_null())
        .col(ColumnDef::new(Threads::DirectKey).string_len(73).unique_key())
        .col(ColumnDef::new(Threads::History).string_len(16).not_null())
        .col(ColumnDef::new(Threads::LastSeq).big_integer().not_null())
        .col(ColumnDef::new(Threads::Version).big_integer().not_null())
        .col(ColumnDef::new(Threads::DetailsVersion).big_integer().not_null())
        .col(ColumnDef::new(Threads::LastActivityAt).date_time().not_null())
        .col(ColumnDef::new(Threads::ParticipantCount).integer().not_null())
        .foreign_key(&mut to_users("fk_threads_creator", Threads::Table, Threads::CreatorId))
        .take()
}

fn participants() -> TableCreateStatement {
    Table::create()
        .table(UsersAndThreads::Table)
        .col(ColumnDef::new(UsersAndThreads::ThreadId).uuid().not_null())
        .col(ColumnDef::new(UsersAndThreads::UserId).uuid().not_null())
        .col(ColumnDef::new(UsersAndThreads::Role).string_len(16).not_null())
        .col(ColumnDef::new(UsersAndThreads::JoinedAt).date_time().not_null())
        .col(ColumnDef::new(UsersAndThreads::JoinedSeq).big_integer().not_null())
        .col(ColumnDef::new(UsersAndThreads::JoinedVersion).big_integer().not_null())
        .col(ColumnDef::new(UsersAndThreads::LeftAt).date_time())
        .col(ColumnDef::new(UsersAndThreads::LastDeliveredSeq).big_integer().not_null())
        .col(ColumnDef::new(UsersAndThreads::LastReadSeq).big_integer().not_null())
        .col(ColumnDef::new(UsersAndThreads::Version).big_integer().not_null())
        .primary_key(Index::create().col(UsersAndThreads::ThreadId).col(UsersAndThreads::UserId))
        .foreign_key(&mut to_threads(
            "fk_users_and_threads_thread",
            UsersAndThreads::Table,
            UsersAndThreads::ThreadId,
        ))
        .foreign_key(&mut to_users(
            "fk_users_and_threads_user",
            UsersAndThreads::Table,
            UsersAndThreads::UserId,
        ))
        .take()
}

fn messages() -> TableCreateStatement {
    table_v1("messages")
        .col(ColumnDef::new(Messages::ThreadId).uuid().not_null())
        .col(ColumnDef::new(Messages::Seq).big_integer().not_null())
        .col(ColumnDef::new(Messages::Version).big_integer().not_null())
        .col(ColumnDef::new(Messages::SenderId).uuid().not_null())
        .col(ColumnDef::new(Messages::ReceiverId).uuid())
        .col(ColumnDef::new(Messages::Text).text().not_null())
        .col(ColumnDef::new(Messages::EditedAt).date_time())
        .foreign_key(&mut to_threads("fk_messages_thread", Messages::Table, Messages::ThreadId))
        .foreign_key(&mut to_users("fk_messages_sender", Messages::Table, Messages::SenderId))
        .foreign_key(&mut to_users("fk_messages_receiver", Messages::Table, Messages::ReceiverId))
        .take()
}

fn receipts() -> TableCreateStatement {
    Table::create()
        .table(Receipts::Table)
        .col(ColumnDef::new(Receipts::ThreadId).uuid().not_null())
        .col(ColumnDef::new(Receipts::UserId).uuid().not_null())
        .col(ColumnDef::new(Receipts::Kind).string_len(16).not_null())
        .col(ColumnDef::new(Receipts::Seq).big_integer().not_null())
        .col(ColumnDef::new(Receipts::FromSeq).big_integer().not_null())
        .col(ColumnDef::new(Receipts::At).date_time().not_null())
        .col(ColumnDef::new(Receipts::Folded).boolean().not_null())
        .primary_key(
            Index::create()
                .col(Receipts::ThreadId)
                .col(Receipts::UserId)
                .col(Receipts::Kind)
                .col(Receipts::Seq),
        )
        .foreign_key(&mut to_threads("fk_receipts_thread", Receipts::Table, Receipts::ThreadId))
        .foreign_key(&mut to_users("fk_receipts_user", Receipts::Table, Receipts::UserId))
        .take()
}

fn first_receipts() -> TableCreateStatement {
    Table::create()
        .table(FirstReceipts::Table)
        .col(ColumnDef::new(FirstReceipts::ThreadId).uuid().not_null())
        .col(ColumnDef::new(FirstReceipts::Kind).string_len(16).not_null())
        .col(ColumnDef::new(FirstReceipts::Rank).small_integer().not_null())
        .col(ColumnDef::new(FirstReceipts::Seq).big_integer().not_null())
        .col(ColumnDef::new(FirstReceipts::FromSeq).big_integer().not_null())
        .col(ColumnDef::new(FirstReceipts::UserId).uuid())
        .col(ColumnDef::new(FirstReceipts::At).date_time())
        .primary_key(
            Index::create()
                .col(FirstReceipts::ThreadId)
                .col(FirstReceipts::Kind)
                .col(FirstReceipts::Rank)
                .col(FirstReceipts::Seq),
        )
        .foreign_key(&mut to_threads(
            "fk_first_receipts_thread",
            FirstReceipts::Table,
            FirstReceipts::ThreadId,
        ))
        .foreign_key(&mut to_users("fk_first_receipts_user", FirstReceipts::Table, FirstReceipts::UserId))
        .take()
}

fn to_users(name: &str, table: impl IntoTableRef, column: impl IntoIden) -> ForeignKeyCreateStatement {
    ForeignKey::create().name(name).from(table, column).to(Users::Table, Users::Id).take()
}

fn to_threads(name: &str, table: impl IntoTableRef, column: impl IntoIden) -> ForeignKeyCreateStatement {
    ForeignKey::create().name(name).from(table, column).to(Threads::Table, Threads::Id).take()
}

fn indexes() -> Vec<IndexCreateStatement> {
    let mut seq = index("ux_messages_thread_seq");
    seq.table(Messages::Table).col(Messages::ThreadId).col(Messages::Seq).unique();
    vec![
        seq,
        // What changed since a version.
        index("ix_messages_thread_version")
            .table(Messages::Table)
            .col(Messages::ThreadId)
            .col(Messages::Version)
            .take(),
        // Outbox and inbox. They need to know which threads are alive, and nothing else of the row.
        index("ix_messages_sender")
            .table(Messages::Table)
            .col(Messages::SenderId)
            .col(Messages::Id)
            .col(Messages::ThreadId)
            .cond_where(alive())
            .take(),
        index("ix_messages_receiver")
            .table(Messages::Table)
            .col(Messages::ReceiverId)
            .col(Messages::Id)
            .cond_where(alive())
            .take(),
        // The owners, admins and members of a thread, those who joined first first.
        index("ix_users_and_threads_thread_role")
            .table(UsersAndThreads::Table)
            .col(UsersAndThreads::ThreadId)
            .col(UsersAndThreads::Role)
            .col(UsersAndThreads::JoinedAt)
            .col(UsersAndThreads::UserId)
            .take(),
        // The threads of a user.
        index("ix_users_and_threads_user")
            .table(UsersAndThreads::Table)
            .col(UsersAndThreads::UserId)
            .col(UsersAndThreads::ThreadId)
            .take(),
        // The participants that changed since a version.
        index("ix_users_and_threads_version")
            .table(UsersAndThreads::Table)
            .col(UsersAndThreads::ThreadId)
            .col(UsersAndThreads::Version)
            .take(),
        // The messages that nobody has received or read yet.
        index("ix_first_receipts_open")
            .table(FirstReceipts::Table)
            .col(FirstReceipts::ThreadId)
            .col(FirstReceipts::Seq)
            .cond_where(Expr::col(FirstReceipts::UserId).is_null())
            .take(),
        // The deleted threads, whose receipts are to be deleted.
        index("ix_threads_deleted")
            .table(Threads::Table)
            .col(Alias::new("deleted_at"))
            .cond_where(Expr::col(Alias::new("deleted_at")).is_not_null())
            .take(),
        // The receipts that are yet to be folded, the oldest first.
        index("ix_receipts_unfolded")
            .table(Receipts::Table)
            .col(Receipts::At)
            .cond_where(Expr::col(Receipts::Folded).not())
            .take(),
    ]
}

fn alive() -> Expr {
    Expr::col(Alias::new("deleted_at")).is_null()
}

fn index(name: &str) -> IndexCreateStatement {
    Index::create().name(name).take()
}
