//! The operations of a resource, and mounting them.

use std::marker::PhantomData;

use actix_web::web::Data;
use groundwork_core::{Code, Controller, Db, Page, Result, Tx, Uuid, error::codes};
use serde_json::json;

use super::{
    Bulk, BulkOf, MAX_BULK, Reading, Resource, RowOf, Writing, bulk::at_item, controller::ResourceController,
};
use crate::{
    Body, Created, ETagged, IdPath, Idempotent, IfMatch, Json, List, NoContent, Path, Problem, Reply, Routes,
    Scoped, http::etag::etag_of,
};

/// The example id of every resource. No row has it.
const EXAMPLE_ID: &str = "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11";

/// Mounts a [`Resource`].
#[derive(Clone, Copy, Debug)]
pub struct Crud<R>(PhantomData<R>);

impl<R: Resource> Crud<R> {
    /// Adds the resource's operations to the table, below the table's prefix.
    pub fn mount(routes: &mut Routes) {
        let (name, path) = (R::NAME, R::PATH);
        let tag = path.rsplit('/').next().unwrap_or(path);
        let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        let one = format!("{path}/{{id}}");
        let id = |verb: &str| format!("{tag}_{verb}");
        let mark = |action: &str| json!({"name": name, "path": path, "action": action});
        routes.tag(tag, format!("Create, list, update, delete and restore {tag}.")).example("id", EXAMPLE_ID);
        routes
            .get(path, id("list"), format!("List {tag}"), list::<R>)
            .describe(format!("Returns the {tag} that you can see. Filters, order and search apply to them."))
            .extension("x-resource", mark("list"));
        routes
            .post(path, id("create"), format!("Create {article} {name}"), create::<R>)
            .describe(format!("Creates {article} {name} and returns it."))
            .errors(&[codes::FORBIDDEN, R::CONFLICT])
            .errors(R::ERRORS)
            .extension("x-resource", mark("create"));
        routes
            .post(&format!("{path}/bulk"), id("create_bulk"), format!("Create several {tag}"), create_bulk::<R>)
            .describe(format!(
                "Creates up to {MAX_BULK} {tag}, or none if one of them is refused. Errors name the item by its position."
            ))
            .errors(&[codes::FORBIDDEN, R::CONFLICT])
            .errors(R::ERRORS)
            .extension("x-resource", mark("create_bulk"));
        routes
            .get(&one, id("get"), format!("Get {article} {name}"), get::<R>)
            .describe(format!("Returns {article} {name} with its `ETag`."))
            .errors(&[codes::NOT_FOUND])
            .extension("x-resource", mark("get"));
        let changing = [codes::NOT_FOUND, codes::FORBIDDEN, R::CONFLICT];
        let required: &[Code] = if R::REQUIRE_IF_MATCH { &[codes::PRECONDITION_REQUIRED] } else { &[] };
        routes
            .patch(&one, id("update"), format!("Update {article} {name}"), update::<R>)
            .describe("Changes the given fields. `null` clears a field.")
            .errors(&changing)
            .errors(required)
            .errors(R::ERRORS)
            .extension("x-resource", mark("update"));
        routes
            .delete(&one, id("delete"), format!("Delete {article} {name}"), delete::<R>)
            .describe(format!("Deletes {article} {name}. It can be restored."))
            .errors(&changing)
            .errors(required)
            .errors(R::ERRORS)
            .extension("x-resource", mark("delete"));
        routes
            .post(&format!("{one}/restore"), id("restore"), format!("Restore {article} {name}"), restore::<R>)
            .describe(format!("Restores a deleted {name} and returns it."))
            .errors(&changing)
            .extension("x-resource", mark("restore"));
    }
}

type Shown<R> = ETagged<Json<<R as Resource>::Output>>;

fn shown<R: Resource>(row: RowOf<R>) -> Shown<R> {
    ETagged { etag: etag_of::<R>(&row), answer: Json(row.into()) }
}

fn created<R: Resource>(row: RowOf<R>) -> ETagged<Created<R::Output>> {
    ETagged { etag: etag_of::<R>(&row), answer: Created(row.into()) }
}

async fn list<R: Resource>(
    caller: Scoped<Reading<R>>,
    db: Data<Db>,
    list: List<R>,
) -> Result<Json<Page<R::Output>>, Problem> {
    let page = ResourceController::<R>::reading(&caller)
        .list(&db.any_reader().await, &list.query, list.request)
        .await?;
    Ok(Json(page.map(R::Output::from)))
}

async fn get<R: Resource>(
    caller: Scoped<Reading<R>>,
    db: Data<Db>,
    path: Path<IdPath>,
) -> Result<Shown<R>, Problem> {
    Ok(shown::<R>(ResourceController::<R>::reading(&caller).get(&db.any_reader().await, path.0.id).await?))
}

async fn create<R: Resource>(
    caller: Scoped<Writing<R>>,
    db: Data<Db>,
    idempotent: Idempotent,
    body: Body<R::Create>,
) -> Result<Reply<ETagged<Created<R::Output>>>, Problem> {
    let controller = ResourceController::<R>::writing(&caller, IfMatch::default());
    let create = async |tx: &Tx| {
        let row = controller.create(tx, body.0).await.map_err(ResourceController::<R>::explain_reference)?;
        Ok((R::id_of(&row), created::<R>(row)))
    };
    let replay = async |tx: &Tx, id| Ok(created::<R>(controller.get(tx, id).await?));
    idempotent.run(&db, create, replay).await
}

async fn create_bulk<R: Resource>(
    caller: Scoped<Writing<R>>,
    db: Data<Db>,
    idempotent: Idempotent,
    body: Body<Bulk<R::Create>>,
) -> Result<Reply<Created<BulkOf<R::Output>>>, Problem> {
    let controller = ResourceController::<R>::writing(&caller, IfMatch::default());
    let create = async |tx: &Tx| {
        let (mut ids, mut items) = (Vec::new(), Vec::new());
        for (index, item) in body.0.items.into_iter().enumerate() {
            let created =
                controller.create(tx, item).await.map_err(ResourceController::<R>::explain_reference);
            let row = created.map_err(|error| at_item(error, index))?;
            ids.push(R::id_of(&row));
            items.push(row.into());
        }
        Ok((ids, Created(BulkOf { items })))
    };
    let replay = async |tx: &Tx, ids: Vec<Uuid>| {
        let mut items = Vec::new();
        for id in ids {
            items.push(controller.get(tx, id).await?.into());
        }
        Ok(Created(BulkOf { items }))
    };
    idempotent.run(&db, create, replay).await
}

async fn update<R: Resource>(
    caller: Scoped<Writing<R>>,
    db: Data<Db>,
    path: Path<IdPath>,
    if_match: IfMatch,
    body: Body<R::Patch>,
) -> Result<Shown<R>, Problem> {
    let controller = ResourceController::<R>::writing(&caller, if_match);
    let update = async |tx: &Tx| match controller.update(tx, path.0.id, body.0).await {
        Ok(row) => Ok(shown::<R>(row)),
        Err(error) => Err(controller.explain(tx, path.0.id, error).await),
    };
    Ok(db.write(update).await?)
}

async fn delete<R: Resource>(
    caller: Scoped<Writing<R>>,
    db: Data<Db>,
    path: Path<IdPath>,
    if_match: IfMatch,
) -> Result<NoContent, Problem> {
    let controller = ResourceController::<R>::writing(&caller, if_match);
    let delete = async |tx: &Tx| match controller.delete(tx, path.0.id).await {
        Ok(()) => Ok(NoContent),
        Err(error) => Err(controller.explain(tx, path.0.id, error).await),
    };
    Ok(db.write(delete).await?)
}

async fn restore<R: Resource>(
    caller: Scoped<Writing<R>>,
    db: Data<Db>,
    path: Path<IdPath>,
    idempotent: Idempotent,
) -> Result<Reply<Shown<R>>, Problem> {
    let controller = ResourceController::<R>::writing(&caller, IfMatch::default());
    let restore = async |tx: &Tx| Ok(((), shown::<R>(controller.restore(tx, path.0.id).await?)));
    let replay = async |tx: &Tx, ()| Ok(shown::<R>(controller.get(tx, path.0.id).await?));
    idempotent.run(&db, restore, replay).await
}
