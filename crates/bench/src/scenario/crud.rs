//! The example service: a list of own rows, and a new one.

use std::{net::SocketAddr, rc::Rc};

use serde_json::Value as Json;

use super::{Direct, Scenario};
use crate::{
    Result,
    drive::{http::Http, work::Request},
    load::{sql::Dialect, world::id},
};

/// Part of the ids of the rows that are written without the service.
const WRITTEN: u64 = 0x400;

/// Signs up at the example service.
pub async fn scenarios(dialect: Dialect, address: SocketAddr) -> Result<Vec<Scenario>> {
    let mut http = Http::connect(address).await?;
    let body = r#"{"username":"bench","password":"Correct-Horse-1"}"#;
    let request = request("POST", "/auth/register", "", body);
    http.send(&request).await?;
    let session: Json = serde_json::from_slice(http.body())?;
    let token =
        session.get("access_token").and_then(Json::as_str).ok_or("the example service refused the user")?;
    let authorization = Rc::new(format!("Authorization: Bearer {token}\r\n"));
    let (reader, writer) = (Rc::clone(&authorization), authorization);
    let create: Request = Rc::new(move |number, out| {
        let body =
            format!(r#"{{"url":"https://example.org/{number}","title":"An example","tags":"one two"}}"#);
        out.extend(self::request("POST", "/bookmarks", &writer, &body));
    });
    let list: Request =
        Rc::new(move |_, out| out.extend(self::request("GET", "/bookmarks?size=20", &reader, "")));
    Ok(vec![
        Scenario {
            name: "crud, create",
            request: create,
            connections: None,
            direct: Some(direct_create(dialect)),
        },
        Scenario {
            name: "crud, list 20",
            request: list,
            connections: None,
            direct: Some(direct_list(dialect)),
        },
    ])
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: bench\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn direct_create(dialect: Dialect) -> Direct {
    let (id, owner, url) = (dialect.id_parameter(1), dialect.id_parameter(2), dialect.text_parameter(3));
    let (now, object) = (
        dialect.now(),
        match dialect {
            Dialect::Postgres => "'{}'::jsonb",
            Dialect::Sqlite => "'{}'",
        },
    );
    let row = format!(
        "INSERT INTO bookmarks (id, created_at, updated_at, owner_id, url, title, tags, pinned)
         VALUES ({id}, {now}, {now}, {owner}, {url}, 'An example', 'one two', false)"
    );
    let event = format!(
        "INSERT INTO events (subject_kind, subject_id, user_id, kind, actor_id, payload, created_at)
         SELECT 'bookmark', {id}, {owner}, 'bookmark.created', {owner}, {object}, {now}"
    );
    let statements = match dialect {
        Dialect::Postgres => vec![format!("WITH row AS ({row}) {event}")],
        Dialect::Sqlite => vec![row, event],
    };
    let values = |number: u64| {
        let [row, owner] = [id_of(number), id_of(0)];
        vec![row, owner, format!("https://example.com/{number}")]
    };
    Direct { statements, values: Rc::new(values), writes: true }
}

fn direct_list(dialect: Dialect) -> Direct {
    let owner = dialect.id_parameter(1);
    let sql = format!(
        "SELECT * FROM bookmarks WHERE owner_id = {owner} AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 20"
    );
    Direct { statements: vec![sql], values: Rc::new(|_| vec![id_of(0)]), writes: false }
}

fn id_of(number: u64) -> String {
    id(1_700_000_000_000, WRITTEN, number).simple().to_string()
}
