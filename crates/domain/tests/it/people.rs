//! Users for the tests of this crate.

use groundwork_auth::{Caller, Scopes};
use groundwork_core::Uuid;
use groundwork_testkit::TestDb;
use messenger_domain::{
    Users,
    users::{NewAccount, NewUser, PermissionGroup},
};
use migration::Migrator;

pub type Store = TestDb<Migrator>;

/// Creates a user, and returns a caller.
pub async fn person(store: &Store, username: &str) -> Caller {
    let user = NewUser {
        username: username.into(),
        password: "Correct-Horse-1".to_owned(),
        email: None,
        first_name: None,
        last_name: None,
    };
    let account =
        NewAccount { user, password_hash: "not a hash".to_owned(), group: PermissionGroup::Regular };
    let tx = store.db.begin().await.unwrap();
    let made = Users::default().create_account(&tx, account).await.unwrap();
    tx.commit().await.unwrap();
    let (scopes, expires_at) = (Scopes::default(), store.db.now());
    Caller { user_id: made.id, session_id: Uuid::nil(), scopes, expires_at }
}
