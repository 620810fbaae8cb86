use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::table::{Table, time};
use super::{Failure, Operator};
use crate::domain::{Account, AccountId, AccountState, Email, EmailRules};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Shows an account.
    Show {
        /// Its id, its name (`accounts/…`) or its e-mail address.
        account: String,
    },
    /// Switches an account off: no login, no refresh, and its access tokens end.
    Disable {
        /// Its id, its name (`accounts/…`) or its e-mail address.
        account: String,
    },
    /// Switches an account on again. Its sessions go on where they have not ended meanwhile.
    Enable {
        /// Its id, its name (`accounts/…`) or its e-mail address.
        account: String,
    },
}

impl Command {
    pub(super) async fn run(&self, operator: &Operator) -> Result<Table, Failure> {
        match self {
            Self::Show { account } => Ok(table_of(&operator.account(account).await?)),
            Self::Disable { account } => operator.disable(account).await,
            Self::Enable { account } => operator.enable(account).await,
        }
    }
}

impl Operator {
    /// The account that a person means.
    pub(super) async fn account(&self, named: &str) -> Result<Account, Failure> {
        let found = if named.contains('@') {
            let email = Email::parse(named, EmailRules::AnyLocalPart)
                .map_err(|_| Failure::Usage(format!("{named} is no e-mail address")))?;
            self.repository.find_credentials(email.key()).await?.map(|(account, _)| account)
        } else {
            let id = named.strip_prefix("accounts/").unwrap_or(named);
            let id = Uuid::try_parse(id).map_err(|_| Failure::Usage(format!("{named} names no account")))?;
            self.repository.find_account(AccountId::from_uuid(id)).await?
        };
        found.ok_or(Failure::NotFound("account"))
    }

    /// Switches an account off and shows it. One that is off already stays as it is.
    async fn disable(&self, named: &str) -> Result<Table, Failure> {
        let id = self.account(named).await?.id;
        self.repository.disable_account(id, self.clock.now()).await?;
        Ok(table_of(&self.account(named).await?))
    }

    /// Switches an account on and shows it. One that is on already stays as it is.
    async fn enable(&self, named: &str) -> Result<Table, Failure> {
        let id = self.account(named).await?.id;
        self.repository.enable_account(id, self.clock.now()).await?;
        Ok(table_of(&self.account(named).await?))
    }
}

fn table_of(account: &Account) -> Table {
    let mut table = Table::new(&["account", "email", "state", "roles", "token_version", "created_at", "last_login_at"]);
    let state = match account.state {
        AccountState::Active => "active",
        AccountState::Disabled => "disabled",
    };
    table.push(vec![
        json!(account.id.to_string()),
        json!(account.email),
        json!(state),
        json!(account.roles),
        json!(account.token_version),
        time(account.created_at),
        account.last_login_at.map_or(serde_json::Value::Null, time),
    ]);
    table
}
