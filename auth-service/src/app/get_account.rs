use authn::Subject;

use super::{App, Error};
use crate::domain::Account;

impl App {
    /// The account of a verified caller.
    ///
    /// # Errors
    /// `AccountNotFound`, or a failure.
    pub(crate) async fn get_account(&self, caller: Subject) -> Result<Account, Error> {
        self.repository.find_account(caller.into()).await?.ok_or(Error::AccountNotFound)
    }
}
