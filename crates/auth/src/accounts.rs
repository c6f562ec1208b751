//! Signing up, in and out, over whatever users a service has.
//!
//! ```no_run
//! use groundwork_auth::{Accounts, Auth};
//! use groundwork_core::{Db, Result};
//!
//! async fn story<A: Accounts>(auth: &Auth<A>, db: &Db, new: A::SignUp) -> Result<()> {
//!     let grant = auth.sign_up(db, new).await?;
//!     let caller = auth.authenticate(db, &grant.tokens.access_token).await?;
//!     auth.sign_out(db, &caller).await?;
//!     assert!(auth.authenticate(db, &grant.tokens.access_token).await.is_err(), "at once");
//!     Ok(())
//! }
//! ```

use std::{future::Future, time::Duration};

use groundwork_core::{Db, Error, Result, Tx, Uuid, Validate, error::codes};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    AccessTokens, Caller, Groups, Passwords, Scopes,
    password::bad_credentials,
    session::{self, Spent},
};

/// What signing in has to know of a user.
pub trait Account: Send + Sync {
    /// The user's id.
    fn id(&self) -> Uuid;
    /// The bcrypt hash of the password.
    fn password_hash(&self) -> &str;
    /// Whether the user may sign in.
    fn is_active(&self) -> bool;
    /// The name of the user's permission group.
    fn group(&self) -> &str;
}

/// A service's users, as far as signing up and in goes.
pub trait Accounts: Clone + Send + Sync + 'static {
    /// A user.
    type Account: Account;
    /// What signing up takes.
    type SignUp: Validate + Send + Sync;

    /// The password in it.
    fn password<'a>(&self, sign_up: &'a Self::SignUp) -> &'a str;

    /// The user with that name (or e-mail, or what else the service lets one sign in by), without regard to case.
    fn find_by_login<C: ConnectionTrait>(
        &self,
        conn: &C,
        login: &str,
    ) -> impl Future<Output = Result<Option<Self::Account>>> + Send;

    /// The user with that id, locked against change until the transaction ends.
    fn lock(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<Option<Self::Account>>> + Send;

    /// Adds a user. Errors: as the service has it, for a name in use.
    fn create(
        &self,
        tx: &Tx,
        sign_up: Self::SignUp,
        password_hash: String,
    ) -> impl Future<Output = Result<Self::Account>> + Send;
}

/// What a client gets (RFC 6749, section 5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    /// Goes into `Authorization: Bearer …`.
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIuLi4ifQ.c2ln")]
    pub access_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    pub token_type: String,
    /// How long the access token is good for, in seconds.
    #[schema(example = 900)]
    pub expires_in: u64,
    /// Gets the next pair, once.
    #[schema(example = "Zm9ydHktdGhyZWUgY2hhcmFjdGVycyBvZiBiYXNlNjR1cmw")]
    pub refresh_token: String,
    /// What the access token may be used for, with spaces between.
    #[schema(example = "messages:read messages:write")]
    pub scope: String,
}

/// Tokens, and the user who got them.
#[derive(Debug)]
pub struct Grant<A> {
    /// The tokens.
    pub tokens: Tokens,
    /// The user.
    pub account: A,
}

/// Signs users up, in and out.
#[derive(Clone, Debug)]
pub struct Auth<A> {
    accounts: A,
    passwords: Passwords,
    access: AccessTokens,
    groups: Groups,
    session_lifetime: Duration,
}

impl<A: Accounts> Auth<A> {
    /// `session_lifetime` is how long a session lasts without being refreshed.
    pub fn new(
        accounts: A,
        passwords: Passwords,
        access: AccessTokens,
        groups: Groups,
        session_lifetime: Duration,
    ) -> Self {
        Self { accounts, passwords, access, groups, session_lifetime }
    }

    /// The permission groups.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The password hasher.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Who calls with this access token. Errors: `unauthenticated` where it is not valid, or its session is over.
    pub async fn authenticate(&self, db: &Db, token: &str) -> Result<Caller> {
        let caller = self.access.read(token, db.now())?;
        if !session::is_alive(db.reader(), caller.session_id).await? {
            return Err(codes::UNAUTHENTICATED.error("the session is over"));
        }
        Ok(caller)
    }

    /// Adds a user and signs them in. Errors: `invalid`, and what the service refuses.
    pub async fn sign_up(&self, db: &Db, input: A::SignUp) -> Result<Grant<A::Account>> {
        input.check()?;
        let hash = self.passwords.hash(self.accounts.password(&input)).await?;
        let tx = db.begin().await?;
        let account = self.accounts.create(&tx, input, hash).await?;
        let tokens = self.open_session(&tx, &account, None).await?;
        tx.commit().await?;
        Ok(Grant { tokens, account })
    }

    /// Signs a user in, for fewer scopes than the group has where `scope` names some. Errors: `bad_credentials`, the
    /// same for every cause and in the same time; `invalid` where the user has none of the scopes asked for.
    pub async fn sign_in(
        &self,
        db: &Db,
        login: &str,
        password: &str,
        scope: Option<&str>,
    ) -> Result<Grant<A::Account>> {
        let found = self.accounts.find_by_login(db.reader(), login).await?;
        let hash = found.as_ref().map(Account::password_hash);
        let right = self.passwords.verify(password, hash).await?;
        let Some(found) = found.filter(|_| right) else {
            return Err(bad_credentials());
        };
        let tx = db.begin().await?;
        // Read again under a lock: it may have been deactivated while the password was being checked.
        let account = self.accounts.lock(&tx, found.id()).await?;
        let account = account.filter(Account::is_active).ok_or_else(bad_credentials)?;
        let tokens = self.open_session(&tx, &account, scope.map(Scopes::parse).as_ref()).await?;
        tx.commit().await?;
        Ok(Grant { tokens, account })
    }

    /// A new pair of tokens for a refresh token, which is spent by it. Errors: `unauthenticated`; where the token had
    /// been spent before, its whole session is ended.
    pub async fn refresh(&self, db: &Db, refresh_token: &str) -> Result<Tokens> {
        let tx = db.begin().await?;
        let session = match session::spend(&tx, refresh_token).await? {
            Spent::Now(session) => session,
            Spent::Before => {
                tx.commit().await?;
                return Err(session::refused());
            }
        };
        let account = self.accounts.lock(&tx, session.user_id).await?;
        let account = account.filter(Account::is_active).ok_or_else(session::refused)?;
        let next = session::prolong(&tx, session.id, self.session_lifetime).await?;
        let scopes = self.scopes(&account, session.scope.as_deref().map(Scopes::parse).as_ref());
        let tokens = self.issue(&tx, &account, session.id, scopes, next)?;
        tx.commit().await?;
        Ok(tokens)
    }

    /// Ends the caller's session.
    pub async fn sign_out(&self, db: &Db, caller: &Caller) -> Result<()> {
        let tx = db.begin().await?;
        session::end(&tx, caller.session_id).await?;
        tx.commit().await
    }

    async fn open_session(&self, tx: &Tx, account: &A::Account, asked: Option<&Scopes>) -> Result<Tokens> {
        let asked = asked.filter(|scopes| !scopes.is_empty());
        let scopes = self.scopes(account, asked);
        if scopes.is_empty() && asked.is_some() {
            return Err(Error::invalid("scope", "invalid_scope", "names no scope that this account has"));
        }
        let (id, refresh_token) = session::begin(tx, account.id(), asked, self.session_lifetime).await?;
        self.issue(tx, account, id, scopes, refresh_token)
    }

    fn scopes(&self, account: &A::Account, asked: Option<&Scopes>) -> Scopes {
        let granted = self.groups.scopes(account.group());
        asked.map_or_else(|| granted.clone(), |asked| granted.intersection(asked))
    }

    fn issue(
        &self,
        tx: &Tx,
        account: &A::Account,
        session_id: Uuid,
        scopes: Scopes,
        refresh_token: String,
    ) -> Result<Tokens> {
        let caller = Caller { user_id: account.id(), session_id, scopes };
        Ok(Tokens {
            access_token: self.access.issue(&caller, tx.now())?,
            token_type: "bearer".to_owned(),
            expires_in: self.access.lifetime().as_secs(),
            refresh_token,
            scope: caller.scopes.to_string(),
        })
    }
}
