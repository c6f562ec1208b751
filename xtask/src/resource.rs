//! Generates a resource in a service.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    edit::Edits,
    spec::{Field, Kind, Resource},
};

/// Returns the current folder if it is a service, and otherwise the messenger.
pub fn default_service() -> PathBuf {
    let here = PathBuf::from(".");
    if here.join("src/resources/mod.rs").exists() { here } else { PathBuf::from("crates/api") }
}

/// Generates the resource in the service in that folder, and returns a summary. Errors: the resource exists, or the folder
/// is not a service.
pub fn write(service: &Path, resource: &Resource) -> Result<String, String> {
    let Resource { snake, plural, name, .. } = resource;
    let list = service.join("src/resources/mod.rs");
    let known = fs::read_to_string(&list)
        .map_err(|_| format!("{} is not a service: it has no src/resources/mod.rs", service.display()))?;
    if known.contains(&format!("pub mod {snake};")) {
        return Err(format!("the resource {snake} already exists"));
    }
    let table = format!("#[sea_orm(table_name = \"{plural}\"");
    // In a workspace the other crates define tables of the same database.
    let workspace = service.join("../../crates");
    let sources = if workspace.join("api").exists() { workspace } else { service.to_owned() };
    if let Some(file) = file_with(&sources, &table) {
        return Err(format!("{} already defines the table {plural}", file.display()));
    }
    let mut edits = Edits::default();
    edits.create(service.join(format!("src/resources/{snake}.rs")), entity(resource))?;
    edits.insert(&list, "modules", &[format!("pub mod {snake};")])?;
    edits.insert(
        &list,
        "operations",
        &[format!("groundwork_web::Crud::<{snake}::Entity>::mount(routes);")],
    )?;
    edits.insert(&list, "live", &[format!("LiveResource::of::<{snake}::Entity>(),")])?;
    let migration =
        format!("groundwork_web::service::migrate::create_table(\"create_{plural}\", {snake}::table_v1()),");
    edits.insert(&list, "tables", &[migration])?;
    edits.create(service.join(format!("tests/it/{snake}.rs")), test(resource))?;
    edits.insert(&service.join("tests/it/main.rs"), "tests", &[format!("mod {snake};")])?;
    let written = edits.write()?;
    format(service);
    Ok(format!(
        "{name}: the own rows of each user, at /api/v1/{plural} and live, with the scopes {plural}:read and {plural}:write.\n  {}\n\
         Run its tests with: cargo test {snake}::\n\
         A snapshot of the OpenAPI document, where there is one, is taken anew with: INSTA_UPDATE=always cargo test openapi",
        written.join("\n  ")
    ))
}

/// Formats the crate. Without rustfmt it stays unformatted, which is not an error.
fn format(service: &Path) {
    let manifest = service.join("Cargo.toml");
    let _ = Command::new("cargo").args(["fmt", "--manifest-path"]).arg(manifest).status();
}

/// Returns the first source file below `folder` with a line that begins with `text`, except tests and documentation.
fn file_with(folder: &Path, text: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            let skipped = ["target", ".git", "tests", "doc"].iter().any(|skipped| name == *skipped);
            if let Some(found) = if skipped { None } else { file_with(&path, text) } {
                return Some(found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && fs::read_to_string(&path)
                .is_ok_and(|source| source.lines().any(|line| line.trim_start().starts_with(text)))
        {
            return Some(path);
        }
    }
    None
}

#[expect(clippy::too_many_lines, reason = "most of it is the file that it writes")]
fn entity(resource: &Resource) -> String {
    let Resource { name, snake, plural, fields } = resource;
    let of = |write: &dyn Fn(&Field) -> String| fields.iter().map(write).collect::<String>();
    let model = of(&|field| {
        let (name, ty) = (&field.name, field.rust());
        let ty = if field.nullable { format!("Option<{ty}>") } else { ty.to_owned() };
        let text = if field.kind == Kind::Text { "    #[sea_orm(column_type = \"Text\")]\n" } else { "" };
        let text = if field.kind == Kind::Text && field.nullable {
            "    #[sea_orm(column_type = \"Text\", nullable)]\n"
        } else {
            text
        };
        format!("    /// {}\n{text}    pub {name}: {ty},\n", doc(field))
    });
    // A text has its own type, which defines its length.
    let input = |field: &Field| match field.max_length() {
        Some(_) => format!("{name}{}", camel(&field.name)),
        None => field.rust().to_owned(),
    };
    let types = of(&|field| match field.max_length() {
        Some(max) => format!("/// {}\npub type {} = Text<1, {max}>;\n", doc(field), input(field)),
        None => String::new(),
    });
    let example = fields.iter().map(|field| format!("\"{}\": {}", field.name, field.example()));
    let example = example.collect::<Vec<_>>().join(", ");
    let create = of(&|field| {
        let (default, ty) = if field.nullable {
            ("    #[serde(default)]\n", format!("NullableChange<{}>", input(field)))
        } else {
            ("", input(field))
        };
        format!("    /// {}\n{default}    pub {}: {ty},\n", doc(field), field.name)
    });
    let patch = of(&|field| {
        let (ty, change) = (input(field), if field.nullable { "NullableChange" } else { "Change" });
        format!("    /// {}\n    #[serde(default)]\n    pub {}: {change}<{ty}>,\n", doc(field), field.name)
    });
    let columns = of(&|field| format!("        .col({})\n", field.column()));
    let listed = of(&|field| format!("Column::{}, ", camel(&field.name)));
    let texts: Vec<_> = fields.iter().filter(|field| field.rust() == "String").collect();
    let search =
        texts.iter().map(|field| format!("Column::{}", camel(&field.name))).collect::<Vec<_>>().join(", ");
    let search = if search.is_empty() {
        String::new()
    } else {
        format!("    const SEARCH: &'static [Column] = &[{search}];\n")
    };
    let mut functions: Vec<String> = fields.iter().map(function_of).collect();
    functions.push("uuid".to_owned());
    functions.sort();
    functions.dedup();
    let functions = functions.join(", ");
    let mut imports = vec!["FieldErrors", "Listable", "Timestamp", "Uuid", "Validate", "base", "common_base"];
    let any = |condition: fn(&Field) -> bool| fields.iter().any(condition);
    let used = [
        ("Change", any(|field| !field.nullable)),
        ("NullableChange", any(|field| field.nullable)),
        ("Text", any(|field| field.max_length().is_some())),
    ];
    imports.extend(used.iter().filter(|(_, used)| *used).map(|(name, _)| *name));
    let imports = imports.join(", ");
    let checks = |of_patch: bool| {
        let mut checks = String::new();
        for field in &texts {
            let name = &field.name;
            let check = format!("{name}.check(\"{name}\", errors);");
            let _ = if of_patch || field.nullable {
                writeln!(checks, "        if let Some({name}) = self.{name}.value() {{ {check} }}")
            } else {
                writeln!(checks, "        self.{check}")
            };
        }
        checks
    };
    let (create_checks, patch_checks) = (checks(false), checks(true));
    let errors = if texts.is_empty() { "_" } else { "errors" };
    format!(
        r#"//! The table `{plural}`, its request and response types, and its row policy.

use groundwork_auth::Caller;
use groundwork_core::{{{imports}}};
use groundwork_web::{{Resource, RowPolicy}};
use sea_orm::{{DeriveIntoActiveModel, entity::prelude::*}};
use sea_orm_migration::{{
    schema::{{{functions}}},
    sea_query::{{Index, IndexCreateStatement, TableCreateStatement}},
}};
use serde::{{Deserialize, Serialize}};
use utoipa::ToSchema;

/// A row of the table, which is also the response.
#[sea_orm::compact_model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, ToSchema)]
#[sea_orm(table_name = "{plural}")]
#[schema(as = {name})]
pub struct Model {{
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted, or null.
    pub deleted_at: Option<Timestamp>,
    /// The user who owns it.
    pub owner_id: Uuid,
{model}}}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "there are none")]
pub enum Relation {{}}

impl ActiveModelBehavior for ActiveModel {{}}

common_base!();

impl Listable for Entity {{
    const FIELDS: &'static [Column] = &[Column::Id, {listed}Column::CreatedAt, Column::UpdatedAt];
{search}}}

/// The table and its indexes in their first version. Never changes: a later change is another migration.
pub fn table_v1() -> (TableCreateStatement, Vec<IndexCreateStatement>) {{
    let table = base::table_v1("{plural}")
        .col(uuid("owner_id"))
{columns}        .take();
    let of_owner = Index::create().name("ix_{plural}_owner").table("{plural}").col("owner_id").col("id").take();
    (table, vec![of_owner])
}}

{types}
/// The fields of a new one.
#[derive(Clone, Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({{{example}}}))]
pub struct New{name} {{
{create}}}

/// A change. A field that is not in the request stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({{{example}}}))]
pub struct {name}Patch {{
{patch}}}

impl Validate for New{name} {{
    fn validate(&self, {errors}: &mut FieldErrors) {{
{create_checks}    }}
}}

impl Validate for {name}Patch {{
    fn validate(&self, {errors}: &mut FieldErrors) {{
{patch_checks}    }}
}}

impl Resource for Entity {{
    type Create = New{name};
    type Patch = {name}Patch;
    type Output = Model;
    const NAME: &'static str = "{snake}";
    const PATH: &'static str = "/{plural}";
    const SCOPES: (&'static str, &'static str) = ("{plural}:read", "{plural}:write");
    fn policy(caller: &Caller) -> RowPolicy<Self> {{
        RowPolicy::own(Column::OwnerId, caller)
    }}
}}
"#
    )
}

fn test(resource: &Resource) -> String {
    let Resource { snake, plural, fields, .. } = resource;
    let body = fields.iter().map(|field| format!("\"{}\": {}", field.name, value(field))).collect::<Vec<_>>();
    let body = body.join(", ");
    let first = fields.first().map_or("id", |field| field.name.as_str());
    let change = fields.first().map_or_else(String::new, changed);
    format!(
        r#"//! The resource `{snake}`.

use groundwork_testkit::both_databases;
use serde_json::{{Value, json}};

use crate::support::App;

const PATH: &str = "/api/v1/{plural}";

/// The owner creates, lists, reads, updates, deletes and restores one; others cannot see it.
#[both_databases]
async fn is_managed_by_its_owner(app: &App) {{
    let (ada, charles) = (app.client().register("ada").await, app.client().register("charles").await);
    let made = ada.post(PATH, &json!({{{body}}})).await.expect(201);
    let one = format!("{{PATH}}/{{}}", made["id"].as_str().unwrap());
    assert_eq!(ada.get(&one).await.expect(200), made);
    assert_eq!(ada.get(PATH).await.expect(200)["total"], 1);
    assert_eq!(charles.get(PATH).await.expect(200)["total"], 0);
    charles.get(&one).await.refused(404, "not_found");
    let changed = ada.patch(&one, &json!({{"{first}": {change}}})).await.expect(200);
    assert_eq!(changed["{first}"], json!({change}));
    ada.delete(&one).await.expect(204);
    ada.get(&one).await.refused(404, "not_found");
    ada.post(&format!("{{one}}/restore"), &Value::Null).await.expect(200);
    assert_eq!(ada.get(&one).await.expect(200)["{first}"], changed["{first}"]);
}}

/// Its owner gets each change live, and nobody else gets any.
#[both_databases]
async fn is_live_for_its_owner(app: &App) {{
    let (ada, charles) = (app.client().register("ada").await, app.client().register("charles").await);
    let mut socket = ada.socket("/api/v1/ws").await;
    socket.next("ready").await;
    let since = socket.cursor().to_owned();
    let made = ada.post(PATH, &json!({{{body}}})).await.expect(201);
    assert_eq!(socket.next("{snake}.created").await["data"], made);
    let of_charles = charles.get(&format!("/api/v1/sync?since={{since}}")).await.expect(200).to_string();
    assert!(!of_charles.contains(made["id"].as_str().unwrap()), "{{of_charles}}");
}}

/// An invalid body is refused with every error.
#[both_databases]
async fn refuses_invalid_bodies(app: &App) {{
    let ada = app.client().register("ada").await;
    let errors = ada.post(PATH, &json!({{"nonsense": 1}})).await.field_errors();
    assert!(errors.contains(&"nonsense: unknown_field".to_owned()), "{{errors:?}}");
    assert_eq!(ada.get(PATH).await.expect(200)["total"], 0);
}}
"#
    )
}

fn value(field: &Field) -> &'static str {
    match field.kind {
        Kind::String | Kind::Text => "\"one\"",
        Kind::Bool => "false",
        Kind::Int => "1",
        Kind::Uuid => "\"0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11\"",
        Kind::Time => "\"2026-01-31T09:30:00.000000Z\"",
    }
}

fn changed(field: &Field) -> String {
    match field.kind {
        Kind::String | Kind::Text => "\"two\"",
        Kind::Bool => "true",
        Kind::Int => "2",
        Kind::Uuid => "\"0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b22\"",
        Kind::Time => "\"2027-01-31T09:30:00.000000Z\"",
    }
    .to_owned()
}

fn doc(field: &Field) -> String {
    let words = field.name.replace('_', " ");
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn camel(name: &str) -> String {
    heck::AsUpperCamelCase(name).to_string()
}

fn function_of(field: &Field) -> String {
    field.column().split('(').next().unwrap_or_default().to_owned()
}
