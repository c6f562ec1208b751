//! A small demo of users, threads and messages.

use groundwork_auth::{Caller, Passwords, Scopes};
use groundwork_core::{Db, Error, Result, Tx, Uuid};
use messenger_domain::{
    Messages, Threads, Users,
    messages::{NewDirectMessage, NewText, ReceiptKind},
    threads::{NewThread, ThreadType},
    users::{NewAccount, NewUser, PermissionGroup},
};

/// The password of every user of the demo.
pub const PASSWORD: &str = "Correct-Horse-1";

const PEOPLE: [(&str, &str, &str); 4] = [
    ("ada", "Ada", "Lovelace"),
    ("charles", "Charles", "Babbage"),
    ("grace", "Grace", "Hopper"),
    ("alan", "Alan", "Turing"),
];

/// Adds the demo, all or nothing, and says what it made. Where it is there already nothing is changed.
pub async fn seed(db: &Db, bcrypt_cost: u32) -> Result<String> {
    if Users::default().find_by_login(db.reader(), PEOPLE[0].0).await?.is_some() {
        return Ok(format!(
            "The demo is here already: there is a user {}. Nothing was changed.",
            PEOPLE[0].0
        ));
    }
    let hash = Passwords::new(bcrypt_cost)?.hash(PASSWORD).await?;
    db.write(async |tx| write_demo(tx, &hash).await).await?;

    let names = PEOPLE.map(|(username, ..)| username).join(", ");
    Ok(format!(
        "Made 4 users ({names}), each with the password {PASSWORD};\n\
         2 direct threads with 4 messages, and a group \"Engines\" with 3."
    ))
}

async fn write_demo(tx: &Tx, hash: &str) -> Result<()> {
    let mut people = Vec::new();
    for (username, first_name, last_name) in PEOPLE {
        people.push(person(tx, username, first_name, last_name, hash).await?);
    }
    let [ada, charles, grace, alan] =
        <[Caller; 4]>::try_from(people).map_err(|_| Error::internal("the demo has four people"))?;
    let messages = Messages::default();

    let to = |receiver: &Caller, text: &str| NewDirectMessage {
        text: text.to_owned(),
        receiver_id: Some(receiver.user_id),
        receiver_username: None,
    };
    messages.send_direct(tx, &ada, to(&charles, "Have you drawn up the mill yet?")).await?;
    let answer = messages.send_direct(tx, &charles, to(&ada, "All but the carriage.")).await?;
    messages.advance(tx, &ada, answer.id, ReceiptKind::Read).await?;
    messages.send_direct(tx, &ada, to(&charles, "Then I shall write the notes. 📝")).await?;
    messages.send_direct(tx, &alan, to(&grace, "Is there a moth in yours, too?")).await?;

    let group = NewThread {
        kind: ThreadType::Group,
        name: Some("Engines".to_owned()),
        participant_ids: [&charles, &grace, &alan].map(|caller| caller.user_id).to_vec(),
        history: None,
    };
    let (group, _) = Threads::default().start(tx, &ada, group).await?;
    let say = |text: &str| NewText { text: text.to_owned() };
    messages.send(tx, &ada, group, say("Welcome to the engine room.")).await?;
    messages.send(tx, &grace, group, say("Good to be here.")).await?;
    messages.send(tx, &alan, group, say("Will it halt?")).await?;
    Ok(())
}

async fn person(tx: &Tx, username: &str, first_name: &str, last_name: &str, hash: &str) -> Result<Caller> {
    let user = NewUser {
        username: username.to_owned(),
        password: PASSWORD.to_owned(),
        email: Some(format!("{username}@example.org")),
        first_name: Some(first_name.to_owned()),
        last_name: Some(last_name.to_owned()),
    };
    let account = NewAccount { user, password_hash: hash.to_owned(), group: PermissionGroup::Regular };
    let made = Users::default().create_account(tx, account).await?;
    Ok(Caller { user_id: made.id, session_id: Uuid::nil(), scopes: Scopes::default() })
}
