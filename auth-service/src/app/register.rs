use uuid::Uuid;

use super::{App, Error, security_log};
use crate::domain::{Account, AccountId, AccountState, DisplayName, Email, Password, SecurityEvent};
use crate::repository::Registration;

/// What somebody registers with.
#[derive(Debug)]
pub(crate) struct NewAccount {
    pub(crate) email: Email,
    pub(crate) password: Password,
    pub(crate) display_name: DisplayName,
}

impl App {
    /// Makes an account. Of several registrations of one address at once, exactly one succeeds.
    ///
    /// # Errors
    /// `EmailTaken`, `PasswordQueueFull`, or a failure.
    pub(crate) async fn register(&self, new: NewAccount) -> Result<Account, Error> {
        let hash = self.hasher.hash(new.password).await.map_err(|error| self.unhashed(error))?;
        let now = self.clock.now();
        let account = Account {
            id: AccountId::from_uuid(Uuid::new_v4()),
            email: new.email.as_typed().to_owned(),
            display_name: new.display_name,
            email_verified: false,
            roles: Vec::new(),
            state: AccountState::Active,
            token_version: 1,
            revision: 1,
            created_at: now,
            updated_at: now,
            last_login_at: None,
        };
        match self.repository.register(&account, new.email.key(), &hash).await? {
            Registration::Registered => {
                security_log::record(&SecurityEvent::AccountCreated(account.id));
                Ok(account)
            }
            Registration::EmailTaken => Err(Error::EmailTaken),
        }
    }
}
