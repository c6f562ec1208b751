//! Changing a password: by its owner, or by an operator.

use groundwork_core::{Db, Error, FieldError, FieldErrors, Result, Tx, Uuid};

use crate::{
    Account, Accounts, Auth, Caller, Passwords,
    auth::ATTEMPTS,
    password::{BUSY, WRONG_PASSWORD},
    session,
};

impl<A: Accounts> Auth<A> {
    /// Changes the caller's password. The caller's session lives on, and all others of the user end.
    ///
    /// # Errors
    /// `invalid` on `new_password`; `wrong_password`; `session_ended`; `busy`. Nothing is changed then.
    pub async fn change_password(&self, db: &Db, caller: &Caller, current: &str, new: &str) -> Result<()> {
        check(&self.passwords, "new_password", new)?;
        for _ in 0..ATTEMPTS {
            if self.try_change(db, caller, current, new).await? {
                return Ok(());
            }
        }
        Err(BUSY.error("the password was changed by other requests; try again in a moment"))
    }

    /// Returns `false` if the password was changed, or hashed again, while this was under way.
    async fn try_change(&self, db: &Db, caller: &Caller, current: &str, new: &str) -> Result<bool> {
        let found = db.write(async |tx| self.accounts.lock(tx, caller.user_id).await).await?;
        let hash = found.as_ref().map(Account::password_hash);
        let right = self.passwords.verify(current, hash).await?;
        let Some(found) = found.filter(|_| right) else {
            return Err(wrong_password());
        };
        let new_hash = self.passwords.hash(new).await?;
        let change = async |tx: &Tx| {
            let account = self.accounts.lock(tx, caller.user_id).await?.filter(Account::is_active);
            // A session that has ended meanwhile changes nothing any more.
            let alive = session::is_alive(tx, caller.session_id).await?;
            let account = account.filter(|_| alive).ok_or_else(session::ended)?;
            if account.password_hash() != found.password_hash() {
                return Ok(false);
            }
            self.accounts.set_password_hash(tx, caller.user_id, new_hash).await?;
            session::end_others(tx, caller.user_id, caller.session_id).await?;
            Ok(true)
        };
        db.write(change).await
    }
}

/// Gives a user another password, without the current one, and ends all sessions of the user. It does not check who calls:
/// it serves operators.
///
/// # Errors
/// `invalid` on `password`; `not_found`; `busy`. Nothing is changed then.
pub async fn set_password<A: Accounts>(
    accounts: &A,
    passwords: &Passwords,
    db: &Db,
    user_id: Uuid,
    new: &str,
) -> Result<()> {
    check(passwords, "password", new)?;
    let hash = passwords.hash(new).await?;
    let set = async |tx: &Tx| {
        let account = accounts.lock(tx, user_id).await?.ok_or_else(|| Error::not_found("user"))?;
        accounts.set_password_hash(tx, account.id(), hash).await?;
        session::end_all(tx, user_id).await
    };
    db.write(set).await
}

fn check(passwords: &Passwords, field: &str, new: &str) -> Result<()> {
    let mut errors = FieldErrors::new();
    passwords.policy().check(field, new, &mut errors);
    errors.into_result()
}

fn wrong_password() -> Error {
    let error = FieldError::new("current_password", "wrong", "is not the current password");
    WRONG_PASSWORD.error("the current password is wrong").with_field_errors(error.into())
}
