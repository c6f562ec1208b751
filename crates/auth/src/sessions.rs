//! The sessions of a caller: which there are, and ending them.

use groundwork_core::{Db, Error, Page, PageRequest, Result, Tx, Uuid};

use crate::{Accounts, Auth, Caller, session};

impl<A: Accounts> Auth<A> {
    /// Returns a page of the caller's sessions that can still be used, the latest sign-in first.
    pub async fn sessions(
        &self,
        db: &Db,
        caller: &Caller,
        page: PageRequest,
    ) -> Result<Page<session::row::Model>> {
        session::list(db.reader(), caller.user_id, db.now(), page).await
    }

    /// Ends the caller's session.
    pub async fn sign_out(&self, db: &Db, caller: &Caller) -> Result<()> {
        db.write(async |tx| session::end(tx, caller.session_id).await).await
    }

    /// Ends one session of the caller, which may be the one of the request.
    ///
    /// # Errors
    /// `not_found` for one that has ended or expired, or is not the caller's.
    pub async fn end_session(&self, db: &Db, caller: &Caller, id: Uuid) -> Result<()> {
        let ended = db.write(async |tx| session::end_own(tx, caller.user_id, id).await).await?;
        if ended { Ok(()) } else { Err(Error::not_found("session")) }
    }

    /// Ends all sessions of the caller but the one of the request.
    ///
    /// # Errors
    /// `session_ended` if another session has ended this one meanwhile: of two at once, one lives on.
    pub async fn end_other_sessions(&self, db: &Db, caller: &Caller) -> Result<()> {
        let end = async |tx: &Tx| {
            self.accounts.lock(tx, caller.user_id).await?;
            if !session::is_alive(tx, caller.session_id).await? {
                return Err(session::ended());
            }
            session::end_others(tx, caller.user_id, caller.session_id).await
        };
        db.write(end).await
    }
}
