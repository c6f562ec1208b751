//! Demo users, threads and messages.

use std::sync::{Arc, Mutex, PoisonError};

use groundwork_auth::{Caller, Passwords, Scopes};
use groundwork_core::{Db, Error, Ids, Result, Timestamp, Tx, Uuid, clock::UuidV7};
use messenger_domain::{
    Messages, Threads, Users, demo,
    messages::{NewDirectMessage, NewText, ReceiptKind},
    threads::{NewThread, ThreadType},
    users::{NewAccount, NewUser, PermissionGroup},
};

/// The password of every demo user.
pub const PASSWORD: &str = "Correct-Horse-1";

const PEOPLE: [(Uuid, &str, &str, &str); 5] = [
    (demo::ADA, "ada", "Ada", "Lovelace"),
    (demo::CHARLES, "charles", "Charles", "Babbage"),
    (demo::GRACE, "grace", "Grace", "Hopper"),
    (demo::ALAN, "alan", "Alan", "Turing"),
    (demo::EMMY, "emmy", "Emmy", "Noether"),
];

/// Adds the demo in one transaction, and returns a description of it. Changes nothing if the demo exists.
///
/// # Errors
/// `name_taken` if a user has the name of a demo user.
pub async fn seed(db: &Db, bcrypt_cost: u32) -> Result<String> {
    let names = PEOPLE.map(|(_, username, ..)| username);
    if !Users::default().get_many(db.reader(), &[demo::ADA]).await?.is_empty() {
        return Ok(format!("The demo exists: there is a user {}. Nothing was changed.", names[0]));
    }
    let hash = Passwords::new(bcrypt_cost)?.hash(PASSWORD).await?;
    let ids = Arc::new(DemoIds::default());
    db.clone().with_ids(ids.clone()).write(async |tx| write_demo(tx, &ids, &hash).await).await?;
    Ok(format!(
        "Created 5 users ({}), each with the password {PASSWORD},\n\
         2 direct threads with 4 messages, and a group \"Engines\" with 3.",
        names.join(", ")
    ))
}

/// The source of the demo's ids: the ids of [`demo`] for the rows that the examples of the OpenAPI document name.
#[derive(Debug, Default)]
struct DemoIds {
    chosen: Mutex<Option<Uuid>>,
    others: UuidV7,
}

impl DemoIds {
    /// Makes `id` the next id.
    fn choose(&self, id: Uuid) {
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    }
}

impl Ids for DemoIds {
    fn next(&self, now: Timestamp) -> Uuid {
        let chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner).take();
        chosen.unwrap_or_else(|| self.others.next(now))
    }
}

async fn write_demo(tx: &Tx, ids: &DemoIds, hash: &str) -> Result<()> {
    let mut people = Vec::new();
    for (id, username, first_name, last_name) in PEOPLE {
        ids.choose(id);
        people.push(person(tx, username, first_name, last_name, hash).await?);
    }
    let [ada, charles, grace, alan, _] =
        <[Caller; 5]>::try_from(people).map_err(|_| Error::internal("the demo has five people"))?;
    let messages = Messages::default();

    let to = |receiver: &Caller, text: &str| NewDirectMessage {
        text: text.into(),
        receiver_id: Some(receiver.user_id),
        receiver_username: None,
    };
    messages.send_direct(tx, &ada, to(&charles, "Have you drawn up the mill yet?"), None).await?;
    ids.choose(demo::RECEIVED);
    let answer = messages.send_direct(tx, &charles, to(&ada, "All but the carriage."), None).await?;
    messages.advance(tx, &ada, answer.id, ReceiptKind::Read).await?;
    ids.choose(demo::SENT);
    messages.send_direct(tx, &ada, to(&charles, "Then I shall write the notes. 📝"), None).await?;
    messages.send_direct(tx, &alan, to(&grace, "Is there a moth in yours, too?"), None).await?;

    let group = NewThread {
        kind: ThreadType::Group,
        name: Some("Engines".into()),
        participant_ids: [&charles, &grace, &alan].map(|caller| caller.user_id).to_vec(),
        history: None,
    };
    ids.choose(demo::ENGINES);
    let (group, _) = Threads::default().start(tx, &ada, group).await?;
    let say = |text: &str| NewText { text: text.into() };
    messages.send(tx, &ada, group, say("Welcome to the engine room."), None).await?;
    messages.send(tx, &grace, group, say("Good to be here."), None).await?;
    messages.send(tx, &alan, group, say("Will it halt?"), None).await?;
    Ok(())
}

async fn person(tx: &Tx, username: &str, first_name: &str, last_name: &str, hash: &str) -> Result<Caller> {
    let user = NewUser {
        username: username.into(),
        password: PASSWORD.to_owned(),
        email: Some(format!("{username}@example.org").into()),
        first_name: Some(first_name.into()),
        last_name: Some(last_name.into()),
    };
    let account = NewAccount { user, password_hash: hash.to_owned(), group: PermissionGroup::Regular };
    let user = Users::default().create_account(tx, account).await?;
    let expires_at = tx.now();
    Ok(Caller { user_id: user.id, session_id: Uuid::nil(), scopes: Scopes::default(), expires_at })
}
