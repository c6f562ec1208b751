//! Registering, signing in and signing out, for the users of any service.
//!
//! ```no_run
//! use groundwork_auth::{Accounts, Auth, ClientInfo};
//! use groundwork_core::{Db, Result};
//!
//! async fn story<A: Accounts>(auth: &Auth<A>, db: &Db, new: A::SignUp) -> Result<()> {
//!     let grant = auth.sign_up(db, new, &ClientInfo::default()).await?;
//!     let caller = auth.authenticate(db, &grant.tokens.access_token).await?;
//!     auth.sign_out(db, &caller).await?;
//!     assert!(auth.authenticate(db, &grant.tokens.access_token).await.is_err(), "at once");
//!     Ok(())
//! }
//! ```

use std::time::Duration;

use groundwork_core::{
    Db, FieldErrors, Recent, Result, Tx, Uuid, Validate,
    error::codes,
    events::{Observed, Observers},
};
use sha2::{Digest, Sha256};

use crate::{
    AccessTokens, Account, Accounts, Caller, Grant, Groups, Passwords, PublicKey, Scopes, SigningKey, Tokens,
    oauth::INVALID_SCOPE,
    password::{BUSY, bad_credentials},
    session::{self, ClientInfo, Lifetimes, Refreshed},
    token::invalid_token,
};

/// How many tokens and sessions are remembered at most, each about 200 bytes.
const REMEMBERED: usize = 32_768;

/// How often a password is checked again if its hash was replaced meanwhile.
pub(crate) const ATTEMPTS: u32 = 3;

/// Registers users, and signs them in and out.
#[derive(Clone, Debug)]
pub struct Auth<A> {
    pub(crate) accounts: A,
    pub(crate) passwords: Passwords,
    access: AccessTokens,
    groups: Groups,
    lifetimes: Lifetimes,
    /// The callers of tokens whose signature was verified, by the hash of the token.
    verified: Recent<[u8; 32], Caller>,
    /// The sessions that were alive a moment ago.
    alive: Recent<Uuid, ()>,
}

impl<A: Accounts> Auth<A> {
    /// Creates it. A session, and each of its refresh tokens, is valid as `lifetimes` say.
    pub fn new(
        accounts: A,
        passwords: Passwords,
        access: AccessTokens,
        groups: Groups,
        lifetimes: Lifetimes,
    ) -> Self {
        let verified = Recent::new(access.lifetime(), REMEMBERED);
        let alive = Recent::new(Duration::ZERO, 0);
        Self { accounts, passwords, access, groups, lifetimes, verified, alive }
    }

    /// Remembers for `ttl` that a session is alive, instead of asking the database in each request; zero for always asking.
    ///
    /// A session that is ended by this process is refused at once: the event of it forgets the session, see
    /// [`Db::observers`]. One that is ended elsewhere is refused when the log has been read, if something reads it, and in
    /// any case after `ttl`. While the database is down, a caller is known for no longer than that.
    #[must_use]
    pub fn remembering(mut self, observers: &Observers, ttl: Duration) -> Self {
        self.alive = Recent::new(ttl, REMEMBERED);
        let alive = self.alive.clone();
        observers.observe(session::SUBJECT, move |observed| match observed {
            Observed::Subject(session) => alive.forget(&session),
            Observed::Anything => alive.forget_all(),
        });
        self
    }

    /// The permission groups.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The public keys that verify access tokens.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.access.keys().iter().filter_map(SigningKey::public).cloned().collect()
    }

    /// The password hasher.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Returns the caller that an access token names.
    ///
    /// # Errors
    /// `invalid_token`, `token_expired`, `session_ended`.
    pub async fn authenticate(&self, db: &Db, token: &str) -> Result<Caller> {
        let now = db.now();
        let verify = async || Ok(self.access.verify(token));
        let caller = self.verified.get_or_read(&Sha256::digest(token).into(), now, verify).await?;
        let caller = caller.ok_or_else(invalid_token)?;
        caller.require_unexpired(now)?;
        let ask = async || Ok(session::is_alive(db.reader(), caller.session_id).await?.then_some(()));
        match self.alive.get_or_read(&caller.session_id, now, ask).await? {
            Some(()) => Ok(caller),
            None => Err(session::ended()),
        }
    }

    /// Adds an error for each rule that the input of signing up breaks.
    pub fn check_sign_up(&self, input: &A::SignUp, errors: &mut FieldErrors) {
        input.validate(errors);
        self.passwords.policy().check("password", self.accounts.password(input), errors);
    }

    /// Adds a user and signs them in.
    ///
    /// # Errors
    /// `invalid`, `busy`, and those of [`Accounts::create`].
    pub async fn sign_up(&self, db: &Db, input: A::SignUp, client: &ClientInfo) -> Result<Grant<A::Account>> {
        let mut errors = FieldErrors::new();
        self.check_sign_up(&input, &mut errors);
        errors.into_result()?;
        let hash = self.passwords.hash(self.accounts.password(&input)).await?;
        let sign_up = async |tx: &Tx| {
            let account = self.accounts.create(tx, input, hash).await?;
            let tokens = self.open_session(tx, &account, None, client).await?;
            Ok(Grant { tokens, account })
        };
        db.write(sign_up).await
    }

    /// Signs a user in, with the scopes in `scope` that the user's group has, or with all of the group's if `scope` is
    /// absent or blank.
    ///
    /// # Errors
    /// `bad_credentials`, the same for every cause and after the same time; `invalid_scope` for a scope that no group has,
    /// or if the user's group has none of them; `busy`.
    pub async fn sign_in(
        &self,
        db: &Db,
        login: &str,
        password: &str,
        scope: Option<&str>,
        client: &ClientInfo,
    ) -> Result<Grant<A::Account>> {
        let requested = self.requested(scope)?;
        for _ in 0..ATTEMPTS {
            if let Some(grant) = self.try_sign_in(db, login, password, requested.as_ref(), client).await? {
                return Ok(grant);
            }
        }
        Err(BUSY.error("the password was changed by other requests; try again in a moment"))
    }

    /// Returns `None` if the password was changed, or hashed again, while this was under way.
    async fn try_sign_in(
        &self,
        db: &Db,
        login: &str,
        password: &str,
        requested: Option<&Scopes>,
        client: &ClientInfo,
    ) -> Result<Option<Grant<A::Account>>> {
        let found = self.accounts.find_by_login(db.reader(), login).await?;
        let hash = found.as_ref().map(Account::password_hash);
        let right = self.passwords.verify(password, hash).await?;
        let Some(found) = found.filter(|found| right && found.is_active()) else {
            return Err(bad_credentials());
        };
        let stronger = if self.passwords.is_outdated(found.password_hash()) {
            Some(self.passwords.hash(password).await?)
        } else {
            None
        };
        let sign_in = async |tx: &Tx| {
            // Read again under a lock: it may have been deactivated while the password was being checked.
            let account = self.accounts.lock(tx, found.id()).await?;
            let account = account.filter(Account::is_active).ok_or_else(bad_credentials)?;
            if account.password_hash() != found.password_hash() {
                return Ok(None);
            }
            if let Some(hash) = stronger {
                self.accounts.set_password_hash(tx, account.id(), hash).await?;
            }
            let tokens = self.open_session(tx, &account, requested, client).await?;
            Ok(Some(Grant { tokens, account }))
        };
        db.write(sign_in).await
    }

    /// Exchanges a refresh token for a new pair of tokens. A token that was used before ends its session, except that the last
    /// one gives the same successor again for a moment.
    ///
    /// # Errors
    /// `invalid_token`, `token_expired`, `session_ended`.
    pub async fn refresh(&self, db: &Db, refresh_token: &str, client: &ClientInfo) -> Result<Tokens> {
        let refresh = async |tx: &Tx| {
            let session = session::find(tx, refresh_token).await?;
            // The user before the session, in the order in which deactivating a user locks them.
            let account = self.accounts.lock(tx, session.user_id).await?;
            let account = account
                .filter(Account::is_active)
                .ok_or_else(|| codes::SESSION_ENDED.error("the account is not active"))?;
            match session::refresh(tx, session.id, refresh_token, self.lifetimes, client).await? {
                Refreshed::Next(next) => {
                    let requested = session.scope.as_deref().map(Scopes::parse);
                    let scopes = self.scopes(&account, requested.as_ref());
                    Ok(Some(self.issue(tx, &account, session.id, scopes, next)?))
                }
                Refreshed::Reused => Ok(None),
            }
        };
        let tokens: Result<Option<Tokens>> = db.write(refresh).await;
        tokens?.ok_or_else(|| {
            codes::SESSION_ENDED.error("the refresh token was used before, so its session is ended")
        })
    }

    /// The scopes in the parameter `scope` of a token request.
    fn requested(&self, scope: Option<&str>) -> Result<Option<Scopes>> {
        let requested = scope.map(Scopes::parse).filter(|scopes| !scopes.is_empty());
        let known = |scopes: &Scopes| scopes.names().iter().all(|name| self.groups.knows(name));
        if requested.as_ref().is_none_or(known) {
            return Ok(requested);
        }
        Err(INVALID_SCOPE.error("scope names a scope that this service does not have"))
    }

    async fn open_session(
        &self,
        tx: &Tx,
        account: &A::Account,
        requested: Option<&Scopes>,
        client: &ClientInfo,
    ) -> Result<Tokens> {
        let scopes = self.scopes(account, requested);
        if scopes.is_empty() && requested.is_some() {
            return Err(INVALID_SCOPE.error("scope names no scope that this account has"));
        }
        let (id, refresh_token) =
            session::begin(tx, account.id(), requested, self.lifetimes.session, client).await?;
        self.issue(tx, account, id, scopes, refresh_token)
    }

    fn scopes(&self, account: &A::Account, requested: Option<&Scopes>) -> Scopes {
        let granted = self.groups.scopes(account.group());
        requested.map_or_else(|| granted.clone(), |requested| granted.intersection(requested))
    }

    fn issue(
        &self,
        tx: &Tx,
        account: &A::Account,
        session_id: Uuid,
        scopes: Scopes,
        refresh_token: String,
    ) -> Result<Tokens> {
        let expires_at = tx.now() + self.access.lifetime();
        let caller = Caller { user_id: account.id(), session_id, scopes, expires_at };
        Ok(Tokens {
            access_token: self.access.issue(&caller, tx.now())?,
            token_type: "bearer".to_owned(),
            expires_in: self.access.lifetime().as_secs(),
            refresh_token,
            scope: caller.scopes.to_string(),
        })
    }
}
