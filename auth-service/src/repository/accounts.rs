use runtime::database::{Outcome, from_micros, to_micros};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::audit::record;
use super::entity::{account, email_claim};
use super::{Repository, RepositoryError};
use crate::domain::{Account, AccountId, AccountState, DisplayName, EmailKey, PasswordHash, SecurityEvent};

/// The state of a claim on an address that belongs to an account.
const CURRENT: &str = "current";

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// The account is stored.
    Registered,
    /// The address belongs to another account. Nothing was stored.
    EmailTaken,
}

impl Repository {
    /// Stores a new account and its claim on the address. Of several at once for one address exactly one succeeds.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn register(
        &self,
        account: &Account,
        email: &EmailKey,
        hash: &PasswordHash,
    ) -> Result<Registration, RepositoryError> {
        let claim = email_claim::ActiveModel {
            email_key: Set(email.as_str().to_owned()),
            account_id: Set(account.id.as_uuid()),
            state: Set(CURRENT.to_owned()),
        };
        let row = row_of(account, hash)?;
        let (created, at) = (SecurityEvent::AccountCreated(account.id), account.created_at);
        let registration = self.database.write(move |transaction| {
            let (claim, row) = (claim.clone(), row.clone());
            Box::pin(async move {
                // A conflict that is no error: on PostgreSQL an error would end the transaction, and this waits for
                // the other registration to commit or to fail.
                let nothing = OnConflict::column(email_claim::Column::EmailKey).do_nothing().to_owned();
                let claimed =
                    email_claim::Entity::insert(claim).on_conflict(nothing).exec_without_returning(transaction).await?;
                if claimed == 0 {
                    return Ok(Outcome::Rollback(Registration::EmailTaken));
                }
                account::Entity::insert(row).exec_without_returning(transaction).await?;
                record(transaction, [created], at).await?;
                Ok(Outcome::Commit(Registration::Registered))
            })
        });
        Ok(registration.await?)
    }

    /// The account that an address belongs to, and its password's hash. One statement, whether there is one or not.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn find_credentials(
        &self,
        email: &EmailKey,
    ) -> Result<Option<(Account, PasswordHash)>, RepositoryError> {
        let owner = Query::select()
            .column(email_claim::Column::AccountId)
            .from(email_claim::Entity)
            .and_where(email_claim::Column::EmailKey.eq(email.as_str()))
            .and_where(email_claim::Column::State.eq(CURRENT))
            .to_owned();
        let find = account::Entity::find().filter(account::Column::AccountId.in_subquery(owner));
        let row = self.database.read(move |connection| Box::pin(find.one(connection))).await?;
        row.map(|row| Ok((account_of(&row)?, PasswordHash::from_phc(row.password_hash)))).transpose()
    }

    /// The account with this id.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn find_account(&self, id: AccountId) -> Result<Option<Account>, RepositoryError> {
        let find = account::Entity::find_by_id(id.as_uuid());
        let row = self.database.read(move |connection| Box::pin(find.one(connection))).await?;
        row.as_ref().map(account_of).transpose()
    }

    /// The hash of the password of an account, as long as its token version is this one.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn find_password(
        &self,
        id: AccountId,
        token_version: u64,
    ) -> Result<Option<PasswordHash>, RepositoryError> {
        let find =
            account::Entity::find_by_id(id.as_uuid()).filter(account::Column::TokenVersion.eq(number(token_version)?));
        let row = self.database.read(move |connection| Box::pin(find.one(connection))).await?;
        Ok(row.map(|row| PasswordHash::from_phc(row.password_hash)))
    }

    /// Stores an account as its owner has changed it. Returns whether it did: not if another change was faster.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn update_account(&self, changed: &Account) -> Result<bool, RepositoryError> {
        let revision = i64::try_from(changed.revision).map_err(|_| impossible("revision"))?;
        let update = account::Entity::update_many()
            .col_expr(account::Column::DisplayName, Expr::value(changed.display_name.as_str()))
            .col_expr(account::Column::Revision, Expr::value(revision))
            .col_expr(account::Column::UpdatedAt, Expr::value(to_micros(changed.updated_at)))
            .filter(account::Column::AccountId.eq(changed.id.as_uuid()))
            .filter(account::Column::Revision.eq(revision - 1));
        let (fact, at) = (SecurityEvent::AccountUpdated(changed.id), changed.updated_at);
        let updated = self.database.write(move |transaction| {
            let update = update.clone();
            Box::pin(async move {
                if update.exec(transaction).await?.rows_affected == 0 {
                    return Ok(Outcome::Rollback(false));
                }
                record(transaction, [fact], at).await?;
                Ok(Outcome::Commit(true))
            })
        });
        Ok(updated.await?)
    }
}

/// A token version as it is stored.
pub(super) fn number(token_version: u64) -> Result<i64, RepositoryError> {
    i64::try_from(token_version).map_err(|_| impossible("token_version"))
}

fn row_of(account: &Account, hash: &PasswordHash) -> Result<account::ActiveModel, RepositoryError> {
    Ok(account::ActiveModel {
        account_id: Set(account.id.as_uuid()),
        email: Set(account.email.clone()),
        display_name: Set(account.display_name.as_str().to_owned()),
        email_verified: Set(account.email_verified),
        roles: Set(serde_json::to_string(&account.roles).map_err(|_| impossible("roles"))?),
        state: Set(state_name(account.state).to_owned()),
        password_hash: Set(hash.as_phc().to_owned()),
        token_version: Set(number(account.token_version)?),
        revision: Set(i64::try_from(account.revision).map_err(|_| impossible("revision"))?),
        created_at: Set(to_micros(account.created_at)),
        updated_at: Set(to_micros(account.updated_at)),
        last_login_at: Set(account.last_login_at.map(to_micros)),
    })
}

pub(super) fn account_of(row: &account::Model) -> Result<Account, RepositoryError> {
    Ok(Account {
        id: AccountId::from_uuid(row.account_id),
        email: row.email.clone(),
        display_name: DisplayName::parse(&row.display_name).map_err(|_| impossible("display_name"))?,
        email_verified: row.email_verified,
        roles: serde_json::from_str(&row.roles).map_err(|_| impossible("roles"))?,
        state: state_of(&row.state)?,
        token_version: u64::try_from(row.token_version).map_err(|_| impossible("token_version"))?,
        revision: u64::try_from(row.revision).map_err(|_| impossible("revision"))?,
        created_at: from_micros(row.created_at),
        updated_at: from_micros(row.updated_at),
        last_login_at: row.last_login_at.map(from_micros),
    })
}

pub(super) const fn state_name(state: AccountState) -> &'static str {
    match state {
        AccountState::Active => "active",
        AccountState::Disabled => "disabled",
    }
}

fn state_of(name: &str) -> Result<AccountState, RepositoryError> {
    [AccountState::Active, AccountState::Disabled]
        .into_iter()
        .find(|state| state_name(*state) == name)
        .ok_or_else(|| impossible("state"))
}

const fn impossible(column: &'static str) -> RepositoryError {
    RepositoryError::Corrupt { table: "accounts", column }
}
