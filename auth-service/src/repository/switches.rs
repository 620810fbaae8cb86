use std::time::SystemTime;

use runtime::database::Outcome;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::accounts::state_name;
use super::audit::record;
use super::entity::account;
use super::revocations::raise_version;
use super::{Repository, RepositoryError};
use crate::domain::{AccountId, AccountState, SecurityEvent};

impl Repository {
    /// Switches an account off and raises its token version, which ends its access tokens; its sessions yield nothing
    /// until it is switched on again. Returns whether it did: not if it was off before, or is not there.
    ///
    /// # Errors
    /// If the store fails; nothing is changed then.
    pub(crate) async fn disable_account(&self, account: AccountId, at: SystemTime) -> Result<bool, RepositoryError> {
        let disable = account::Entity::update_many()
            .col_expr(account::Column::State, Expr::value(state_name(AccountState::Disabled)))
            .filter(account::Column::AccountId.eq(account.as_uuid()))
            .filter(account::Column::State.eq(state_name(AccountState::Active)));
        let disabled = self.database.write(move |transaction| {
            let disable = disable.clone();
            Box::pin(async move {
                if !raise_version(transaction, disable, account, at).await? {
                    return Ok(Outcome::Rollback(false));
                }
                record(transaction, [SecurityEvent::AccountDisabled(account)], at).await?;
                Ok(Outcome::Commit(true))
            })
        });
        let disabled = disabled.await?;
        if disabled {
            self.ring();
        }
        Ok(disabled)
    }

    /// Switches an account on again, and with it the sessions that have not ended meanwhile. Returns whether it did: not
    /// if it was on before, or is not there.
    ///
    /// # Errors
    /// If the store fails; nothing is changed then.
    pub(crate) async fn enable_account(&self, account: AccountId, at: SystemTime) -> Result<bool, RepositoryError> {
        let enable = account::Entity::update_many()
            .col_expr(account::Column::State, Expr::value(state_name(AccountState::Active)))
            .filter(account::Column::AccountId.eq(account.as_uuid()))
            .filter(account::Column::State.eq(state_name(AccountState::Disabled)));
        let enabled = self.database.write(move |transaction| {
            let enable = enable.clone();
            Box::pin(async move {
                if enable.exec(transaction).await?.rows_affected == 0 {
                    return Ok(Outcome::Rollback(false));
                }
                record(transaction, [SecurityEvent::AccountEnabled(account)], at).await?;
                Ok(Outcome::Commit(true))
            })
        });
        Ok(enabled.await?)
    }
}
