// An entity for the examples in the documentation, and a database with its table.
mod note {
    use groundwork_core::{Listable, Timestamp, Uuid, common_base};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "notes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
        pub deleted_at: Option<Timestamp>,
        pub title: String,
    }

    impl ActiveModelBehavior for ActiveModel {}

    common_base!();

    impl Listable for Entity {
        const FIELDS: &'static [Column] = &[Column::Title, Column::CreatedAt];
        const SEARCH: &'static [Column] = &[Column::Title];
    }
}

pub struct Notes;

impl groundwork_core::Repository for Notes {
    type Entity = note::Entity;
}

/// A database of its own; it is gone with the folder.
async fn open() -> groundwork_core::Result<(tempfile::TempDir, groundwork_core::Db)> {
    use sea_orm::{ConnectionTrait, sea_query::ColumnDef};
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/notes.db", folder.path().display());
    let db = groundwork_core::Db::open(&groundwork_core::DbOptions::new(&url)?).await?;
    let notes = groundwork_core::base::table_v1("notes").col(ColumnDef::new("title").string().not_null()).take();
    db.schema().execute(&notes).await?;
    groundwork_core::events::create_v1(db.schema()).await?;
    Ok((folder, db))
}
