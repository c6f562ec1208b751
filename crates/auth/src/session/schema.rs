//! The table `sessions`.

use sea_orm::{
    DeriveIden,
    sea_query::{ColumnDef, Index, IndexCreateStatement, Table, TableAlterStatement, TableCreateStatement},
};

/// The columns of the second version, which are null in the rows of the first.
#[derive(DeriveIden)]
enum Second {
    #[sea_orm(iden = "sessions")]
    Table,
    SpentHash,
    Seed,
    UsedAt,
    Device,
    Address,
}

/// Returns the table and its indexes in their first version, for migrations. A later change is another function.
pub fn table_v1() -> (TableCreateStatement, Vec<IndexCreateStatement>) {
    #[derive(DeriveIden)]
    enum Sessions {
        Table,
        Id,
        UserId,
        Scope,
        FamilyHash,
        TokenHash,
        CreatedAt,
        ExpiresAt,
        EndedAt,
    }
    let table = Table::create()
        .table(Sessions::Table)
        .col(ColumnDef::new(Sessions::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(Sessions::UserId).uuid().not_null())
        .col(ColumnDef::new(Sessions::Scope).text())
        .col(ColumnDef::new(Sessions::FamilyHash).string_len(43).not_null())
        .col(ColumnDef::new(Sessions::TokenHash).string_len(43).not_null())
        .col(ColumnDef::new(Sessions::CreatedAt).date_time().not_null())
        .col(ColumnDef::new(Sessions::ExpiresAt).date_time().not_null())
        .col(ColumnDef::new(Sessions::EndedAt).date_time())
        .take();
    let index = |name: &str| Index::create().name(name).table(Sessions::Table).take();
    (
        table,
        vec![
            index("ux_sessions_family").col(Sessions::FamilyHash).unique().take(),
            index("ix_sessions_user").col(Sessions::UserId).take(),
            index("ix_sessions_expires").col(Sessions::ExpiresAt).take(),
        ],
    )
}

/// Returns the change of the table to its second version, a statement for each column, as SQLite has it.
pub fn columns_v2() -> Vec<TableAlterStatement> {
    let columns = [
        ColumnDef::new(Second::SpentHash).string_len(43).take(),
        ColumnDef::new(Second::Seed).string_len(43).take(),
        ColumnDef::new(Second::UsedAt).date_time().take(),
        ColumnDef::new(Second::Device).string_len(200).take(),
        ColumnDef::new(Second::Address).string_len(45).take(),
    ];
    columns.map(|column| Table::alter().table(Second::Table).add_column(column).take()).to_vec()
}

/// Reverts [`columns_v2`].
pub fn drop_columns_v2() -> Vec<TableAlterStatement> {
    let columns = [Second::SpentHash, Second::Seed, Second::UsedAt, Second::Device, Second::Address];
    columns.map(|column| Table::alter().table(Second::Table).drop_column(column).take()).to_vec()
}
