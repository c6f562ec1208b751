//! Keys of requests that do not come over HTTP.

use groundwork_core::{Tx, Uuid};
use groundwork_testkit::both_databases;
use groundwork_web::Idempotent;

use crate::Wiki;

const USER: Uuid = Uuid::from_u128(7);

fn request(key: &str, parts: &[&str]) -> Idempotent {
    Idempotent::with_key("client_id", USER, key, parts).unwrap()
}

/// Runs an effect that returns a new id, or returns the id of the first run.
async fn run(wiki: &Wiki, request: Idempotent) -> Result<(Uuid, bool), String> {
    let effect = async |tx: &Tx| {
        let id = tx.new_id();
        Ok((id, id))
    };
    let reply = request.run(&wiki.db.db, effect, async |_: &Tx, id| Ok(id)).await;
    reply.map(|reply| (reply.answer, reply.is_replay)).map_err(|problem| problem.0.code().name.to_owned())
}

/// A request is identified by its parts: the same ones are a repeat, and others are refused.
#[both_databases]
async fn parts_identify_a_request(wiki: &Wiki) {
    let (first, is_replay) = run(wiki, request("key", &["note", "ab", "c"])).await.unwrap();
    assert!(!is_replay);
    assert_eq!(run(wiki, request("key", &["note", "ab", "c"])).await, Ok((first, true)));
    let elsewhere = request("key", &[]).identified_by(&["note", "ab", "c"]);
    assert_eq!(run(wiki, elsewhere).await, Ok((first, true)));
    for other in [&["note", "a", "bc"][..], &["note", "ab"], &["note", "abc"], &[]] {
        let refused = run(wiki, request("key", other)).await;
        assert_eq!(refused, Err("idempotency_key_reused".to_owned()), "{other:?}");
    }
    let other_user = Idempotent::with_key("client_id", Uuid::nil(), "key", &["note", "ab", "c"]).unwrap();
    assert!(matches!(run(wiki, other_user).await, Ok((id, false)) if id != first));
}

/// A key outside HTTP has the same bounds as the header, and the error names the field that it came in.
#[both_databases]
async fn keys_have_the_bounds_of_the_header(_: &Wiki) {
    for good in ["k", &"k".repeat(255), "a key, with ~ and spaces"] {
        assert_eq!(request(good, &[]).key(), Some(good));
    }
    for bad in ["", &"k".repeat(256), "ключ", "line\nbreak", "\u{7f}"] {
        let error = Idempotent::with_key("client_id", USER, bad, &[]).unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("client_id") && text.contains("bad_value"), "{bad:?}: {text}");
    }
}
