//! What every entity has.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/note.rs"));
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> groundwork_core::Result<()> {
//! # let (_folder, db) = open().await?;
//! use groundwork_core::CommonBase;
//! use groundwork_core::Repository;
//! use sea_orm::ActiveValue::Set;
//!
//! let tx = db.begin().await?;
//! let row = note::ActiveModel { title: Set("One".into()), ..Default::default() };
//! let note = Notes.create(&tx, row).await?;
//! assert_eq!(note::Entity::updated_at(&note), note.created_at);
//! tx.commit().await?;
//! # Ok(())
//! # }
//! ```

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, EntityTrait, IntoActiveModel, ModelTrait,
    sea_query::{ColumnDef, Table, TableCreateStatement},
};
use uuid::Uuid;

use crate::Timestamp;

/// An entity with the four common columns: `id` (UUIDv7, made by the service), `created_at`, `updated_at`, and
/// `deleted_at`, which is null while the row is alive (the soft delete).
///
/// [`common_base!`](crate::common_base) implements it.
pub trait CommonBase:
    EntityTrait<
        Model: ModelTrait<Entity = Self> + IntoActiveModel<Self::ActiveModel> + Clone + Send + Sync,
        ActiveModel: ActiveModelTrait<Entity = Self> + ActiveModelBehavior + Send + Sync,
    > + Send
    + Sync
{
    /// The primary key.
    const ID: Self::Column;
    /// When the row was made.
    const CREATED_AT: Self::Column;
    /// When it was last changed.
    const UPDATED_AT: Self::Column;
    /// When it was soft-deleted, or null.
    const DELETED_AT: Self::Column;

    /// The id of a row.
    fn id_of(model: &Self::Model) -> Uuid;

    /// When a row was last changed. No two states of a row have the same.
    fn updated_at(model: &Self::Model) -> Timestamp {
        ModelTrait::get(model, Self::UPDATED_AT).unwrap()
    }
}

/// A table with the four common columns, in its first form, for a service's migrations. Never changes.
pub fn table_v1(table: &'static str) -> TableCreateStatement {
    Table::create()
        .table(table)
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("created_at").date_time().not_null())
        .col(ColumnDef::new("updated_at").date_time().not_null())
        .col(ColumnDef::new("deleted_at").date_time())
        .take()
}

/// Implements [`CommonBase`] for the `Entity` of the module that it stands in, whose `Model` has the fields `id`,
/// `created_at`, `updated_at` and `deleted_at`.
#[macro_export]
macro_rules! common_base {
    () => {
        impl $crate::CommonBase for Entity {
            const ID: Column = Column::Id;
            const CREATED_AT: Column = Column::CreatedAt;
            const UPDATED_AT: Column = Column::UpdatedAt;
            const DELETED_AT: Column = Column::DeletedAt;

            fn id_of(model: &Model) -> $crate::Uuid {
                model.id
            }
        }
    };
}
