//! A plain entity with everything that core provides, as a service defines one.

use groundwork_core::{
    Change, Code, Controller, Db, FieldErrors, Kind, Listable, NullableChange, Repository, Result, Timestamp,
    Tx, Uuid, Validate, common_base,
};
use groundwork_testkit::TestDb;
use sea_orm::{ActiveValue::Set, Condition, DbErr, entity::prelude::*};
use sea_orm_migration::{
    async_trait,
    prelude::{Alias, DeriveMigrationName, MigrationTrait, MigratorTrait, SchemaManager, Table},
    sea_query,
};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "books")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    pub title: String,
    pub isbn: Option<String>,
    pub pages: i64,
    pub lent: bool,
    pub shelf: Uuid,
}

impl ActiveModelBehavior for ActiveModel {}

common_base!();

impl Listable for Entity {
    const FIELDS: &'static [Column] = &[
        Column::Id,
        Column::CreatedAt,
        Column::Title,
        Column::Isbn,
        Column::Pages,
        Column::Lent,
        Column::Shelf,
    ];
    const SEARCH: &'static [Column] = &[Column::Title, Column::Isbn];
}

/// The books of one shelf.
#[derive(Clone, Copy, Debug)]
pub struct Books {
    pub shelf: Uuid,
}

impl Repository for Books {
    type Entity = Entity;

    fn row_rule(&self) -> Condition {
        Column::Shelf.eq(self.shelf).into()
    }
}

#[derive(Clone, Debug)]
pub struct NewBook {
    pub title: String,
    pub isbn: Option<String>,
    pub pages: i64,
}

impl Validate for NewBook {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.length("title", &self.title, 1, 10);
        errors.check(self.pages > 0, "pages", "out_of_range", "must be at least 1");
    }
}

#[derive(Clone, Debug, Default)]
pub struct BookPatch {
    pub title: Change<String>,
    pub isbn: NullableChange<String>,
}

impl Validate for BookPatch {
    fn validate(&self, errors: &mut FieldErrors) {
        if let Some(title) = self.title.value() {
            errors.length("title", title, 1, 10);
        }
    }
}

pub const ISBN_TAKEN: Code = Code::new("isbn_taken", Kind::Conflict, "That ISBN is taken");
pub const LENT: Code = Code::new("lent", Kind::Conflict, "The book is lent");

impl Controller for Books {
    type Repository = Self;
    type Create = NewBook;
    type Patch = BookPatch;

    const NAME: &'static str = "book";
    const CONFLICT: Code = ISBN_TAKEN;

    fn repository(&self) -> &Self {
        self
    }

    fn new_row(&self, input: NewBook) -> ActiveModel {
        ActiveModel {
            title: Set(input.title),
            isbn: Set(input.isbn),
            pages: Set(input.pages),
            lent: Set(false),
            shelf: Set(self.shelf),
            ..Default::default()
        }
    }

    fn apply(&self, patch: BookPatch, row: &mut ActiveModel) {
        if let Some(title) = patch.title.into_value() {
            row.title = Set(title);
        }
        if let Some(isbn) = patch.isbn.into_change() {
            row.isbn = Set(isbn);
        }
    }

    async fn before_delete(&self, _: &Tx, book: &Model) -> Result<()> {
        if book.lent { Err(LENT.error("bring it back first")) } else { Ok(()) }
    }
}

pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(CreateBooks)]
    }
}

#[derive(DeriveMigrationName)]
struct CreateBooks;

#[async_trait::async_trait]
impl MigrationTrait for CreateBooks {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = |name: &str| sea_query::ColumnDef::new(Alias::new(name));
        let table = Table::create()
            .table(Alias::new("books"))
            .col(column("id").uuid().not_null().primary_key())
            .col(column("created_at").date_time().not_null())
            .col(column("updated_at").date_time().not_null())
            .col(column("deleted_at").date_time())
            .col(column("title").string().not_null())
            .col(column("isbn").string().unique_key())
            .col(column("pages").big_integer().not_null())
            .col(column("lent").boolean().not_null())
            .col(column("shelf").uuid().not_null())
            .take();
        manager.create_table(table).await?;
        groundwork_core::events::create_v1(manager.get_connection()).await
    }
}

pub type Library = TestDb<Migrator>;

/// The books of a shelf.
pub fn shelf(number: u128) -> Books {
    Books { shelf: Uuid::from_u128(number) }
}

/// Adds a book to a shelf.
pub async fn add(db: &Db, books: Books, title: &str, pages: i64) -> Model {
    let tx = db.begin().await.unwrap();
    let new = NewBook { title: title.to_owned(), isbn: None, pages };
    let book = Controller::create(&books, &tx, new).await.unwrap();
    tx.commit().await.unwrap();
    book
}
