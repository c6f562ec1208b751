//! `Idempotency-Key`: a POST that is sent again has its effect once, and gets the first answer again.
//!
//! The key is written in the transaction of the effect. So there is no moment at which one is there without the
//! other: not after a crash, not with two requests at once, not on another server. A refused request leaves no key,
//! as it had no effect; sent again, it is looked at again.
//!
//! ```no_run
//! use groundwork_core::Db;
//! use groundwork_web::{NoContent, Idempotent, Problem, Reply};
//!
//! async fn ring(idempotent: Idempotent, db: actix_web::web::Data<Db>) -> Result<Reply<NoContent>, Problem> {
//!     idempotent.run(&db, async |_tx| Ok(NoContent)).await
//! }
//!
//! let mut routes = groundwork_web::Routes::new();
//! routes.post("/bell", "bell_ring", "Ring the bell", ring);
//! ```

use std::{
    future::{Ready, ready},
    time::Duration,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, HttpResponse, Responder,
    body::{BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::Next,
    web::Bytes,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use groundwork_auth::Caller;
use groundwork_core::{
    Db, Error, Result, Timestamp, Tx, Uuid,
    error::codes,
    sea_orm::{
        ColumnTrait, DeriveIden, EntityTrait, QueryFilter, Set, TryInsertResult, Value,
        prelude::Expr,
        sea_query::{ColumnDef, Index, IndexCreateStatement, Table, TableCreateStatement},
    },
};
use sha2::{Digest, Sha256};
use utoipa::openapi::{
    ObjectBuilder, Required,
    path::{ParameterBuilder, ParameterIn},
    schema::{Schema, Type},
};

use crate::{
    Problem,
    http::extract::read_body,
    http::respond::{Answer, response},
    openapi::describe::{DescribeInput, DescribeOutput, OperationDoc},
};

/// The header.
pub const HEADER: &str = "idempotency-key";
/// The most characters of a key.
pub const MAX_LENGTH: usize = 255;
/// How long an answer is kept.
pub const LIFETIME: Duration = Duration::from_hours(24);

/// A key that was used, and the answer.
pub mod row {
    use groundwork_core::{Timestamp, Uuid};
    use sea_orm::entity::prelude::*;

    /// A key that was used.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "idempotency_keys")]
    pub struct Model {
        /// Whose key it is.
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: Uuid,
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub key: String,
        /// SHA-256 of method, path and body, base64url.
        pub request_hash: String,
        /// The status of the answer.
        pub status: i32,
        /// The body of the answer.
        #[sea_orm(column_type = "Text")]
        pub body: String,
        /// When it is forgotten.
        pub expires_at: Timestamp,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug)]
struct Key {
    user_id: Uuid,
    text: String,
    request_hash: String,
}

/// Middleware of every operation with an [`Idempotent`] argument: reads the key, and the body for its hash. Errors:
/// `invalid` for a key that is too long; `malformed` and `too_large` as for every body.
pub(crate) async fn read_key<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match prepare(&mut request).await {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(error) => Ok(request.error_response(Problem(error))),
    }
}

async fn prepare(request: &mut ServiceRequest) -> Result<()> {
    let Some(header) = request.headers().get(HEADER).cloned() else {
        return Ok(());
    };
    let key = header.to_str().ok().filter(|key| (1..=MAX_LENGTH).contains(&key.len()));
    let key = key.ok_or_else(|| {
        Error::invalid("Idempotency-Key", "bad_value", "must have 1 to 255 printable ASCII characters")
    })?;
    let caller = request.extensions().get::<Caller>().map(|caller| caller.user_id);
    let Some(user_id) = caller else { return Ok(()) };
    let payload = request.take_payload();
    let body = read_body(request.request(), payload).await?;
    let request_hash = hash(request.request(), &body);
    request.set_payload(Payload::from(body));
    request.extensions_mut().insert(Key { user_id, text: key.to_owned(), request_hash });
    Ok(())
}

fn hash(request: &HttpRequest, body: &Bytes) -> String {
    let mut hasher = Sha256::new();
    hasher.update(request.method().as_str());
    hasher.update(b" ");
    hasher.update(request.uri().to_string());
    hasher.update(b"\n");
    hasher.update(body);
    URL_SAFE_NO_PAD.encode(hasher.finalize())
}

/// Runs the effect of a POST once per idempotency key: an argument of its handler.
#[derive(Clone, Debug)]
pub struct Idempotent(Option<Key>);

impl FromRequest for Idempotent {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.extensions().get::<Key>().cloned())))
    }
}

impl DescribeInput for Idempotent {
    fn describe(doc: &mut OperationDoc) {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(MAX_LENGTH))
            .build();
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Makes it safe to send this again: a repeat within 24 hours changes nothing and gets the first answer.",
            ))
            .schema(Some(Schema::from(schema)));
        doc.parameters.push(parameter.build());
        doc.idempotent = true;
        doc.error(&[codes::MALFORMED, codes::TOO_LARGE, codes::INVALID, codes::IDEMPOTENCY_KEY_REUSED]);
    }
}

impl Idempotent {
    /// Runs `work` in a transaction and commits it, or gives the answer that an earlier request with the same key
    /// got. Errors: those of `work`; `idempotency_key_reused` where the earlier request was another one.
    pub async fn run<R: Answer>(
        self,
        db: &Db,
        work: impl AsyncFnOnce(&Tx) -> Result<R>,
    ) -> Result<Reply<R>, Problem> {
        let tx = db.begin().await?;
        let Some(key) = self.0 else {
            let answer = work(&tx).await?;
            tx.commit().await?;
            return Ok(Reply::Fresh(answer));
        };
        if let Some(stored) = claim(&tx, &key).await? {
            return Ok(stored);
        }
        let answer = work(&tx).await?;
        keep(&tx, &key, &answer).await?;
        tx.commit().await?;
        Ok(Reply::Fresh(answer))
    }
}

/// Takes the key for this transaction, or gives the answer that is kept under it. A second request with the same key
/// waits here until the first is done.
async fn claim<R>(tx: &Tx, key: &Key) -> Result<Option<Reply<R>>> {
    let expires_at = tx.now() + LIFETIME;
    let row = row::ActiveModel {
        user_id: Set(key.user_id),
        key: Set(key.text.clone()),
        request_hash: Set(key.request_hash.clone()),
        status: Set(0),
        body: Set(String::new()),
        expires_at: Set(expires_at),
    };
    let inserted = row::Entity::insert(row).on_conflict_do_nothing().exec_without_returning(tx).await?;
    if matches!(inserted, TryInsertResult::Inserted(1..)) {
        return Ok(None);
    }
    let found = row::Entity::find_by_id((key.user_id, key.text.clone())).one(tx).await?;
    match found {
        Some(found) if found.expires_at > tx.now() => stored(found, key).map(Some),
        // Forgotten, though not yet swept away.
        _ => {
            row::Entity::update_many()
                .col_expr(row::Column::RequestHash, Expr::value(Value::from(key.request_hash.clone())))
                .col_expr(row::Column::ExpiresAt, Expr::value(Value::from(expires_at)))
                .filter(of(key))
                .exec(tx)
                .await?;
            Ok(None)
        }
    }
}

fn of(key: &Key) -> Expr {
    use groundwork_core::sea_orm::sea_query::ExprTrait;
    row::Column::UserId.eq(key.user_id).and(row::Column::Key.eq(key.text.clone()))
}

fn stored<R>(found: row::Model, key: &Key) -> Result<Reply<R>> {
    if found.request_hash != key.request_hash {
        let detail = "this Idempotency-Key was used with another method, path or body";
        return Err(codes::IDEMPOTENCY_KEY_REUSED.error(detail));
    }
    let status = u16::try_from(found.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.ok_or_else(|| Error::internal("a stored answer has no status"))?;
    Ok(Reply::Stored(status, found.body))
}

async fn keep(tx: &Tx, key: &Key, answer: &impl Answer) -> Result<()> {
    let body = answer.json().map_err(Error::internal)?;
    row::Entity::update_many()
        .col_expr(row::Column::Status, Expr::value(i32::from(answer.status().as_u16())))
        .col_expr(row::Column::Body, Expr::value(body))
        .filter(of(key))
        .exec(tx)
        .await?;
    Ok(())
}

/// Forgets the answers whose time was over at `now`. Gives how many.
pub async fn sweep(db: &Db, now: Timestamp) -> Result<u64> {
    let tx = db.begin().await?;
    let done = row::Entity::delete_many().filter(row::Column::ExpiresAt.lte(now)).exec(&tx).await?;
    tx.commit().await?;
    Ok(done.rows_affected)
}

/// The answer of this request, or that of an earlier one with the same key.
#[derive(Clone, Debug)]
pub enum Reply<R> {
    /// Made just now.
    Fresh(R),
    /// As it was given before.
    Stored(StatusCode, String),
}

impl<R: Responder<Body = BoxBody>> Responder for Reply<R> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        match self {
            Self::Fresh(answer) => answer.respond_to(request),
            Self::Stored(status, body) => {
                let mut response = response(status, body);
                let headers = response.headers_mut();
                headers.insert(
                    actix_web::http::header::HeaderName::from_static("idempotency-replayed"),
                    actix_web::http::header::HeaderValue::from_static("true"),
                );
                response
            }
        }
    }
}

impl<R: DescribeOutput> DescribeOutput for Reply<R> {
    fn describe(doc: &mut OperationDoc) {
        R::describe(doc);
    }
}

/// The table in its first form, for a service's migrations. Never changes: what comes later is a further function.
pub fn table_v1() -> (TableCreateStatement, Vec<IndexCreateStatement>) {
    #[derive(DeriveIden)]
    enum IdempotencyKeys {
        Table,
        UserId,
        Key,
        RequestHash,
        Status,
        Body,
        ExpiresAt,
    }
    let table = Table::create()
        .table(IdempotencyKeys::Table)
        .col(ColumnDef::new(IdempotencyKeys::UserId).uuid().not_null())
        .col(ColumnDef::new(IdempotencyKeys::Key).string_len(255).not_null())
        .col(ColumnDef::new(IdempotencyKeys::RequestHash).string_len(64).not_null())
        .col(ColumnDef::new(IdempotencyKeys::Status).integer().not_null())
        .col(ColumnDef::new(IdempotencyKeys::Body).text().not_null())
        .col(ColumnDef::new(IdempotencyKeys::ExpiresAt).date_time().not_null())
        .primary_key(Index::create().col(IdempotencyKeys::UserId).col(IdempotencyKeys::Key))
        .take();
    let index = Index::create()
        .name("ix_idempotency_keys_expires")
        .table(IdempotencyKeys::Table)
        .col(IdempotencyKeys::ExpiresAt)
        .take();
    (table, vec![index])
}
