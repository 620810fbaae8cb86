//! What the messages of the stream say, and the message that says what is in force.

use std::time::{Duration, SystemTime};

use proto::auth::internal::v1 as wire;
use proto::auth::internal::v1::revocation::Tokens;
use proto::auth::internal::v1::signing_key::State;
use proto::auth::internal::v1::watch_trust_response::Event;
use uuid::Uuid;

use crate::SessionId;
use crate::trust::revocations::{Revocation, Revoked};
use crate::trust::state::{KeySet, Shared};
use crate::trust::{PublicKey, TrustError};

/// How long a revocation without a sound end is kept: longer than any token lives.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The moment of what a message tells.
pub(super) fn as_of(age_micros: i64, now: SystemTime) -> SystemTime {
    let age = Duration::from_micros(u64::try_from(age_micros).unwrap_or_default());
    now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The keys of a set, at least one that is good.
///
/// # Errors
/// Refuses the whole set if a key in it is broken or its state unknown, if two have one id, or if none is good.
pub(super) fn key_set(keys: &[wire::SigningKey]) -> Result<KeySet, TrustError> {
    let mut set = KeySet::default();
    for key in keys {
        let known = set.trusted.iter().map(PublicKey::key_id).chain(set.revoked.iter().map(String::as_str));
        if known.into_iter().any(|id| id == key.kid) {
            return Err(TrustError::DuplicateKeyId(key.kid.clone()));
        }
        match key.state() {
            State::Standby | State::Current | State::Retired => {
                set.trusted.push(PublicKey::from_components(&key.modulus, &key.exponent)?.with_key_id(&key.kid)?);
            }
            State::Revoked => set.revoked.push(key.kid.clone()),
            State::Unspecified => return Err(TrustError::Setting("a key of an unknown state")),
        }
    }
    if set.trusted.is_empty() { Err(TrustError::NoKeys) } else { Ok(set) }
}

/// The revocations of a message. One that is not understood, being of a later version of the contract, is taken to be of
/// everything: nothing that is revoked is let through.
pub(super) fn revocations(revocations: &[wire::Revocation], as_of: SystemTime) -> Vec<Revoked> {
    let time = |time: Option<prost_types::Timestamp>| time.and_then(|time| SystemTime::try_from(time).ok());
    let revoked = revocations.iter().map(|revocation| {
        let revoked_at = time(revocation.revoke_time).unwrap_or(as_of);
        Revoked {
            revocation: revocation.tokens.as_ref().and_then(kind).unwrap_or(Revocation::All),
            revoked_at,
            expires_at: time(revocation.expire_time).unwrap_or(revoked_at + KEPT),
        }
    });
    revoked.collect()
}

fn kind(tokens: &Tokens) -> Option<Revocation> {
    Some(match tokens {
        Tokens::Session(id) => Revocation::Session(SessionId::from_uuid(Uuid::from_slice(id).ok()?)),
        Tokens::Subject(cutoff) => Revocation::Subject {
            subject: Uuid::from_slice(&cutoff.subject).ok()?,
            minimum_version: u64::try_from(cutoff.minimum_version).ok()?,
        },
        Tokens::Kid(kid) => Revocation::Key(kid.clone()),
        Tokens::All(_) => Revocation::All,
    })
}

/// A message that says what is in force.
pub(super) fn snapshot_of(
    shared: &Shared,
    keys: &[wire::SigningKey],
    cursor: &str,
    as_of: SystemTime,
) -> (SystemTime, wire::WatchTrustResponse) {
    let revocations = shared.load().revoked(as_of).into_iter().map(|revoked| wire::Revocation {
        tokens: Some(match revoked.revocation {
            Revocation::Session(session) => Tokens::Session(session.as_uuid().as_bytes().to_vec()),
            Revocation::Subject { subject, minimum_version } => Tokens::Subject(wire::SubjectCutoff {
                subject: subject.as_bytes().to_vec(),
                minimum_version: i64::try_from(minimum_version).unwrap_or(i64::MAX),
            }),
            Revocation::Key(kid) => Tokens::Kid(kid),
            Revocation::All => Tokens::All(true),
        }),
        revoke_time: Some(revoked.revoked_at.into()),
        expire_time: Some(revoked.expires_at.into()),
    });
    let snapshot = wire::Snapshot { keys: keys.to_vec(), revocations: revocations.collect(), complete: true };
    let event = Some(Event::Snapshot(snapshot));
    (as_of, wire::WatchTrustResponse { cursor: cursor.to_owned(), age_micros: 0, event })
}
