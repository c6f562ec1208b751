//! The script that moves the data of a FastAPI messenger, taken from the documentation.

use groundwork_auth::Passwords;
use groundwork_testkit::{Backend, client::PASSWORD};
use messenger_domain::threads::audit;
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::support::{App, Talks};

/// Tables as the FastAPI messengers have them: integer ids, one table with a hash, direct messages and groups.
const OLD: &str = r"
    CREATE SCHEMA old;
    CREATE TABLE old.users AS SELECT * FROM (VALUES
        (1, 'Ada', 'Ada@example.org', '$HASH', true, timestamp '2024-01-01 10:00:00'),
        (2, 'charles', NULL, '$HASH', true, timestamp '2024-01-02 10:00:00'),
        (3, 'grace', NULL, '$HASH', false, timestamp '2024-01-03 10:00:00')
    ) AS rows (id, username, email, hashed_password, is_active, created_at);
    CREATE TABLE old.messages AS SELECT * FROM (VALUES
        (1, 1, 2, 'one', timestamp '2024-02-01 10:00:00', timestamp '2024-02-01 11:00:00'),
        (2, 2, 1, 'two', timestamp '2024-02-02 10:00:00', NULL),
        (3, 1, 2, 'three', timestamp '2024-02-03 10:00:00', NULL)
    ) AS rows (id, sender_id, receiver_id, contents, created_at, read_at);
    CREATE TABLE old.threads AS SELECT 7 AS id, 'Engines' AS name, timestamp '2024-03-01 10:00:00' AS created_at;
    CREATE TABLE old.thread_users AS SELECT * FROM (VALUES (7, 1), (7, 2), (7, 3)) AS rows (thread_id, user_id);
    CREATE TABLE old.thread_messages AS SELECT 1 AS id, 7 AS thread_id, 3 AS sender_id, 'hello' AS body,
        timestamp '2024-03-02 10:00:00' AS created_at;";

/// The documented script moves accounts with their passwords, direct messages with what was read, and groups.
#[test]
fn the_documented_script_moves_the_data() {
    groundwork_testkit::run::<App>(Backend::Postgres, async |app: &App| {
        let page = include_str!("../../../../docs/from-fastapi.md");
        let script = page.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let hash = Passwords::new(4).unwrap().hash(PASSWORD).await.unwrap();
        assert!(hash.starts_with("$2b$"), "as passlib and bcrypt write it");
        let database = app.db.db.schema();
        database.execute_unprepared(&OLD.replace("$HASH", &hash)).await.unwrap();
        database.execute_unprepared(&format!("BEGIN; {script}; COMMIT")).await.unwrap();

        let differences = audit::differences(app.db.db.reader()).await.unwrap();
        assert_eq!(differences, Vec::<String>::new());
        let (ada, charles) = (app.client().login("ada").await, app.client().login("charles").await);
        let inbox = charles.get("/api/v1/messages/inbox?unread_only=true").await.expect(200);
        assert_eq!((&inbox["total"], &inbox["items"][0]["text"]), (&json!(1), &json!("three")));
        let outbox = ada.get("/api/v1/messages/outbox").await.expect(200);
        let read: Vec<_> = outbox["items"].as_array().unwrap().iter().map(|item| &item["is_read"]).collect();
        assert_eq!(read, [false, true]);
        let threads = ada.get("/api/v1/threads").await.expect(200)["items"].clone();
        assert_eq!((&threads[0]["name"], &threads[0]["participant_count"]), (&json!("Engines"), &json!(3)));
        assert_eq!((&threads[1]["type"], &threads[1]["unread_count"]), (&json!("direct"), &json!(1)));
        // The group counts as read by everybody, so grace's message was read by the others.
        let group = threads[0]["id"].as_str().unwrap();
        let messages = ada.get(&format!("/api/v1/threads/{group}/messages")).await.expect(200);
        assert_eq!(messages["items"][0]["is_read"], true);
        let changes = ada.get(&format!("/api/v1/threads/{group}/changes")).await.expect(200);
        assert_eq!(changes["items"].as_array().unwrap().len(), 5);
        let said = ada.writes_to(&charles, "four").await;
        assert_eq!((said.seq, said.version, said.is_read), (4, 5, false));
        charles.post(&format!("/api/v1/threads/{}/read", said.thread_id), &json!({})).await.expect(200);
        let read = ada.get(&format!("/api/v1/messages/{}", said.id)).await.expect(200);
        assert_eq!(read["is_read"], true);
        let login = json!({"username": "grace", "password": PASSWORD});
        app.client().post("/api/v1/auth/login", &login).await.refused(401, "bad_credentials");
    });
}
