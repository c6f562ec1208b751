//! `Idempotency-Key`: a POST that is sent again takes effect once, and its repeats return the same result.
//!
//! The key is written in the transaction of the effect, so neither exists without the other: not after a crash, not with
//! concurrent requests, not on another server. A refused request stores no key, as it had no effect; when it is sent
//! again, it runs again.
//!
//! No response is stored. A key refers to the result by its ids, and a repeat reads the result as it is now. Text that
//! was deleted or edited since is therefore neither kept nor sent again. If the result no longer exists, or the
//! caller may no longer see it, a repeat is refused with `gone`, and still changes nothing.
//!
//! ```no_run
//! use groundwork_core::Db;
//! use groundwork_web::{NoContent, Idempotent, Problem, Reply};
//!
//! async fn ring(idempotent: Idempotent, db: actix_web::web::Data<Db>) -> Result<Reply<NoContent>, Problem> {
//!     idempotent.run(&db, async |_tx| Ok(((), NoContent)), async |_tx, ()| Ok(NoContent)).await
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
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
    web::Bytes,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use groundwork_auth::Caller;
use groundwork_core::{
    Db, Error, Kind, Result, Timestamp, Tx, Uuid,
    error::codes,
    sea_orm::{
        ColumnTrait, DeriveIden, EntityTrait, QueryFilter, QuerySelect, QueryTrait, Set,
        prelude::Expr,
        sea_query::{
            ColumnDef, ExprTrait, Index, IndexCreateStatement, OnConflict, Table, TableCreateStatement,
        },
    },
};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use utoipa::openapi::{
    ObjectBuilder, Required,
    path::{ParameterBuilder, ParameterIn},
    schema::{Schema, Type},
};

use crate::{
    Problem,
    http::extract::read_body,
    openapi::describe::{DescribeInput, DescribeOutput, OperationDoc},
};

/// The request header.
pub const HEADER: &str = "idempotency-key";
/// The response header of a repeat; its value is `true`.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The maximum number of characters of a key.
pub const MAX_LENGTH: usize = 255;
/// How long a key is valid.
pub const LIFETIME: Duration = Duration::from_hours(24);

/// The maximum number of keys that [`sweep`] deletes in one transaction.
const BATCH: u64 = 1000;

/// A key that was used, and what its request created.
pub mod row {
    use groundwork_core::{Timestamp, Uuid};
    use sea_orm::entity::prelude::*;

    /// A row of `idempotency_keys`.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "idempotency_keys")]
    pub struct Model {
        /// The user who sent the key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: Uuid,
        /// The key.
        #[sea_orm(primary_key, auto_increment = false)]
        pub key: String,
        /// SHA-256 of method, path and body, or of what [`Idempotent::identified_by`](super::Idempotent::identified_by) names,
        /// base64url.
        pub request_hash: String,
        /// The reference to the result, in JSON: its id, or several.
        #[sea_orm(column_type = "Text")]
        pub result: String,
        /// When the key may be used for another request.
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

/// Middleware of every operation with an [`Idempotent`] argument: reads the key, and the body for its hash.
///
/// # Errors
/// `invalid` for a key that is empty, longer than 255 characters or not printable ASCII; `malformed` and `too_large` as
/// for every body.
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
    let key = header.to_str().ok().filter(|key| is_valid(key)).ok_or_else(|| bad_key("Idempotency-Key"))?;
    let caller = request.extensions().get::<Caller>().map(|caller| caller.user_id);
    let Some(user_id) = caller else { return Ok(()) };
    let payload = request.take_payload();
    let body = read_body(request.request(), payload).await?;
    let request_hash = hash(request.request(), &body);
    request.set_payload(Payload::from(body));
    request.extensions_mut().insert(Key { user_id, text: key.to_owned(), request_hash });
    Ok(())
}

fn is_valid(key: &str) -> bool {
    (1..=MAX_LENGTH).contains(&key.len()) && key.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn bad_key(field: &str) -> Error {
    Error::invalid(field, "bad_value", "must have 1 to 255 printable ASCII characters")
}

/// The hash of an operation that is not identified by method, path and body. Each part has its length before it, so that
/// no two lists of parts have the same bytes.
fn hash_of(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    URL_SAFE_NO_PAD.encode(hasher.finalize())
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

/// Runs the effect of a POST once per idempotency key. An argument of its handler.
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
                "Makes the request safe to retry. A repeat within 24 hours changes nothing and returns the same result, \
                 as it is now.",
            ))
            .schema(Some(Schema::from(schema)));
        doc.parameters.push(parameter.build());
        doc.idempotent = true;
        doc.error(&[codes::MALFORMED, codes::TOO_LARGE, codes::INVALID, codes::IDEMPOTENCY_KEY_REUSED]);
        doc.error(&[codes::GONE]);
    }
}

impl Idempotent {
    /// Creates one outside an HTTP request, for an operation that clients can also call in another way. `field` is the name
    /// that the key has there, and `parts` are those of [`identified_by`](Self::identified_by).
    ///
    /// # Errors
    /// `invalid`, naming `field`, for a key that is empty, longer than 255 characters or not printable ASCII.
    pub fn with_key(field: &str, user_id: Uuid, key: &str, parts: &[&str]) -> Result<Self> {
        if !is_valid(key) {
            return Err(bad_key(field));
        }
        Ok(Self(Some(Key { user_id, text: key.to_owned(), request_hash: hash_of(parts) })))
    }

    /// The key, if the client sent one.
    pub fn key(&self) -> Option<&str> {
        self.0.as_ref().map(|key| key.text.as_str())
    }

    /// The key and the hash of the request, for an effect that claims the key by itself, in a statement of its own. The row is
    /// that of [`row::Model`], with the JSON of the result's reference.
    pub fn claim(&self) -> Option<(&str, &str)> {
        self.0.as_ref().map(|key| (key.text.as_str(), key.request_hash.as_str()))
    }

    /// Identifies the request by `parts` instead of by its method, path and body: the name of the operation and its
    /// arguments. So a request with the same key and the same parts is a repeat, however it is sent.
    #[must_use]
    pub fn identified_by(self, parts: &[&str]) -> Self {
        Self(self.0.map(|key| Key { request_hash: hash_of(parts), ..key }))
    }

    /// Runs `effect` in a transaction and commits it, or runs `replay` if an earlier request with the same key did so.
    ///
    /// `effect` returns the response, and a reference to its result, which is stored with the key: an id, several, or
    /// `()`. It must not contain anything that a user wrote. `replay` builds the response again from that reference.
    ///
    /// # Errors
    /// Those of `effect` and `replay`; `idempotency_key_reused` if the earlier request was a different one; `gone` if
    /// `replay` finds nothing.
    pub async fn run<K: Serialize + DeserializeOwned, R>(
        self,
        db: &Db,
        effect: impl AsyncFnOnce(&Tx) -> Result<(K, R)>,
        replay: impl AsyncFnOnce(&Tx, K) -> Result<R>,
    ) -> Result<Reply<R>, Problem> {
        let run = async |tx: &Tx| {
            let Some(key) = &self.0 else {
                return Ok(Reply::fresh(effect(tx).await?.1));
            };
            if let Some(result) = claim(tx, key).await? {
                let result = serde_json::from_str(&result).map_err(Error::internal)?;
                let answer = replay(tx, result).await.map_err(gone)?;
                return Ok(Reply { answer, is_replay: true });
            }
            let (result, answer) = effect(tx).await?;
            keep(tx, key, &result).await?;
            Ok(Reply::fresh(answer))
        };
        db.write(run).await
    }
}

/// Claims the key for this transaction, or returns the result stored under it. Of concurrent requests with one key the
/// first claims it, and the others wait here until that one is committed or rolled back.
async fn claim(tx: &Tx, key: &Key) -> Result<Option<String>> {
    let row = row::ActiveModel {
        user_id: Set(key.user_id),
        key: Set(key.text.clone()),
        request_hash: Set(key.request_hash.clone()),
        result: Set(String::new()),
        expires_at: Set(tx.now() + LIFETIME),
    };
    // An expired key is taken over by the statement that finds it expired, so that only one of several can.
    let take_over = OnConflict::columns([row::Column::UserId, row::Column::Key])
        .update_columns([row::Column::RequestHash, row::Column::Result, row::Column::ExpiresAt])
        .action_and_where(row::Column::ExpiresAt.lte(tx.now()))
        .to_owned();
    if row::Entity::insert(row).on_conflict(take_over).exec_without_returning(tx).await? > 0 {
        return Ok(None);
    }
    let found = row::Entity::find_by_id((key.user_id, key.text.clone())).one(tx).await?;
    let found = found.ok_or_else(|| Error::internal("an idempotency key that is valid was deleted"))?;
    if found.request_hash != key.request_hash {
        let detail = "this key was used for a different request";
        return Err(codes::IDEMPOTENCY_KEY_REUSED.error(detail));
    }
    Ok(Some(found.result))
}

async fn keep(tx: &Tx, key: &Key, result: &impl Serialize) -> Result<()> {
    let result = serde_json::to_string(result).map_err(Error::internal)?;
    row::Entity::update_many()
        .col_expr(row::Column::Result, Expr::value(result))
        .filter(row::Column::UserId.eq(key.user_id))
        .filter(row::Column::Key.eq(&key.text))
        .exec(tx)
        .await?;
    Ok(())
}

/// Converts `not_found` to `gone`: the resource existed when the request was first sent.
fn gone(error: Error) -> Error {
    match error.code().kind {
        Kind::NotFound => codes::GONE.error(
            "the first request with this Idempotency-Key succeeded; its result has been deleted, or you may \
             no longer see it",
        ),
        _ => error,
    }
}

/// Deletes the keys that expired at `before` or earlier, in batches of 1000, and returns their number. `before` should be
/// some time ago, so that no request under way still relies on a key.
pub async fn sweep(db: &Db, before: Timestamp) -> Result<u64> {
    let mut total = 0;
    loop {
        let expired = row::Entity::find()
            .select_only()
            .columns([row::Column::UserId, row::Column::Key])
            .filter(row::Column::ExpiresAt.lte(before))
            .limit(BATCH)
            .into_query();
        let key = Expr::tuple([Expr::col(row::Column::UserId), Expr::col(row::Column::Key)]);
        // Checked again in the statement that deletes: a request may have taken over the key in between.
        let batch = row::Entity::delete_many()
            .filter(key.in_subquery(expired))
            .filter(row::Column::ExpiresAt.lte(before));
        let deleted = db.write(async |tx| Ok::<_, Error>(batch.exec(tx).await?.rows_affected)).await?;
        total += deleted;
        if deleted < BATCH {
            return Ok(total);
        }
    }
}

/// The response of an operation that takes an idempotency key, with the header `Idempotency-Replayed: true` for a repeat.
#[derive(Clone, Debug)]
pub struct Reply<R> {
    /// The response.
    pub answer: R,
    /// Whether an earlier request had the effect.
    pub is_replay: bool,
}

impl<R> Reply<R> {
    /// The response of a request that was not sent before.
    pub fn fresh(answer: R) -> Self {
        Self { answer, is_replay: false }
    }
}

impl<R: Responder> Responder for Reply<R> {
    type Body = R::Body;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse<R::Body> {
        let mut response = self.answer.respond_to(request);
        if self.is_replay {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

impl<R: DescribeOutput> DescribeOutput for Reply<R> {
    fn describe(doc: &mut OperationDoc) {
        R::describe(doc);
    }
}

/// Returns the table and its indexes in their first version, for migrations. A later change is another function.
pub fn table_v1() -> (TableCreateStatement, Vec<IndexCreateStatement>) {
    #[derive(DeriveIden)]
    enum IdempotencyKeys {
        Table,
        UserId,
        Key,
        RequestHash,
        Result,
        ExpiresAt,
    }
    let table = Table::create()
        .table(IdempotencyKeys::Table)
        .col(ColumnDef::new(IdempotencyKeys::UserId).uuid().not_null())
        .col(ColumnDef::new(IdempotencyKeys::Key).string_len(255).not_null())
        .col(ColumnDef::new(IdempotencyKeys::RequestHash).string_len(64).not_null())
        .col(ColumnDef::new(IdempotencyKeys::Result).text().not_null())
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
