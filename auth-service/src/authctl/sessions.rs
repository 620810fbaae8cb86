use authn::SessionId;
use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::table::{Table, time};
use super::{Failure, Operator};
use crate::domain::{RevokeReason, Session};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists the sessions of an account that go on, the latest used first.
    List {
        /// Its id, its name (`accounts/…`) or its e-mail address.
        account: String,
    },
    /// Ends a session.
    Revoke {
        /// Its id or its name (`sessions/…`).
        session: String,
    },
}

impl Command {
    pub(super) async fn run(&self, operator: &Operator) -> Result<Table, Failure> {
        let now = operator.clock.now();
        match self {
            Self::List { account } => {
                let account = operator.account(account).await?;
                Ok(table_of(&operator.repository.live_sessions(account.id, now).await?))
            }
            Self::Revoke { session } => {
                let id = session.strip_prefix("sessions/").unwrap_or(session);
                let id = Uuid::try_parse(id).map_err(|_| Failure::Usage(format!("{session} names no session")))?;
                let key = operator.repository.find_session_key(SessionId::from_uuid(id)).await?;
                let key = key.ok_or(Failure::NotFound("session"))?;
                let revoked = operator.repository.revoke(key, RevokeReason::Operator, now).await?;
                let mut table = Table::new(&["session", "account", "outcome"]);
                let outcome = if revoked { "revoked" } else { "was revoked before" };
                table.push(vec![json!(id.to_string()), json!(key.account.to_string()), json!(outcome)]);
                Ok(table)
            }
        }
    }
}

fn table_of(sessions: &[Session]) -> Table {
    let mut table =
        Table::new(&["session", "client_label", "user_agent", "ip_prefix", "created_at", "last_used_at", "expires_at"]);
    for session in sessions {
        table.push(vec![
            json!(session.key.session.as_uuid().to_string()),
            json!(session.client_label.as_str()),
            json!(session.origin.user_agent()),
            json!(session.origin.ip_prefix()),
            time(session.created_at),
            time(session.last_used_at),
            time(session.ends_at()),
        ]);
    }
    table
}
