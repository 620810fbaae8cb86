use std::sync::Arc;
use std::time::SystemTime;

use clap::Subcommand;
use serde_json::{Value, json};

use super::table::{Table, time};
use super::{Failure, Operator};
use crate::Config;
use crate::app::{KeyChangeError, KeyKeeper};
use crate::crypto::KeyEncryptionKey;
use crate::domain::{KeyId, KeyRefusal, KeySet, KeyState, KeyWish};
use crate::repository::KeyChange;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists the signing keys: those that are over first, then the one that signs, then the one that will.
    List,
    /// Shows what comes next for each key, and when.
    Plan,
    /// Has the next key sign: at once if it was published for long enough, or as soon as it was.
    Rotate,
    /// Has every token that a key signed refused, and the next key sign if it was the one that does.
    Revoke {
        /// Its id, as `list` shows it.
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
}

impl Command {
    pub(super) async fn run(&self, operator: &Operator, config: &Config) -> Result<Table, Failure> {
        if config.signing_keys.is_fixed() {
            let why =
                "the signing key is given by the settings (signing_key) and takes no turns: put another in its place";
            return Err(Failure::Failed(why.into()));
        }
        let keeper = keeper(config);
        match self {
            Self::List => Ok(list(&operator.repository.signing_keys().await?)),
            Self::Plan => Ok(plan(&operator.repository.signing_keys().await?, &keeper)),
            Self::Rotate => Ok(rotated(&operator.change_keys(&keeper, KeyWish::Rotate).await?)),
            Self::Revoke { kid } => {
                let id = KeyId::parse(kid).ok_or_else(|| Failure::Usage(format!("{kid} names no signing key")))?;
                Ok(revoked(&operator.change_keys(&keeper, KeyWish::Revoke(id)).await?, id))
            }
        }
    }
}

impl Operator {
    async fn change_keys(&self, keeper: &KeyKeeper, wish: KeyWish) -> Result<KeyChange, Failure> {
        let changed = keeper.change(&self.repository, &self.clock, wish).await;
        changed.map_err(|error| {
            match error {
            KeyChangeError::Refused(KeyRefusal::Unknown) => Failure::NotFound("signing key"),
            KeyChangeError::Refused(KeyRefusal::KeyWanted) => Failure::Failed(
                "no key stands by, and signing_keys.encryption_key, without which none can be made, cannot be read here"
                    .into(),
            ),
            KeyChangeError::Failed(error) => Failure::of(error),
        }
        })
    }
}

/// What changes keys. Most wishes need no new one, so whoever cannot read what they are encrypted under may go on.
fn keeper(config: &Config) -> KeyKeeper {
    let encryption = KeyEncryptionKey::load_existing(&crate::encryption_key_source(config));
    let encryption = encryption.and_then(|key| key.after(config.signing_keys.previous_encryption_key.as_ref()));
    let encryption = encryption.ok().map(Arc::new);
    KeyKeeper { encryption, bits: config.signing_keys.bits, rules: config.signing_keys.rules, first: None }
}

fn list(keys: &KeySet) -> Table {
    let mut table = Table::new(&["kid", "state", "created_at", "activated_at", "retired_at", "revoked_at"]);
    let moment = |at: Option<SystemTime>| at.map_or(Value::Null, time);
    for record in keys.records() {
        table.push(vec![
            json!(record.id().as_str()),
            json!(record.state.name()),
            time(record.created_at),
            moment(record.activated_at),
            moment(record.retired_at),
            moment(record.revoked_at),
        ]);
    }
    table
}

fn plan(keys: &KeySet, keeper: &KeyKeeper) -> Table {
    let mut table = Table::new(&["at", "kid", "becomes"]);
    for next in keys.upcoming(&keeper.rules) {
        let becomes = next.becomes.map_or("forgotten", KeyState::name);
        table.push(vec![time(next.at), json!(next.id.as_str()), json!(becomes)]);
    }
    table
}

/// What a rotation did, or when it will be.
fn rotated(change: &KeyChange) -> Table {
    let mut table = outcomes();
    for fact in change.after.records() {
        let was = change.before.get(fact.id()).map(|record| record.state);
        let outcome = match fact.state {
            KeyState::Current if was != Some(KeyState::Current) => "signs now",
            KeyState::Retired if was == Some(KeyState::Current) => "signs no more",
            KeyState::Standby if fact.due_at.is_some() => "signs from",
            _ => continue,
        };
        table.push(vec![json!(fact.id().as_str()), json!(outcome), fact.due_at.map_or(Value::Null, time)]);
    }
    table
}

fn revoked(change: &KeyChange, id: KeyId) -> Table {
    let mut table = outcomes();
    let outcome = if change.is_one() { "revoked" } else { "was revoked before" };
    table.push(vec![json!(id.as_str()), json!(outcome), Value::Null]);
    if let Some(current) = change.after.current()
        && change.before.current().map(|before| before.id()) != Some(current.id())
    {
        table.push(vec![json!(current.id().as_str()), json!("signs now"), Value::Null]);
    }
    table
}

fn outcomes() -> Table {
    Table::new(&["kid", "outcome", "at"])
}
