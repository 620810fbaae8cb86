use super::{App, Caller, Error};
use crate::crypto::Verification;
use crate::domain::{PresentedPassword, SecurityEvent};

impl App {
    /// Checks the password of somebody who is signed in already.
    ///
    /// # Errors
    /// `CredentialsInvalid`, `TokenRevoked` if the account was changed since the caller was admitted,
    /// `PasswordQueueFull`, or a failure.
    pub(super) async fn reauthenticate(&self, caller: &Caller, password: PresentedPassword) -> Result<(), Error> {
        let account = &caller.account;
        let stored = self.repository.find_password(account.id, account.token_version).await?;
        let stored = stored.ok_or(Error::TokenRevoked)?;
        match self.hasher.verify(password, Some(stored)).await.map_err(|error| self.unhashed(error))? {
            Verification::Matches(_) => Ok(()),
            Verification::Differs | Verification::Absent | Verification::Unusable => {
                self.note(SecurityEvent::PasswordRefused(account.id));
                Err(Error::CredentialsInvalid)
            }
        }
    }
}
