//! Writing a batch on PostgreSQL: one call of the function `send_messages`, or of `send_message` for a single message, which
//! the migrations define. They lock the threads first, and check and write in a later statement with a snapshot of its own.
//! One statement without a function could not do so: membership would be checked before the lock is taken, and the events
//! would have a stamp from before it.

use groundwork_core::{Error, Result, Timestamp, Uuid, sea_orm::Statement};
use sea_orm::{DbBackend, DbErr, QueryResult, Value};

use super::{Call, Outcome, Settings};

const MANY: &str = "SELECT * FROM send_messages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const ONE: &str = "SELECT * FROM send_message($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// Sends messages with different keys. If `waits`, it waits for the locks of their threads.
pub(super) async fn write(settings: &Settings, calls: &[&Call], waits: bool) -> Result<Vec<Outcome>> {
    let db = &settings.db;
    let now = db.now();
    let times = [now.into(), (now + settings.key_lifetime).into()];
    let ids: Vec<Uuid> = calls.iter().map(|_| db.new_id()).collect();
    let statement = match (calls, &*ids) {
        ([call], [id]) if !waits => one(times, call, *id),
        _ => many(times, calls, &ids, waits),
    };
    let rows = db.append_once(statement).await?;
    let mut outcomes: Vec<Option<Outcome>> = calls.iter().map(|_| None).collect();
    for row in &rows {
        let number: i64 = row.try_get_by_index(0)?;
        let index = usize::try_from(number - 1).map_err(Error::internal)?;
        let (Some(call), Some(id), Some(outcome)) =
            (calls.get(index), ids.get(index), outcomes.get_mut(index))
        else {
            return Err(unexpected());
        };
        *outcome = Some(outcome_of(row, call, *id)?);
    }
    outcomes.into_iter().collect::<Option<_>>().ok_or_else(unexpected)
}

fn one(times: [Value; 2], call: &Call, id: Uuid) -> Statement {
    let texts = [&call.text, call.client_id(), call.key(), call.request_hash()].map(Value::from);
    let values = times.into_iter().chain([id, call.thread, call.sender].map(Value::from)).chain(texts);
    Statement::from_sql_and_values(DbBackend::Postgres, ONE, values)
}

fn many(times: [Value; 2], calls: &[&Call], ids: &[Uuid], waits: bool) -> Statement {
    let uuids = |of: fn(&Call) -> Uuid| calls.iter().map(|call| of(call)).collect::<Vec<_>>().into();
    let texts =
        |of: fn(&Call) -> &str| calls.iter().map(|call| of(call).to_owned()).collect::<Vec<_>>().into();
    let columns = [
        waits.into(),
        ids.to_vec().into(),
        uuids(|call| call.thread),
        uuids(|call| call.sender),
        texts(|call| &call.text),
        texts(Call::client_id),
        texts(Call::key),
        texts(Call::request_hash),
    ];
    Statement::from_sql_and_values(DbBackend::Postgres, MANY, times.into_iter().chain(columns))
}

fn outcome_of(row: &QueryResult, call: &Call, id: Uuid) -> Result<Outcome, DbErr> {
    Ok(match row.try_get_by_index::<String>(1)?.as_str() {
        "sent" => {
            let at: Timestamp = row.try_get_by_index(4)?;
            let place = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
            call.sent(id, place, row.try_get_by_index(5)?, at)
        }
        "inactive" => Outcome::Inactive,
        "repeat" => Outcome::Repeat,
        "locked" => Outcome::Locked,
        _ => Outcome::NotFound,
    })
}

fn unexpected() -> Error {
    Error::internal("send_messages did not return one row for each message")
}
