use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authn::Clock;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use super::{App, Error, security_log};
use crate::crypto::{KeyBits, KeyEncryptionKey, KeyError, PublicJwk, SigningKey};
use crate::domain::{KeyRecord, KeyRefusal, KeyRules, KeySet, KeyState, KeyWish, SealedKey, TrustKey};
use crate::repository::{KeyChange, Repository};

/// Between two attempts at a change that failed.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(5);

/// How often the keys are read anew because others have changed them meanwhile.
const READS: u32 = 3;

/// Where the keys that sign are.
#[derive(Debug)]
pub(crate) enum SigningKeys {
    /// The operator has given one, which is used as it is.
    Given(PublicJwk),
    /// They are in the store and take turns.
    Kept(KeptKeys),
}

/// The keys of the store, as this replica has read them.
#[derive(Debug)]
pub(crate) struct KeptKeys {
    keeper: KeyKeeper,
    /// As they were read last; nothing before the first time.
    known: watch::Sender<Option<Arc<KeySet>>>,
    /// When the signer was last found to have the key that signs.
    proven_at: Mutex<Option<Instant>>,
}

/// Changes the keys of the store.
#[derive(Debug)]
pub(crate) struct KeyKeeper {
    /// What private halves are encrypted under; without it no key can be made.
    pub(crate) encryption: Option<Arc<KeyEncryptionKey>>,
    /// The size of keys that are made.
    pub(crate) bits: KeyBits,
    /// When keys take turns.
    pub(crate) rules: KeyRules,
    /// What a store without keys begins with; otherwise one is made.
    pub(crate) first: Option<SealedKey>,
}

/// Why keys could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyChangeError {
    /// The wish cannot be fulfilled.
    #[error(transparent)]
    Refused(#[from] KeyRefusal),
    /// Something failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl SigningKeys {
    /// The keys of the store.
    pub(crate) fn kept(keeper: KeyKeeper) -> Self {
        Self::Kept(KeptKeys { keeper, known: watch::Sender::new(None), proven_at: Mutex::new(None) })
    }
}

impl KeyKeeper {
    /// Fulfils a wish. A key is made before the store is asked to take it, and only if it must be.
    ///
    /// # Errors
    /// If there is no such key, a key is wanted and none can be made, or something fails.
    pub(crate) async fn change(
        &self,
        repository: &Repository,
        clock: &Clock,
        wish: KeyWish,
    ) -> Result<KeyChange, KeyChangeError> {
        let mut spare = None;
        loop {
            // A key is published when it is stored, which may be a while after it was begun to be made.
            let changed = repository.change_keys(wish, self.rules, spare.clone(), clock.now()).await;
            match changed.map_err(Error::from)? {
                Ok(change) => return Ok(change),
                Err(KeyRefusal::KeyWanted) if spare.is_none() && self.encryption.is_some() => {
                    spare = Some(self.spare(repository).await?);
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    async fn spare(&self, repository: &Repository) -> Result<SealedKey, Error> {
        let set = repository.signing_keys().await?;
        if let Some(first) = &self.first
            && set.records().is_empty()
        {
            return Ok(first.clone());
        }
        let encryption = self.encryption.as_ref().ok_or(Error::TrustNotReady)?;
        // Whoever cannot decrypt what is there makes nothing that the others could not.
        if let Some(id) = set.current().or(set.standby()).map(KeyRecord::id)
            && let Some(sealed) = repository.sealed_key(id).await?
            && encryption.open(id, &sealed).is_none()
        {
            return Err(KeyError::Sealed(id).into());
        }
        Ok(SigningKey::make(self.bits).await?.seal(encryption)?)
    }
}

impl App {
    /// Makes sure that there is a key that signs, and has this replica sign with it.
    ///
    /// # Errors
    /// If the store fails, or the key cannot be decrypted.
    pub(crate) async fn begin_keys(&self) -> Result<(), Error> {
        match self.read_keys().await {
            Err(Error::TrustNotReady) => self.rotate_keys().await,
            read => read.map(|_| ()),
        }
    }

    /// Does what the schedule says, whenever that is, for ever. Several replicas may: the first one does it.
    pub(crate) async fn keep_rotating_keys(&self) {
        let SigningKeys::Kept(kept) = &self.keys else { return };
        let mut known = kept.known.subscribe();
        loop {
            let set = known.borrow_and_update().clone();
            let Some(set) = set else {
                if known.changed().await.is_err() {
                    return;
                }
                continue;
            };
            if self.is_due(kept, &set) {
                if let Err(error) = self.rotate_keys().await {
                    warn!(error = %error, "the signing keys could not be changed");
                    self.clock.sleep(BETWEEN_ATTEMPTS).await;
                }
                continue;
            }
            let next = set.upcoming(&kept.keeper.rules).first().map(|next| next.at);
            tokio::select! {
                _ = known.changed() => {}
                () = async { self.clock.sleep_until(next.unwrap_or(SystemTime::UNIX_EPOCH)).await }, if next.is_some() => {}
            }
        }
    }

    /// Does the next thing that the schedule says, if its time has come, and takes it up.
    ///
    /// # Errors
    /// If the store fails, or a key cannot be made or decrypted.
    pub(super) async fn rotate_keys(&self) -> Result<(), Error> {
        let SigningKeys::Kept(kept) = &self.keys else { return Ok(()) };
        match kept.keeper.change(&self.repository, &self.clock, KeyWish::Keep).await {
            Ok(change) => change.after.facts_since(&change.before).iter().for_each(security_log::record),
            Err(KeyChangeError::Failed(error)) => return Err(error),
            // Others have changed the keys twice meanwhile: this comes again if it is still to be done.
            Err(KeyChangeError::Refused(_)) => {}
        }
        self.read_keys().await.map(|_| ())
    }

    /// Reads the keys, has the signer sign with the one whose turn it is, and tells what verifiers must know of them.
    ///
    /// # Errors
    /// `TrustNotReady` if there is no key yet, or the one that signs has no private half; or a failure.
    pub(super) async fn read_keys(&self) -> Result<Vec<TrustKey>, Error> {
        let kept = match &self.keys {
            SigningKeys::Given(key) => return Ok(vec![given(key)]),
            SigningKeys::Kept(kept) => kept,
        };
        for _ in 0..READS {
            let began = Instant::now();
            let set = Arc::new(self.repository.signing_keys().await?);
            let current = set.current().map(|current| current.id());
            kept.known.send_if_modified(|known| {
                let is_new = known.as_ref() != Some(&set);
                *known = Some(Arc::clone(&set));
                is_new
            });
            let id = current.ok_or(Error::TrustNotReady)?;
            if self.signer.public_key().is_none_or(|key| key.kid != id.as_str()) {
                // Nothing if others have changed the keys meanwhile.
                let Some(sealed) = self.repository.sealed_key(id).await? else { continue };
                let encryption = kept.keeper.encryption.as_ref().ok_or(Error::TrustNotReady)?;
                self.signer.take(SigningKey::open(sealed, id, Arc::clone(encryption)).await?)?;
            }
            *kept.proven_at.lock().expect("nobody panics while holding it") = Some(began);
            return Ok(set.told());
        }
        Err(Error::TrustNotReady)
    }

    /// Makes sure that the signer has the key whose turn it is, or had it a moment ago: a key that signs no more is
    /// published only so much longer.
    pub(super) async fn prove_signer(&self) -> Result<(), Error> {
        let SigningKeys::Kept(kept) = &self.keys else { return Ok(()) };
        let proven_at = *kept.proven_at.lock().expect("nobody panics while holding it");
        if proven_at.is_none_or(|at| at.elapsed() >= KeySet::GOOD_FOR) {
            self.read_keys().await?;
        }
        Ok(())
    }

    /// The public keys whose tokens are good, or will be; none before the first is known.
    pub(crate) fn published_keys(&self) -> Vec<PublicJwk> {
        match &self.keys {
            SigningKeys::Given(key) => vec![key.clone()],
            SigningKeys::Kept(kept) => {
                let known = kept.known.borrow();
                known.iter().flat_map(|set| set.published()).map(|record| PublicJwk::from(&record.public)).collect()
            }
        }
    }

    fn is_due(&self, kept: &KeptKeys, set: &KeySet) -> bool {
        set.decide(KeyWish::Keep, &kept.keeper.rules, None, self.clock.now()).as_ref() != Ok(set)
    }
}

#[cfg(test)]
impl App {
    /// As if nothing had been read of the keys for a long time.
    pub(super) fn forget_when_keys_were_read(&self) {
        if let SigningKeys::Kept(kept) = &self.keys {
            *kept.proven_at.lock().expect("nobody panics while holding it") = None;
        }
    }
}

fn given(key: &PublicJwk) -> TrustKey {
    TrustKey { kid: key.kid.clone(), n: key.n.clone(), e: key.e.clone(), state: KeyState::Current }
}
