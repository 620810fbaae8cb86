use authn::Principal;

use super::{App, Error};
use crate::domain::{Account, AccountState, Generation, Session, SessionKey};

/// A verified caller whose session goes on.
pub(crate) struct Caller {
    pub(crate) account: Account,
    pub(crate) session: Session,
}

impl App {
    /// Looks a verified caller up: here an access token ends with its session and not only when it expires. It also
    /// confirms that the tokens of its generation arrived.
    ///
    /// # Errors
    /// `TokenRevoked` once the session has ended or all tokens of the account were ended at once, `AccountDisabled`,
    /// or a failure.
    pub(crate) async fn admit(&self, principal: &Principal) -> Result<Caller, Error> {
        let session = principal.session().ok_or(Error::TokenRevoked)?;
        let key = SessionKey { account: principal.subject().into(), session };
        let (session, account) = self.repository.find_session(key).await?.ok_or(Error::TokenRevoked)?;
        if !session.is_live(self.clock.now()) || principal.account_version() != Some(account.token_version) {
            return Err(Error::TokenRevoked);
        }
        if account.state == AccountState::Disabled {
            return Err(Error::AccountDisabled);
        }
        if let Some(seen) = principal.generation().and_then(Generation::from_number) {
            self.confirm(&session, seen).await?;
        }
        Ok(Caller { account, session })
    }

    /// Notes that a token of the generation `seen` is in use. From the first time on, its parent proves a theft when it
    /// comes back.
    ///
    /// # Errors
    /// Only a failure.
    pub(super) async fn confirm(&self, session: &Session, seen: Generation) -> Result<(), Error> {
        if session.is_confirmed_by(seen) {
            self.repository.confirm(session.key, seen).await?;
        }
        Ok(())
    }
}
