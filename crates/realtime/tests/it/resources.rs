//! Who gets the events of a resource, and what they see.

use groundwork_core::{
    Result, Timestamp, Uuid, base,
    events::{
        self, Model as Event, NewEvent, Position, Subject,
        feed::{Audience, Span},
    },
    sea_orm::{ActiveModelTrait, EntityTrait, QueryOrder, Set},
};
use groundwork_realtime::crud;
use groundwork_testkit::{TestDb, both_databases};
use groundwork_web::service::migrate::{create_table, library_v1};
use sea_orm_migration::{
    MigrationTrait, MigratorTrait,
    schema::{text, uuid},
};
use serde_json::json;

/// A resource of that name and policy. All have the same table.
macro_rules! resource {
    ($module:ident, $name:literal, $policy:expr) => {
        mod $module {
            use groundwork_auth::Caller;
            use groundwork_core::{
                Change, FieldErrors, Listable, Timestamp, Uuid, Validate, common_base,
                sea_orm::{self, DeriveIntoActiveModel, entity::prelude::*},
            };
            use groundwork_web::{Resource, RowPolicy};

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize, utoipa::ToSchema)]
            #[sea_orm(table_name = "notes")]
            pub struct Model {
                #[sea_orm(primary_key, auto_increment = false)]
                pub id: Uuid,
                pub created_at: Timestamp,
                pub updated_at: Timestamp,
                pub deleted_at: Option<Timestamp>,
                pub owner_id: Uuid,
                pub text: String,
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}
            impl ActiveModelBehavior for ActiveModel {}
            common_base!();

            impl Listable for Entity {
                const FIELDS: &'static [Column] = &[Column::Text];
            }

            #[derive(serde::Deserialize, utoipa::ToSchema, DeriveIntoActiveModel)]
            pub struct Input {
                #[serde(default)]
                pub text: Change<String>,
            }

            impl Validate for Input {
                fn validate(&self, _: &mut FieldErrors) {}
            }

            impl Resource for Entity {
                type Create = Input;
                type Patch = Input;
                type Output = Model;
                const NAME: &'static str = $name;
                const PATH: &'static str = concat!("/", $name, "s");
                const SCOPES: (&'static str, &'static str) = ("notes:read", "notes:write");
                fn policy(caller: &Caller) -> RowPolicy<Self> {
                    let policy: fn(&Caller) -> RowPolicy<Self> = $policy;
                    policy(caller)
                }
            }
        }
    };
}

resource!(own, "note", |caller| RowPolicy::own(Column::OwnerId, caller));
resource!(public, "page", |caller| RowPolicy::public_own(Column::OwnerId, caller));
resource!(shared, "rule", |_| RowPolicy::matching(sea_orm::Condition::all(), Column::Text.eq("open").into()));
resource!(filtered, "draft", |_| RowPolicy::matching(
    Column::Text.eq("open").into(),
    sea_orm::Condition::all()
));

pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let table = base::table_v1("notes").col(uuid("owner_id")).col(text("text")).take();
        vec![library_v1(), create_table("create_notes", (table, Vec::new()))]
    }
}

type Notes = TestDb<Migrator>;

const WHOLE: Span =
    Span { after: Position { stamp: -1, number: -1 }, until: Position { stamp: i64::MAX, number: i64::MAX } };

fn user(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

async fn add(notes: &Notes, owner: Uuid, deleted_at: Option<Timestamp>) -> own::Model {
    let (id, now) = (notes.db.new_id(), notes.db.now());
    let row = own::ActiveModel {
        id: Set(id),
        created_at: Set(now),
        updated_at: Set(now),
        deleted_at: Set(deleted_at),
        owner_id: Set(owner),
        text: Set("a note".to_owned()),
    };
    notes.db.write(async |tx| Ok::<_, groundwork_core::Error>(row.insert(tx).await?)).await.unwrap()
}

/// Appends events of these kinds and subjects, which concern these users.
async fn append(notes: &Notes, all: &[(&'static str, Uuid, Uuid)]) -> Vec<Event> {
    let new = all.iter().map(|(kind, id, owner)| {
        let subject = kind.split('.').next().unwrap();
        NewEvent::new(*kind, Subject::new(subject, *id)).of_user(*owner)
    });
    notes.db.write(async |tx| -> Result<()> { events::append_all(tx, new).await }).await.unwrap();
    log(notes).await
}

async fn log(notes: &Notes) -> Vec<Event> {
    let log =
        events::Entity::find().order_by_asc(events::Column::Stamp).order_by_asc(events::Column::Position);
    log.all(notes.db.reader()).await.unwrap()
}

/// Events of own rows go to the owner, also when they catch up.
#[both_databases]
async fn own_rows_are_live_for_their_owner(notes: &Notes) {
    let feed = crud::feed::<own::Entity>().unwrap();
    let (one, two) = (notes.db.new_id(), notes.db.new_id());
    let log = append(
        notes,
        &[
            ("note.created", one, user(1)),
            ("note.created", two, user(2)),
            ("page.created", one, user(1)),
            ("note.updated", one, user(1)),
            ("note.deleted", one, user(1)),
        ],
    )
    .await;
    assert_eq!(feed.subjects(), ["note"]);
    assert_eq!(feed.route(&log[0]).audience, Audience::Concerned);
    let mine = feed.catch_up(notes.db.reader(), user(1), WHOLE, 100).await.unwrap();
    assert_eq!(mine, [log[0].clone(), log[3].clone(), log[4].clone()]);
    let span = Span { after: log[0].place(), until: log[3].place() };
    assert_eq!(feed.catch_up(notes.db.reader(), user(1), span, 100).await.unwrap(), [log[3].clone()]);
    assert_eq!(feed.catch_up(notes.db.reader(), user(1), WHOLE, 1).await.unwrap(), [log[0].clone()]);
    assert!(feed.catch_up(notes.db.reader(), user(3), WHOLE, 100).await.unwrap().is_empty());
}

/// The data of an event is the row as it is now, for who may read it now; otherwise its id alone.
#[both_databases]
async fn data_is_what_may_be_read_now(notes: &Notes) {
    let (kept, deleted) = (add(notes, user(1), None).await, add(notes, user(1), Some(notes.db.now())).await);
    let events = [
        ("note.created", kept.id, user(1)),
        ("note.updated", kept.id, user(2)),
        ("note.deleted", kept.id, user(1)),
        ("note.created", deleted.id, user(1)),
        ("note.updated", notes.db.new_id(), user(1)),
    ];
    let log = append(notes, &events).await;
    let feed = crud::feed::<own::Entity>().unwrap();
    let shown = feed.show(notes.db.reader(), &log).await.unwrap();
    assert!(shown.iter().flatten().all(|shown| shown.scope == "notes:read"));
    let data: Vec<_> = shown.into_iter().map(|shown| serde_json::Value::from(shown.unwrap().data)).collect();
    let id_alone = |index: usize| json!({"id": log[index].subject_id});
    let expected = [serde_json::to_value(&kept).unwrap(), id_alone(1), id_alone(2), id_alone(3), id_alone(4)];
    assert_eq!(data, expected);
}

/// Events of rows that everybody may read go to everybody, and are found in a long log of other events.
#[both_databases]
async fn public_rows_are_live_for_everybody(notes: &Notes) {
    let feed = crud::feed::<public::Entity>().unwrap();
    let page = add(notes, user(1), None).await;
    append(notes, &[("page.created", page.id, user(1))]).await;
    for _ in 0..25 {
        append(notes, &vec![("note.updated", page.id, user(2)); 1000]).await;
    }
    let log = append(notes, &[("page.updated", page.id, user(1)), ("page.deleted", page.id, user(1))]).await;
    let pages: Vec<_> = log.into_iter().filter(|event| event.subject_kind == "page").collect();
    assert_eq!(feed.route(&pages[0]).audience, Audience::Everyone);
    for (limit, count) in [(100, 3), (2, 2), (1, 1)] {
        let found = feed.catch_up(notes.db.reader(), user(2), WHOLE, limit).await.unwrap();
        assert_eq!(found, pages[..count]);
    }
    let shown = feed.show(notes.db.reader(), &pages[..1]).await.unwrap();
    let data = serde_json::Value::from(shown[0].clone().unwrap().data);
    assert_eq!(data, serde_json::to_value(&page).unwrap());
}

/// A resource whose policy selects the readers of a row by conditions cannot be live by its policy.
#[test]
fn conditions_on_reading_are_refused() {
    crud::feed::<shared::Entity>().unwrap();
    let error = crud::feed::<filtered::Entity>().unwrap_err().to_string();
    assert!(error.contains("the resource draft can't be live"), "{error}");
}
