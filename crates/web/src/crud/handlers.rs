//! The operations of a resource, and mounting them.

use std::marker::PhantomData;

use actix_web::web::Data;
use groundwork_core::{Code, Controller, Db, Page, Result, Tx, Uuid, error::codes};
use serde_json::json;

use super::{Bulk, BulkOf, Reading, Resource, RowOf, Writing, bulk::at_item, controller::ResourceController};
use crate::{
    Body, Created, ETagged, IdPath, Idempotent, IfMatch, Json, List, NoContent, Path, Problem, Reply, Routes,
    Scoped, http::etag::etag_of,
};

/// Mounts a [`Resource`].
#[derive(Clone, Copy, Debug)]
pub struct Crud<R>(PhantomData<R>);

impl<R: Resource> Crud<R> {
    /// Adds the resource's operations to the table, below the table's prefix.
    pub fn mount(routes: &mut Routes) {
        let (name, path) = (R::NAME, R::PATH);
        let tag = path.rsplit('/').next().unwrap_or(path);
        let one = format!("{path}/{{id}}");
        let id = |verb: &str| format!("{tag}_{verb}");
        let mark = |action: &str| json!({"name": name, "path": path, "action": action});
        routes.tag(tag, format!("Every {name}: list, make, change, delete, restore"));
        routes
            .get(path, id("list"), format!("List every {name}, with filters"), list::<R>)
            .extension("x-resource", mark("list"));
        routes
            .post(path, id("create"), format!("Make a {name}"), create::<R>)
            .errors(&[R::CONFLICT])
            .errors(R::ERRORS)
            .extension("x-resource", mark("create"));
        routes
            .post(
                &format!("{path}/bulk"),
                id("create_bulk"),
                format!("Make several of {tag}"),
                create_bulk::<R>,
            )
            .describe("At most 100, all or none; each faulty item is named.")
            .errors(&[R::CONFLICT])
            .errors(R::ERRORS)
            .extension("x-resource", mark("create_bulk"));
        routes
            .get(&one, id("get"), format!("One {name}"), get::<R>)
            .errors(&[codes::NOT_FOUND])
            .extension("x-resource", mark("get"));
        let changing = [codes::NOT_FOUND, codes::FORBIDDEN, R::CONFLICT];
        let required: &[Code] = if R::REQUIRE_IF_MATCH { &[codes::PRECONDITION_REQUIRED] } else { &[] };
        routes
            .patch(&one, id("update"), format!("Change a {name}"), update::<R>)
            .describe("A field that isn't mentioned stays as it is; null clears it.")
            .errors(&changing)
            .errors(required)
            .errors(R::ERRORS)
            .extension("x-resource", mark("update"));
        routes
            .delete(&one, id("delete"), format!("Delete a {name}"), delete::<R>)
            .describe("A soft delete: it can be restored.")
            .errors(&changing)
            .errors(required)
            .errors(R::ERRORS)
            .extension("x-resource", mark("delete"));
        routes
            .post(
                &format!("{one}/restore"),
                id("restore"),
                format!("Bring a deleted {name} back"),
                restore::<R>,
            )
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
    let page = ResourceController::<R>::reading(&caller).list(db.reader(), &list.query, list.request).await?;
    Ok(Json(page.map(R::Output::from)))
}

async fn get<R: Resource>(
    caller: Scoped<Reading<R>>,
    db: Data<Db>,
    path: Path<IdPath>,
) -> Result<Shown<R>, Problem> {
    Ok(shown::<R>(ResourceController::<R>::reading(&caller).get(db.reader(), path.0.id).await?))
}

async fn create<R: Resource>(
    caller: Scoped<Writing<R>>,
    db: Data<Db>,
    idempotent: Idempotent,
    body: Body<R::Create>,
) -> Result<Reply<ETagged<Created<R::Output>>>, Problem> {
    let controller = ResourceController::<R>::writing(&caller, IfMatch::default());
    let create = async |tx: &Tx| {
        let row = controller.create(tx, body.0).await?;
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
            let row = controller.create(tx, item).await.map_err(|error| at_item(error, index))?;
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
