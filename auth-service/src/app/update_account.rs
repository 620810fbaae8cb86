use super::{App, Caller, Error, security_log};
use crate::domain::{Account, AccountChange, ChangedAccount, SecurityEvent};

impl App {
    /// Changes fields of the caller's account.
    ///
    /// # Errors
    /// `EtagMismatch`, `TokenRevoked` if the account was deleted meanwhile, or a failure.
    pub(crate) async fn update_account(&self, caller: Caller, change: &AccountChange) -> Result<Account, Error> {
        let Caller { mut account, session } = caller;
        loop {
            match account.apply(change, self.clock.now()) {
                ChangedAccount::Changed(changed) => {
                    if self.repository.update_account(&changed).await? {
                        security_log::record(&SecurityEvent::AccountUpdated(changed.id));
                        return Ok(changed);
                    }
                }
                ChangedAccount::Unchanged => return Ok(account),
                ChangedAccount::EtagMismatch => return Err(Error::EtagMismatch),
            }
            // Another update was faster.
            account = self.repository.find_session(session.key).await?.ok_or(Error::TokenRevoked)?.1;
        }
    }
}
