//! What is refused although it has not expired, as the hot path looks it up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::shards::Shards;
use crate::{Principal, SessionId};

/// How far the clocks of those who issue tokens and those who revoke them may differ when entries are merged.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5);

/// Tokens that are refused although they have not expired.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revocation {
    /// Those of a session, by `sid`.
    Session(SessionId),
    /// Those of an account that are older than a version, by `sub` and `ver`. Issue times would misjudge the tokens of
    /// one second, of which there are whole ones only.
    Subject {
        /// Whose.
        subject: Uuid,
        /// The least version that is good. A token without a version is refused.
        minimum_version: u64,
    },
    /// Those that a key signed, by `kid`.
    Key(String),
    /// All that were issued before the revocation.
    All,
}

/// A revocation with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// What is revoked.
    pub revocation: Revocation,
    /// Since when.
    pub revoked_at: SystemTime,
    /// When the last token that it covers has expired.
    pub expires_at: SystemTime,
}

/// Why a token of a good signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Its session or its account's version.
    Revoked,
    /// Its issue time: sessions live on, and a refresh yields a token that is good.
    TooOld,
}

/// Revocations in force. Cloning shares the entries; a clone that is changed copies the shards that differ.
#[derive(Clone, Default)]
pub(crate) struct Revocations {
    sessions: Shards<u64>,
    subjects: Shards<Cutoff>,
    keys: HashMap<Arc<str>, u64>,
    all: Option<Everything>,
}

#[derive(Clone, Copy)]
struct Cutoff {
    minimum_version: u64,
    expires_at: u64,
}

/// Everything that was issued before a whole second.
#[derive(Clone, Copy)]
struct Everything {
    issued_before_second: u64,
    expires_at: u64,
}

/// What is kept beside the entries in force by whoever changes them: when each may be forgotten.
pub(crate) struct Ledger {
    most: usize,
    ends: BinaryHeap<Reverse<(u64, Entry)>>,
    /// The latest time of revocation of what is in force by session or subject.
    latest: SystemTime,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    Session(Uuid),
    Subject(Uuid),
    Key(Arc<str>),
    All,
}

impl Revocations {
    /// Whether a token that is good otherwise is refused.
    pub(crate) fn check(&self, principal: &Principal) -> Result<(), Refused> {
        if let Some(session) = principal.session
            && self.sessions.get(session.as_uuid()).is_some()
        {
            return Err(Refused::Revoked);
        }
        if let Some(cutoff) = self.subjects.get(principal.subject.as_uuid())
            && principal.account_version.unwrap_or(0) < cutoff.minimum_version
        {
            return Err(Refused::Revoked);
        }
        match self.all {
            Some(all) if principal.issued_at.as_secs() < all.issued_before_second => Err(Refused::TooOld),
            _ => Ok(()),
        }
    }

    pub(crate) fn revokes_key(&self, id: &str) -> bool {
        !self.keys.is_empty() && self.keys.contains_key(id)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.exact() + self.keys.len() + usize::from(self.all.is_some())
    }

    /// All of them, as if each were revoked at `revoked_at`.
    pub(crate) fn entries(&self, revoked_at: SystemTime) -> Vec<Revoked> {
        let of = |revocation, revoked_at, end| Revoked { revocation, revoked_at, expires_at: time(end) };
        let sessions = self.sessions.iter().map(|(id, end)| {
            let session = Revocation::Session(SessionId::from_uuid(id));
            of(session, revoked_at, end)
        });
        let subjects = self.subjects.iter().map(|(subject, Cutoff { minimum_version, expires_at })| {
            of(Revocation::Subject { subject, minimum_version }, revoked_at, expires_at)
        });
        let keys = self.keys.iter().map(|(id, end)| of(Revocation::Key(id.to_string()), revoked_at, *end));
        let all = self
            .all
            .map(|all| of(Revocation::All, time(all.issued_before_second.saturating_mul(1_000_000)), all.expires_at));
        sessions.chain(subjects).chain(keys).chain(all).collect()
    }

    fn exact(&self) -> usize {
        self.sessions.len() + self.subjects.len()
    }
}

impl Ledger {
    /// A ledger of at most `most` sessions and subjects.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, ends: BinaryHeap::new(), latest: UNIX_EPOCH }
    }

    /// Forgets everything, because what follows is all there is.
    pub(crate) fn clear(&mut self) {
        self.ends.clear();
        self.latest = UNIX_EPOCH;
    }

    /// Adds entries. When there are more than the ledger may hold they become one entry that covers them all, and more:
    /// everything that was issued before the latest of them. It never forgets.
    pub(crate) fn add(&mut self, revocations: &mut Revocations, entries: &[Revoked]) {
        for Revoked { revocation, revoked_at, expires_at } in entries {
            let end = micros(*expires_at);
            let entry = match revocation {
                Revocation::Session(session) => {
                    let session = session.as_uuid();
                    revocations.sessions.update(session, |known| known.map_or(end, |known: u64| known.max(end)));
                    Entry::Session(session)
                }
                Revocation::Subject { subject, minimum_version } => {
                    let new = Cutoff { minimum_version: *minimum_version, expires_at: end };
                    revocations.subjects.update(*subject, |known| known.map_or(new, |known| known.stricter(new)));
                    Entry::Subject(*subject)
                }
                Revocation::Key(id) => {
                    let id: Arc<str> = id.as_str().into();
                    let known = revocations.keys.entry(Arc::clone(&id)).or_insert(end);
                    *known = (*known).max(end);
                    Entry::Key(id)
                }
                Revocation::All => {
                    revocations.all = Some(Everything::before(*revoked_at, end).or_stricter(revocations.all));
                    Entry::All
                }
            };
            self.ends.push(Reverse((end, entry)));
            if matches!(revocation, Revocation::Session(_) | Revocation::Subject { .. }) {
                self.latest = self.latest.max(*revoked_at);
                if revocations.exact() > self.most {
                    self.merge(revocations);
                }
            }
        }
    }

    /// Forgets what has expired. Returns whether there was anything.
    pub(crate) fn forget(&mut self, revocations: &mut Revocations, now: SystemTime) -> bool {
        let now = micros(now);
        let mut any = false;
        while let Some(Reverse((end, _))) = self.ends.peek()
            && *end <= now
        {
            let Some(Reverse((end, entry))) = self.ends.pop() else { break };
            // An entry that was extended since has another end, which comes later.
            match entry {
                Entry::Session(id) => revocations.sessions.remove_if(id, |expires_at| *expires_at <= end),
                Entry::Subject(id) => revocations.subjects.remove_if(id, |cutoff| cutoff.expires_at <= end),
                Entry::Key(id) => revocations.keys.retain(|known, expires_at| *known != id || *expires_at > end),
                Entry::All => revocations.all = revocations.all.filter(|all| all.expires_at > end),
            }
            any = true;
        }
        any
    }

    /// Whether something has expired by now.
    pub(crate) fn has_expired(&self, now: SystemTime) -> bool {
        self.ends.peek().is_some_and(|Reverse((end, _))| *end <= micros(now))
    }

    fn merge(&mut self, revocations: &mut Revocations) {
        let exact = |Reverse((end, entry)): &Reverse<(u64, Entry)>| match entry {
            Entry::Session(_) | Entry::Subject(_) => Some(*end),
            Entry::Key(_) | Entry::All => None,
        };
        let end = self.ends.iter().filter_map(exact).max().unwrap_or_default();
        self.ends.retain(|entry| exact(entry).is_none());
        self.ends.push(Reverse((end, Entry::All)));
        let all = Everything::before(self.latest + CLOCKS_DIFFER, end);
        revocations.all = Some(all.or_stricter(revocations.all));
        revocations.sessions = Shards::default();
        revocations.subjects = Shards::default();
    }
}

impl Cutoff {
    fn stricter(self, other: Self) -> Self {
        Self {
            minimum_version: self.minimum_version.max(other.minimum_version),
            expires_at: self.expires_at.max(other.expires_at),
        }
    }
}

impl Everything {
    /// Issue times are whole seconds, so a token of the very second counts as from before it.
    fn before(moment: SystemTime, expires_at: u64) -> Self {
        let issued_before_second = micros(moment).div_ceil(1_000_000);
        Self { issued_before_second, expires_at }
    }

    fn or_stricter(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| Self {
            issued_before_second: self.issued_before_second.max(other.issued_before_second),
            expires_at: self.expires_at.max(other.expires_at),
        })
    }
}

fn time(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros)
}

fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    fn principal(session: Uuid, subject: Uuid, version: u64, issued_at: u64) -> Principal {
        Principal {
            subject: Subject(subject),
            session: Some(SessionId::from_uuid(session)),
            generation: None,
            account_version: Some(version),
            token_id: None,
            scopes: Vec::new(),
            roles: Vec::new(),
            issued_at: at(issued_at).duration_since(UNIX_EPOCH).expect("after 1970"),
            expires_at: at(issued_at + 300),
            key_id: "k".into(),
        }
    }

    fn session(id: Uuid, revoked_at: u64) -> Revoked {
        let revocation = Revocation::Session(SessionId::from_uuid(id));
        Revoked { revocation, revoked_at: at(revoked_at), expires_at: at(revoked_at + 300) }
    }

    #[test]
    fn each_kind_refuses_what_it_names_and_nothing_else() {
        let [sid, sub, other] = [1, 2, 3].map(Uuid::from_u128);
        let of = |revocation| Revoked { revocation, revoked_at: at(10), expires_at: at(310) };
        let old = principal(sid, sub, 3, 5);
        for (revocation, token, expected) in [
            (Revocation::Session(SessionId::from_uuid(sid)), &old, Err(Refused::Revoked)),
            (Revocation::Session(SessionId::from_uuid(other)), &old, Ok(())),
            (Revocation::Session(SessionId::from_uuid(sub)), &old, Ok(())),
            (Revocation::Subject { subject: sub, minimum_version: 4 }, &old, Err(Refused::Revoked)),
            (Revocation::Subject { subject: sub, minimum_version: 3 }, &old, Ok(())),
            (Revocation::Subject { subject: other, minimum_version: 4 }, &old, Ok(())),
            (Revocation::All, &old, Err(Refused::TooOld)),
            (Revocation::All, &principal(sid, sub, 3, 10), Ok(())),
        ] {
            let mut revocations = Revocations::default();
            Ledger::new(10).add(&mut revocations, &[of(revocation.clone())]);
            assert_eq!(revocations.check(token), expected, "{revocation:?}");
        }
    }

    #[test]
    fn a_token_without_a_version_is_older_than_every_version() {
        let mut token = principal(Uuid::from_u128(1), Uuid::from_u128(2), 3, 5);
        token.account_version = None;
        let revocation = Revocation::Subject { subject: Uuid::from_u128(2), minimum_version: 1 };
        let mut revocations = Revocations::default();
        Ledger::new(10).add(&mut revocations, &[Revoked { revocation, revoked_at: at(10), expires_at: at(310) }]);
        assert_eq!(revocations.check(&token), Err(Refused::Revoked));
    }

    #[test]
    fn entries_are_forgotten_when_the_last_token_that_they_cover_has_expired() {
        let (mut ledger, mut revocations) = (Ledger::new(10), Revocations::default());
        let ids = [1, 2].map(Uuid::from_u128);
        ledger.add(&mut revocations, &[session(ids[0], 0), session(ids[1], 0), session(ids[1], 60)]);
        assert_eq!(revocations.len(), 2, "the same thing twice is one entry");
        assert!(!ledger.forget(&mut revocations, at(300) - SECOND));
        assert!(ledger.has_expired(at(300)) && ledger.forget(&mut revocations, at(300)));
        assert_eq!(revocations.len(), 1, "the later end counts");
        assert!(revocations.check(&principal(ids[1], ids[0], 1, 0)).is_err());
        assert!(ledger.forget(&mut revocations, at(360)));
        assert_eq!(revocations.len(), 0);
    }

    #[test]
    fn too_many_entries_become_one_that_covers_them_all_and_a_later_token_is_good() {
        let (mut ledger, mut revocations) = (Ledger::new(100), Revocations::default());
        let ids: Vec<_> = (0..101).map(|id| Uuid::from_u128(id << 8 | id)).collect();
        for (second, id) in ids.iter().enumerate() {
            ledger.add(&mut revocations, &[session(*id, u64::try_from(second).expect("small"))]);
        }
        assert_eq!(revocations.len(), 1);
        let sub = Uuid::from_u128(7);
        for id in &ids {
            assert_eq!(revocations.check(&principal(*id, sub, 1, 100)), Err(Refused::TooOld));
        }
        assert_eq!(revocations.check(&principal(ids[0], sub, 1, 106)), Ok(()), "issued by whoever is signed in still");
        // What follows is told apart again, and the one entry goes with the last that it stands for.
        ledger.add(&mut revocations, &[session(ids[0], 200)]);
        assert_eq!(revocations.check(&principal(ids[0], sub, 1, 150)), Err(Refused::Revoked));
        assert!(ledger.forget(&mut revocations, at(400)));
        assert_eq!(revocations.check(&principal(ids[1], sub, 1, 100)), Ok(()));
        assert_eq!(revocations.len(), 1);
    }

    #[test]
    fn a_change_does_not_reach_a_clone() {
        let (mut ledger, mut revocations) = (Ledger::new(10), Revocations::default());
        let before = revocations.clone();
        ledger.add(&mut revocations, &[session(Uuid::from_u128(1), 0)]);
        assert_eq!((before.len(), revocations.len()), (0, 1));
    }
}
