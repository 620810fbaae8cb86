use authn::SessionId;

use super::{App, Caller, Error, security_log};
use crate::domain::{RevokeReason, SecurityEvent, Session, SessionKey};

/// Which sessions a sign-out ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignOutScope {
    /// That of the caller.
    Local,
    /// All but that of the caller.
    Others,
    /// All, and every access token with them.
    Global,
}

impl App {
    /// The sessions of the caller's account that go on, the latest used first.
    ///
    /// # Errors
    /// Only a failure.
    pub(crate) async fn list_sessions(&self, caller: &Caller) -> Result<Vec<Session>, Error> {
        Ok(self.repository.live_sessions(caller.account.id, self.clock.now()).await?)
    }

    /// Ends one session of the caller's account. One that has ended already stays as it is.
    ///
    /// # Errors
    /// `SessionNotFound`, for one of somebody else too, or a failure.
    pub(crate) async fn revoke_session(&self, caller: &Caller, session: SessionId) -> Result<(), Error> {
        let key = SessionKey { account: caller.account.id, session };
        let (session, _) = self.repository.find_session(key).await?.ok_or(Error::SessionNotFound)?;
        if session.is_live(self.clock.now()) { self.end_session(key, RevokeReason::SignOut).await } else { Ok(()) }
    }

    /// Ends sessions of the caller's account.
    ///
    /// # Errors
    /// Only a failure.
    pub(crate) async fn sign_out(&self, caller: &Caller, scope: SignOutScope) -> Result<(), Error> {
        let (key, reason, now) = (caller.session.key, RevokeReason::SignOut, self.clock.now());
        let ended = match scope {
            SignOutScope::Local => return self.end_session(key, RevokeReason::Logout).await,
            SignOutScope::Others => self.repository.revoke_others(key, reason, now).await?,
            SignOutScope::Global => self.repository.revoke_all(key.account, reason, now).await?,
        };
        security_log::ended(key.account, reason, ended);
        Ok(())
    }

    /// Ends a session by decision, unless that has happened before.
    pub(super) async fn end_session(&self, key: SessionKey, reason: RevokeReason) -> Result<(), Error> {
        if self.repository.revoke(key, reason, self.clock.now()).await? {
            security_log::record(&SecurityEvent::TokenRevoked(key, reason));
        }
        Ok(())
    }
}
