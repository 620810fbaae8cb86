use std::time::{Duration, SystemTime};

use authn::SessionId;
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use uuid::Uuid;

use super::table::{Table, time};
use super::{Failure, Operator};
use crate::domain::{AccountId, AuditFilter, AuditRecord, SecurityEvent};

/// The units of a span of time, in seconds.
const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60)];

#[derive(Debug, Args)]
pub(super) struct Command {
    /// Of this account: its id, its name (`accounts/…`) or its e-mail address. By id one that is deleted too.
    #[arg(long)]
    account: Option<String>,
    /// Of this session: its id or its name (`sessions/…`).
    #[arg(long)]
    session: Option<String>,
    /// With this name.
    #[arg(long, value_parser = PossibleValuesParser::new(SecurityEvent::NAMES))]
    event: Option<String>,
    /// Since a moment (2026-11-24T21:00:00Z) or for a span of time (90s, 15m, 12h, 7d).
    #[arg(long)]
    since: Option<String>,
    /// The latest ones, at most so many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    limit: u64,
}

impl Command {
    pub(super) async fn run(&self, operator: &Operator) -> Result<Table, Failure> {
        let account = match &self.account {
            Some(named) => Some(operator.account_id(named).await?),
            None => None,
        };
        let filter = AuditFilter {
            account,
            session: self.session.as_deref().map(session).transpose()?,
            event: self.event.clone(),
            since: self.since.as_deref().map(|since| moment(since, operator.clock.now())).transpose()?,
        };
        Ok(table_of(operator.repository.audit_records(&filter, self.limit).await?))
    }
}

impl Operator {
    /// The account that a person means, though it may be deleted.
    async fn account_id(&self, named: &str) -> Result<AccountId, Failure> {
        match Uuid::try_parse(named.strip_prefix("accounts/").unwrap_or(named)) {
            Ok(id) => Ok(AccountId::from_uuid(id)),
            Err(_) => Ok(self.account(named).await?.id),
        }
    }
}

fn session(named: &str) -> Result<SessionId, Failure> {
    let id = Uuid::try_parse(named.strip_prefix("sessions/").unwrap_or(named));
    id.map(SessionId::from_uuid).map_err(|_| Failure::Usage(format!("{named} names no session")))
}

fn moment(words: &str, now: SystemTime) -> Result<SystemTime, Failure> {
    let moment = span(words).and_then(|span| now.checked_sub(span));
    let moment = moment.or_else(|| words.parse::<prost_types::Timestamp>().ok()?.try_into().ok());
    moment.ok_or_else(|| Failure::Usage(format!("{words} is neither a moment nor a span of time")))
}

fn span(words: &str) -> Option<Duration> {
    let unit = words.chars().last()?;
    let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let number: u64 = words.strip_suffix(unit)?.parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

fn table_of(records: Vec<AuditRecord>) -> Table {
    let mut table =
        Table::new(&["at", "event", "account", "session", "generation", "reason", "sessions", "kid", "times"]);
    for record in records {
        table.push(vec![
            time(record.at),
            json!(record.event),
            record.account.map_or(Value::Null, |account| json!(account.to_string())),
            record.session.map_or(Value::Null, |session| json!(session.to_string())),
            json!(record.generation),
            json!(record.reason),
            json!(record.sessions),
            json!(record.kid),
            json!(record.times),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_moment_is_said_as_it_is_or_by_how_long_ago_it_was() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (words, ago) in [
            ("90s", 90),
            ("15m", 900),
            ("12h", 43_200),
            ("7d", 604_800),
            ("2027-01-15T07:59:00Z", 60),
            ("2027-01-15", 28_800),
        ] {
            let moment = moment(words, now).expect("a moment");
            assert_eq!(now.duration_since(moment).expect("before"), Duration::from_secs(ago), "{words}");
        }
        for words in ["", "d", "-7d", "7w", "yesterday", "99999999999999999999d", "18446744073709551615s"] {
            assert!(moment(words, now).is_err(), "{words}");
        }
    }
}
