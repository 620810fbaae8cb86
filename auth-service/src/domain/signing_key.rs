use std::cmp::Reverse;
use std::fmt;
use std::time::{Duration, SystemTime};

use super::{KeyState, Revocation, SecurityEvent, TrustKey};

/// Characters of a key id.
const ID_CHARACTERS: usize = 43;

/// How long a revoked key is told of: long after its last token has expired, so that no clock that is set back makes one
/// of them good again.
const REVOKED_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The id of a signing key: its SHA-256 thumbprint in base64url.
///
/// Source: RFC 7638 §3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID_CHARACTERS]);

/// The public half of a key, as RFC 7518 §6.3.1 writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicHalf {
    /// The key's id.
    pub id: KeyId,
    /// RSA modulus, base64url.
    pub n: String,
    /// RSA public exponent, base64url.
    pub e: String,
}

/// A key that was made, its private half encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKey {
    /// Its public half.
    pub public: PublicHalf,
    /// Its private half, for the store alone.
    pub sealed: Vec<u8>,
}

/// A signing key and what became of it when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its public half.
    pub public: PublicHalf,
    /// What has become of it.
    pub state: KeyState,
    /// Since when it is published.
    pub created_at: SystemTime,
    /// When it is to sign though it is not its turn, if an operator wants it.
    pub due_at: Option<SystemTime>,
    /// Since when it signs, or did.
    pub activated_at: Option<SystemTime>,
    /// Since when it signs no more.
    pub retired_at: Option<SystemTime>,
    /// Since when its tokens are refused.
    pub revoked_at: Option<SystemTime>,
}

/// When keys take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRules {
    /// How long a key signs.
    pub rotation_interval: Duration,
    /// How long a key is published before it signs, so that every verifier has it by then.
    pub publish_ahead: Duration,
}

/// What is wanted of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyWish {
    /// What the schedule says.
    Keep,
    /// That the next key signs as soon as it may.
    Rotate,
    /// That this key's tokens are refused.
    Revoke(KeyId),
}

/// Why a wish cannot be fulfilled as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// A new key must be made first.
    #[error("a new signing key must be made first")]
    KeyWanted,
    /// There is no such key.
    #[error("there is no such signing key")]
    Unknown,
}

/// What comes next for a key if nobody interferes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upcoming {
    /// When.
    pub at: SystemTime,
    /// Which key.
    pub id: KeyId,
    /// What becomes of it; nothing if it is forgotten.
    pub becomes: Option<KeyState>,
}

/// Every signing key there is. One signs and one stands by; before the first start there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(Vec<KeyRecord>);

impl KeySet {
    /// For how long a replica may sign by what it has read. By then it reads again or signs no more.
    pub const GOOD_FOR: Duration = Duration::from_secs(30);

    /// For how long a key that signs no more is published: until the last token that it signed has expired everywhere,
    /// with as much more as a replica may be late.
    pub const RETIRED_FOR: Duration = Duration::from_secs(Revocation::KEPT.as_secs() + Self::GOOD_FOR.as_secs());

    /// The keys of a store.
    #[must_use]
    pub fn new(mut records: Vec<KeyRecord>) -> Self {
        records.sort_by_key(|record| (Reverse(record.state), record.created_at, record.public.id));
        Self(records)
    }

    /// All of them: those that are over first, then the one that signs, then the one that will.
    #[must_use]
    pub fn records(&self) -> &[KeyRecord] {
        &self.0
    }

    /// The key that signs.
    #[must_use]
    pub fn current(&self) -> Option<&KeyRecord> {
        self.in_state(KeyState::Current)
    }

    /// The key that signs next.
    #[must_use]
    pub fn standby(&self) -> Option<&KeyRecord> {
        self.in_state(KeyState::Standby)
    }

    /// The key with this id.
    #[must_use]
    pub fn get(&self, id: KeyId) -> Option<&KeyRecord> {
        self.0.iter().find(|record| record.public.id == id)
    }

    /// The keys whose tokens are good, or will be.
    pub fn published(&self) -> impl Iterator<Item = &KeyRecord> {
        self.0.iter().filter(|record| record.state != KeyState::Revoked)
    }

    /// All of them as verifiers must know them.
    #[must_use]
    pub fn told(&self) -> Vec<TrustKey> {
        let of = |record: &KeyRecord| {
            let PublicHalf { id, n, e } = &record.public;
            TrustKey { kid: id.to_string(), n: n.clone(), e: e.clone(), state: record.state }
        };
        self.0.iter().map(of).collect()
    }

    /// The keys after a wish was fulfilled; the same as before if there is nothing to do. `spare` is used if it must be.
    ///
    /// # Errors
    /// If a new key is wanted and none was given, or there is no key with the id.
    pub fn decide(
        &self,
        wish: KeyWish,
        rules: &KeyRules,
        spare: Option<&PublicHalf>,
        now: SystemTime,
    ) -> Result<Self, KeyRefusal> {
        let next = match wish {
            KeyWish::Keep => self.plan(rules, spare, now),
            KeyWish::Rotate => self.rotate(rules, spare, now),
            KeyWish::Revoke(id) => self.revoke(id, spare, now),
        };
        next.map(|next| Self::new(next.0))
    }

    /// What the schedule says: one key signs, for as long as it is to; one stands by; what no token needs is forgotten.
    fn plan(&self, rules: &KeyRules, spare: Option<&PublicHalf>, now: SystemTime) -> Result<Self, KeyRefusal> {
        let mut next = self.clone();
        next.0.retain(|record| record.forgotten_at().is_none_or(|at| now < at));
        if let Some(id) = next.standby().map(KeyRecord::id)
            && next.promoted_at(rules).is_none_or(|at| at <= now)
        {
            next.promote(id, now);
        }
        let lacks = match (next.current(), next.standby()) {
            (None, _) => KeyState::Current,
            (Some(_), None) => KeyState::Standby,
            (Some(_), Some(_)) => return Ok(next),
        };
        match spare {
            Some(spare) => Ok(next.with(spare, lacks, now)),
            // What can be done without a key is done first.
            None if next == *self => Err(KeyRefusal::KeyWanted),
            None => Ok(next),
        }
    }

    /// Has the next key sign if it was published for long enough, and as soon as it was otherwise.
    fn rotate(&self, rules: &KeyRules, spare: Option<&PublicHalf>, now: SystemTime) -> Result<Self, KeyRefusal> {
        if self.current().is_none() {
            return self.plan(rules, spare, now);
        }
        let mut next = match (self.standby(), spare) {
            (Some(_), _) => self.clone(),
            (None, Some(spare)) => self.clone().with(spare, KeyState::Standby, now),
            (None, None) => return Err(KeyRefusal::KeyWanted),
        };
        let standby = next.standby().expect("there is one by now");
        let (id, may_sign_at) = (standby.id(), standby.created_at + rules.publish_ahead);
        if may_sign_at <= now {
            next.promote(id, now);
        } else {
            next.change(id, |record| record.due_at = Some(may_sign_at));
        }
        Ok(next)
    }

    /// Has the tokens of a key refused. If it is the one that signs, the next one does so at once.
    fn revoke(&self, id: KeyId, spare: Option<&PublicHalf>, now: SystemTime) -> Result<Self, KeyRefusal> {
        let state = self.get(id).ok_or(KeyRefusal::Unknown)?.state;
        if state == KeyState::Revoked {
            return Ok(self.clone());
        }
        let mut next = self.clone();
        next.change(id, |record| (record.state, record.revoked_at) = (KeyState::Revoked, Some(now)));
        if state != KeyState::Current {
            return Ok(next);
        }
        match (next.standby().map(KeyRecord::id), spare) {
            (Some(standby), _) => next.promote(standby, now),
            (None, Some(spare)) => next = next.with(spare, KeyState::Current, now),
            (None, None) => return Err(KeyRefusal::KeyWanted),
        }
        Ok(next)
    }

    /// What comes next if nobody interferes, the earliest first.
    #[must_use]
    pub fn upcoming(&self, rules: &KeyRules) -> Vec<Upcoming> {
        let turn = self.promoted_at(rules);
        let next = |record: &KeyRecord| {
            let (at, becomes) = match record.state {
                KeyState::Standby => (turn, Some(KeyState::Current)),
                KeyState::Current => (turn, Some(KeyState::Retired)),
                KeyState::Retired | KeyState::Revoked => (record.forgotten_at(), None),
            };
            Some(Upcoming { at: at?, id: record.id(), becomes })
        };
        let mut upcoming: Vec<_> = self.0.iter().filter_map(next).collect();
        upcoming.sort_by_key(|next| next.at);
        upcoming
    }

    /// What happened to whose security between two states of the keys.
    #[must_use]
    pub fn facts_since(&self, before: &Self) -> Vec<SecurityEvent> {
        let mut facts = Vec::new();
        for record in &self.0 {
            let id = record.id();
            let was = before.get(id).map(|record| record.state);
            if was.is_none() {
                facts.push(SecurityEvent::KeyCreated(id));
            }
            match record.state {
                state if was == Some(state) => {}
                KeyState::Standby => {}
                KeyState::Current => facts.push(SecurityEvent::KeyActivated(id)),
                KeyState::Retired => facts.push(SecurityEvent::KeyRetired(id)),
                KeyState::Revoked => facts.push(SecurityEvent::KeyRevoked(id)),
            }
        }
        facts
    }

    /// What verifiers must refuse that they did not have to before.
    #[must_use]
    pub fn revoked_since(&self, before: &Self) -> Vec<Revocation> {
        let revoked = |record: &&KeyRecord| record.state == KeyState::Revoked;
        let is_new = |record: &&KeyRecord| before.get(record.id()).is_none_or(|was| was.state != KeyState::Revoked);
        let of = |record: &KeyRecord| Revocation::Key { kid: record.id().to_string() };
        self.0.iter().filter(revoked).filter(is_new).map(of).collect()
    }

    fn in_state(&self, state: KeyState) -> Option<&KeyRecord> {
        self.0.iter().find(|record| record.state == state)
    }

    /// When the key that stands by takes the place of the one that signs: nothing while one of them is missing.
    fn promoted_at(&self, rules: &KeyRules) -> Option<SystemTime> {
        let (current, standby) = (self.current()?, self.standby()?);
        let turn = current.activated_at.unwrap_or(current.created_at) + rules.rotation_interval;
        let wanted = standby.due_at.map_or(turn, |due| due.min(turn));
        Some(wanted.max(standby.created_at + rules.publish_ahead))
    }

    fn promote(&mut self, id: KeyId, now: SystemTime) {
        if let Some(current) = self.current().map(KeyRecord::id) {
            self.change(current, |record| (record.state, record.retired_at) = (KeyState::Retired, Some(now)));
        }
        self.change(id, |record| {
            (record.state, record.activated_at, record.due_at) = (KeyState::Current, Some(now), None);
        });
    }

    fn with(mut self, key: &PublicHalf, state: KeyState, now: SystemTime) -> Self {
        self.0.push(KeyRecord {
            public: key.clone(),
            state,
            created_at: now,
            due_at: None,
            activated_at: (state == KeyState::Current).then_some(now),
            retired_at: None,
            revoked_at: None,
        });
        self
    }

    fn change(&mut self, id: KeyId, change: impl FnOnce(&mut KeyRecord)) {
        if let Some(record) = self.0.iter_mut().find(|record| record.public.id == id) {
            change(record);
        }
    }
}

impl KeyRecord {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.public.id
    }

    /// Whether its private half is kept: only as long as it signs or will.
    #[must_use]
    pub const fn has_private_half(&self) -> bool {
        matches!(self.state, KeyState::Standby | KeyState::Current)
    }

    /// When nobody needs to know of it any more.
    fn forgotten_at(&self) -> Option<SystemTime> {
        match self.state {
            KeyState::Standby | KeyState::Current => None,
            KeyState::Retired => Some(self.retired_at? + KeySet::RETIRED_FOR),
            KeyState::Revoked => Some(self.revoked_at? + REVOKED_FOR),
        }
    }
}

impl KeyState {
    /// Every state, in the order in which a key goes through them.
    pub const ALL: [Self; 4] = [Self::Standby, Self::Current, Self::Retired, Self::Revoked];

    /// Its name, in the store and for operators.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::Current => "current",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}

impl KeyId {
    /// Reads an id; nothing if the text is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = <[u8; ID_CHARACTERS]>::try_from(text.as_bytes()).ok()?;
        let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
        id.iter().all(is_base64url).then_some(Self(id))
    }

    /// As tokens name it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an id is ASCII")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests;
