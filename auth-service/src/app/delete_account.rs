use uuid::Uuid;

use super::{App, Caller, Error, security_log};
use crate::domain::{PresentedPassword, SecurityEvent};

impl App {
    /// Deletes the caller's account, its sessions and its claim on the address, and leaves word for the services that
    /// keep something of it.
    ///
    /// # Errors
    /// `CredentialsInvalid`, `PasswordQueueFull`, `TokenRevoked` if the account was changed or deleted meanwhile, or a
    /// failure. Nothing is deleted then.
    pub(crate) async fn delete_account(&self, caller: Caller, password: PresentedPassword) -> Result<(), Error> {
        self.reauthenticate(&caller, password).await?;
        if !self.repository.delete_account(&caller.account, Uuid::new_v4(), self.clock.now()).await? {
            return Err(Error::TokenRevoked);
        }
        security_log::record(&SecurityEvent::AccountDeleted(caller.account.id));
        Ok(())
    }
}
