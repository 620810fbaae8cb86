//! Where keys and revocations come from, and what of them is in force.

mod feed;
mod fetch;
mod follow;
mod jwk;
mod open_streams;
mod public_key;
mod revocations;
mod shards;
mod state;
mod stream;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::Guard;
use tokio::task::AbortHandle;
use tracing::error;

pub use self::feed::TrustFeed;
pub use self::follow::JwksConfig;
pub(crate) use self::open_streams::OpenStream;
pub use self::public_key::PublicKey;
pub(crate) use self::public_key::is_key_id;
pub(crate) use self::revocations::Refused;
pub use self::revocations::{Revocation, Revoked};
pub(crate) use self::state::Snapshot;
pub use self::state::{KeySet, TrustStatus};
use self::state::{MOST_REVOCATIONS, Shared};
pub use self::stream::{StreamConfig, StreamCredential};
use crate::{Clock, Principal};

/// Where a verifier's keys and revocations come from, and the snapshot in force. Cheap to clone; all clones see the same snapshot.
#[derive(Clone)]
pub struct Trust(Arc<Source>);

struct Source {
    shared: Arc<Shared>,
    followers: Vec<AbortHandle>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.followers.iter().for_each(AbortHandle::abort);
    }
}

/// Why a key, a key set or a source of keys was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Not one PEM block with a public RSA key.
    #[error("expected one PEM block, PUBLIC KEY or RSA PUBLIC KEY, with an RSA key")]
    Pem,
    /// Not the JSON that RFC 7517 describes, a member twice, or a member of the wrong type or encoding.
    #[error("not a JSON Web Key as RFC 7517 describes it")]
    Jwk,
    /// A modulus of less than 2,048 or more than 8,192 bits.
    #[error("an RSA key of {0} bits; 2048 to 8192 are accepted")]
    KeySize(usize),
    /// A public exponent that is even, 1, or longer than 32 bits, or a modulus that is even.
    #[error("not a sound RSA key")]
    Unsound,
    /// Longer than 64 characters, empty, or with characters outside of base64, base64url, `.` and `~`.
    #[error("a key id that is empty, too long, or of strange characters")]
    KeyId,
    /// For another purpose: another `kty`, a `use` other than `sig`, `key_ops` without `verify`, an `alg` other than
    /// RS256.
    #[error("a key that is not for verifying RS256 signatures")]
    OtherPurpose,
    /// A symmetric or private key where everybody can read it.
    #[error("a secret key in a public place")]
    SecretKey,
    /// Two keys with one id.
    #[error("two keys with the id {0}")]
    DuplicateKeyId(String),
    /// A set without a key that verifies RS256 signatures.
    #[error("no key that verifies RS256 signatures")]
    NoKeys,
    /// A setting that cannot work.
    #[error("{0}")]
    Setting(&'static str),
    /// The HTTP client could not be made: the CA certificates are unusable, or the platform has none.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The server of the key set could not be reached, or did not answer in time.
    #[error("cannot fetch the key set")]
    Fetch(#[source] reqwest::Error),
    /// The server answered something other than 200, for example a redirect, which is not followed.
    #[error("the server of the key set answered {0}")]
    Answer(u16),
    /// The key set is longer than 64 KiB.
    #[error("the key set is longer than 64 KiB")]
    TooLong,
    /// The CA certificates of the trust stream are unusable.
    #[error("the CA certificates of the trust stream cannot be used")]
    Certificates,
}

impl Trust {
    /// Trusts exactly these keys. Keys that share an id are ambiguous: none of them is trusted, and the log says so.
    #[must_use]
    pub fn fixed(keys: Vec<PublicKey>) -> Self {
        let mut ids = HashSet::new();
        let ambiguous: HashSet<String> =
            keys.iter().filter(|key| !ids.insert(key.key_id())).map(|key| key.key_id().to_owned()).collect();
        for id in &ambiguous {
            error!(key.id = id, "two keys have the id {id}: neither is trusted");
        }
        let shared = Shared::of_keys();
        shared.replace_keys(keys.into_iter().filter(|key| !ambiguous.contains(key.key_id())));
        Self(Arc::new(Source { shared: Arc::new(shared), followers: Vec::new() }))
    }

    /// Trusts what the service of the same process tells through the other end. Not ready until that has told a key.
    #[must_use]
    pub fn fed() -> (TrustFeed, Self) {
        let shared = Arc::new(Shared::of_keys_and_revocations(MOST_REVOCATIONS));
        (TrustFeed(Arc::clone(&shared)), Self(Arc::new(Source { shared, followers: Vec::new() })))
    }

    /// Follows the key set at a URL with a background task that ends with the last clone. Not ready until the first
    /// set has come; the last good set is kept whatever happens.
    ///
    /// The first fetch is at once; while it fails it is repeated, after 100 ms at first, at last every 5 s. A set in
    /// force is fetched again after [`JwksConfig::refresh_interval`], or earlier when a token names an unknown key; two
    /// fetches never lie closer together than [`JwksConfig::cooldown`], whatever was answered. One fetch runs at a time.
    ///
    /// Of a set, keys for other purposes are skipped (RFC 7517 §5); a broken RSA key, two keys with one id, a symmetric or
    /// a private key, or no usable key at all refuse the set as a whole.
    ///
    /// # Errors
    /// If the configuration cannot work, or outside of a Tokio runtime.
    pub fn follow_jwks(config: JwksConfig) -> Result<Self, TrustError> {
        Self::follow_jwks_by(config, Clock::system())
    }

    /// [`Trust::follow_jwks`] with another clock to wait by: with a manual one, tests need not wait.
    ///
    /// # Errors
    /// If the configuration cannot work, or outside of a Tokio runtime.
    pub fn follow_jwks_by(config: JwksConfig, clock: Clock) -> Result<Self, TrustError> {
        let shared = Arc::new(Shared::of_keys());
        let follower = follow::start(config, clock, Arc::clone(&shared))?;
        Ok(Self(Arc::new(Source { shared, followers: vec![follower] })))
    }

    /// Follows the trust stream of an auth service (`auth.internal.v1.TrustService`) with background tasks that end with
    /// the last clone: keys and revocations, each as soon as it is known there.
    ///
    /// While the stream is away what is in force stays, the stream is tried again, after at most 5 s and never by all
    /// verifiers at once, and keys come from [`StreamConfig::fallback`]. Revocations come from the stream alone: how old
    /// they are is [`Trust::staleness`], and [`VerifierConfig::max_staleness`](crate::VerifierConfig::max_staleness) says
    /// how old they may be. By default tokens stay good until they expire.
    ///
    /// # Errors
    /// If the configuration cannot work, or outside of a Tokio runtime.
    pub fn follow_stream(config: StreamConfig) -> Result<Self, TrustError> {
        Self::follow_stream_by(config, Clock::system())
    }

    /// [`Trust::follow_stream`] with another clock to tell the age of revocations by.
    ///
    /// # Errors
    /// If the configuration cannot work, or outside of a Tokio runtime.
    pub fn follow_stream_by(config: StreamConfig, clock: Clock) -> Result<Self, TrustError> {
        let shared = Arc::new(Shared::of_keys_and_revocations(config.max_revocations));
        let followers = stream::start(config, clock, &shared)?;
        Ok(Self(Arc::new(Source { shared, followers })))
    }

    /// Whether keys have come.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.shared.load().is_ready()
    }

    /// How old the knowledge of revocations is at this moment: less than about 2 s while the stream is there. `None` if
    /// the source brings none; the time since 1970 if nothing was ever heard.
    #[must_use]
    pub fn staleness(&self, now: SystemTime) -> Option<Duration> {
        self.0.shared.staleness(now)
    }

    /// How the source is doing.
    #[must_use]
    pub fn status(&self) -> TrustStatus {
        *self.0.shared.status.borrow()
    }

    /// Waits until the status satisfies `condition`, for example `|status| status.keys > 0`.
    pub async fn when(&self, condition: impl FnMut(&TrustStatus) -> bool) -> TrustStatus {
        let mut status = self.0.shared.status.subscribe();
        let found = status.wait_for(condition).await.map(|status| *status);
        found.expect("self holds the sender")
    }

    pub(crate) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.0.shared.load()
    }

    /// Enters an open response stream, so that it learns of what may end it.
    pub(crate) fn enter(&self, principal: &Principal) -> OpenStream {
        self.0.shared.streams().enter(principal)
    }

    /// Asks for a refresh in the background. However often it is asked for, it comes once, and not within the cooldown.
    pub(crate) fn request_refresh(&self) {
        self.0.shared.wanted.notify_one();
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        formatter
            .debug_struct("Trust")
            .field("keys", &snapshot.key_ids().collect::<Vec<_>>())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
