//! Following the trust stream of an auth service.

mod connect;
mod decode;
mod kept;

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use proto::auth::internal::v1 as wire;
use proto::auth::internal::v1::watch_trust_response::Event;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status};
use tracing::{debug, info, warn};

use self::connect::Connector;
use self::kept::Kept;
use super::follow::Follower as KeySetFollower;
use super::revocations::Revoked;
use super::state::{KeySet, MOST_REVOCATIONS, Shared, TrustStatus};
use super::{JwksConfig, TrustError};
use crate::Clock;

/// A server that says nothing for so long is gone; it has something to say every second.
const HEARD_WITHIN: Duration = Duration::from_secs(3);
/// Longest wait before a first attempt to get the stream back; doubles up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// How long a stream that was there may be away before keys come from the key set.
const MISSED_AFTER: Duration = Duration::from_secs(1);

/// How a trust stream is followed.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// Where the internal listener of the auth service is: `http://auth.internal:50071`, or `https`, which needs `ca_pem`.
    pub url: String,
    /// What the auth service demands of its verifiers.
    pub credential: StreamCredential,
    /// PEM certificates of the authorities that the auth service's certificate is of, for `https`.
    pub ca_pem: Option<Vec<u8>>,
    /// Where keys come from while the stream is away.
    pub fallback: Option<JwksConfig>,
    /// Where the last good snapshot is kept, so that a restart while the auth service is away forgets nothing. It holds
    /// public keys and revocations, nothing secret, but whoever can write it can make tokens: it is made with mode 0600,
    /// and one that others than its owner can write is not read. None by default.
    pub snapshot_file: Option<PathBuf>,
    /// How many sessions and accounts that are revoked at the same time are told apart, at about 100 bytes each;
    /// 1,000,000 by default. When there are more, every token that was issued before the latest of them is refused as
    /// `TOKEN_EXPIRED`, for as long as it could live: nothing revoked is forgotten, and who is signed in refreshes.
    pub max_revocations: usize,
}

impl StreamConfig {
    /// Follows the stream at `url`, with the defaults otherwise.
    #[must_use]
    pub fn new(url: impl Into<String>, credential: StreamCredential) -> Self {
        Self {
            url: url.into(),
            credential,
            ca_pem: None,
            fallback: None,
            snapshot_file: None,
            max_revocations: MOST_REVOCATIONS,
        }
    }
}

/// What the auth service demands of its verifiers. Never printed.
#[derive(Clone)]
pub struct StreamCredential(MetadataValue<Ascii>);

impl StreamCredential {
    /// The credential with this text.
    ///
    /// # Errors
    /// If it is empty or has characters that no header can have.
    pub fn new(text: &str) -> Result<Self, TrustError> {
        let refused = || TrustError::Setting("the credential of the trust stream is empty or not visible ASCII");
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused());
        }
        let mut value: MetadataValue<Ascii> = format!("Bearer {text}").parse().map_err(|_| refused())?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for StreamCredential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StreamCredential").finish_non_exhaustive()
    }
}

/// Begins with what was kept, and starts the tasks.
pub(super) fn start(config: StreamConfig, clock: Clock, shared: &Arc<Shared>) -> Result<Vec<AbortHandle>, TrustError> {
    let connector = Connector::new(&config)?;
    let keys = config.fallback.map(|jwks| KeySetFollower::new(jwks, clock.clone(), Arc::clone(shared))).transpose()?;
    let runtime = Handle::try_current().map_err(|_| TrustError::Setting("a stream is followed in a Tokio runtime"))?;
    let mut follower = Follower {
        connector,
        credential: config.credential,
        clock,
        shared: Arc::clone(shared),
        kept: config.snapshot_file.map(Kept::at),
        cursor: String::new(),
        keys: Vec::new(),
        parts: None,
    };
    follower.begin_with_what_was_kept();
    let mut tasks = vec![runtime.spawn(follower.follow()).abort_handle()];
    tasks.extend(keys.map(|keys| runtime.spawn(keep_keys(keys, Arc::clone(shared))).abort_handle()));
    Ok(tasks)
}

/// Has keys come from the key set whenever the stream is away.
async fn keep_keys(keys: KeySetFollower, shared: Arc<Shared>) {
    let mut status = shared.status.subscribe();
    loop {
        if status.wait_for(|status| !status.is_live).await.is_err() {
            return;
        }
        // Without any keys nothing can be verified, so nothing is waited for then.
        if shared.load().is_ready() && timeout(MISSED_AFTER, is_back(&mut status)).await.is_ok() {
            continue;
        }
        tokio::select! {
            () = keys.follow() => {}
            () = is_back(&mut status) => {}
        }
        keys.cool_down().await;
    }
}

/// Waits until the stream is there. Nobody is left to wait for it when the sender is gone.
async fn is_back(status: &mut watch::Receiver<TrustStatus>) {
    status.wait_for(|status| status.is_live).await.ok();
}

struct Follower {
    connector: Connector,
    credential: StreamCredential,
    clock: Clock,
    shared: Arc<Shared>,
    kept: Option<Kept>,
    /// After the last message that was taken.
    cursor: String,
    /// As they came, for the file.
    keys: Vec<wire::SigningKey>,
    /// A snapshot that has not come in full.
    parts: Option<wire::Snapshot>,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("cannot connect: {}", root_cause(.0))]
    Connect(#[source] tonic::transport::Error),
    #[error("refused: {:?}: {}", .0.code(), .0.message())]
    Refused(Box<Status>),
    #[error("nothing was heard for 3 s")]
    Silent,
    #[error("the server ended it")]
    Ended,
    #[error("a message makes no sense: {0}")]
    Nonsense(#[from] TrustError),
}

impl From<Status> for Cut {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl Follower {
    fn begin_with_what_was_kept(&mut self) {
        let Some(kept) = &self.kept else { return };
        match kept.read() {
            Ok(Some((as_of, message))) => {
                self.parts = None;
                let Some(Event::Snapshot(snapshot)) = message.event else { return };
                match self.replace(&snapshot, as_of) {
                    Ok(()) => {
                        self.cursor = message.cursor;
                        info!("began with the snapshot that was kept");
                    }
                    Err(error) => warn!(cause = %error, "the snapshot that was kept is not used"),
                }
            }
            Ok(None) => {}
            Err(error) => warn!(cause = %error, "the snapshot that was kept is not used"),
        }
    }

    /// Follows for ever.
    async fn follow(mut self) {
        let mut retry = FIRST_RETRY;
        let mut was_told = false;
        loop {
            let Err(cut) = self.follow_one().await;
            let was_live = self.shared.status.borrow().is_live;
            self.shared.set_live(false);
            self.shared.status.send_modify(|status| status.cuts += 1);
            if was_live {
                (retry, was_told) = (FIRST_RETRY, false);
            }
            if was_told {
                debug!(cause = %cut, "still no trust stream");
            } else {
                warn!(cause = %cut, "the trust stream is away; what is in force stays");
                was_told = true;
            }
            sleep(spread(retry)).await;
            retry = (retry * 2).min(LONGEST_RETRY);
        }
    }

    async fn follow_one(&mut self) -> Result<Infallible, Cut> {
        self.parts = None;
        let channel = self.connector.connect().await.map_err(Cut::Connect)?;
        let mut client = wire::trust_service_client::TrustServiceClient::new(channel);
        let mut request = Request::new(wire::WatchTrustRequest { resume_cursor: self.cursor.clone() });
        request.metadata_mut().insert("authorization", self.credential.0.clone());
        let begun = timeout(HEARD_WITHIN, client.watch_trust(request)).await.map_err(|_| Cut::Silent)??;
        let mut messages = begun.into_inner();
        loop {
            let message = timeout(HEARD_WITHIN, messages.message()).await.map_err(|_| Cut::Silent)??;
            self.take(message.ok_or(Cut::Ended)?)?;
        }
    }

    fn take(&mut self, message: wire::WatchTrustResponse) -> Result<(), TrustError> {
        let as_of = decode::as_of(message.age_micros, self.clock.now());
        match message.event {
            Some(Event::Snapshot(part)) => {
                let is_last = part.complete;
                let snapshot = self.parts.get_or_insert_default();
                snapshot.keys.extend(part.keys);
                snapshot.revocations.extend(part.revocations);
                if !is_last {
                    return Ok(());
                }
                let snapshot = self.parts.take().unwrap_or_default();
                self.replace(&snapshot, as_of)?;
            }
            Some(Event::Delta(delta)) => {
                let keys = if delta.keys.is_empty() { None } else { Some(decode::key_set(&delta.keys)?) };
                let revoked = decode::revocations(&delta.revocations, as_of);
                self.shared.extend(keys.as_ref(), &revoked, as_of);
                if keys.is_some() {
                    self.keys = delta.keys;
                }
                self.note_change();
            }
            Some(Event::Heartbeat(_)) => self.shared.heard(as_of),
            // Of a later version of the contract: what it says is not understood, that something was said is.
            None => return Err(TrustError::Setting("an event of an unknown kind")),
        }
        self.cursor = message.cursor;
        if !self.shared.status.borrow().is_live {
            info!("the trust stream is there");
            self.shared.set_live(true);
        }
        if let Some(kept) = &mut self.kept {
            let (shared, keys, cursor) = (&self.shared, &self.keys, &self.cursor);
            kept.keep_in_time(|| decode::snapshot_of(shared, keys, cursor, as_of));
        }
        Ok(())
    }

    fn replace(&mut self, snapshot: &wire::Snapshot, as_of: std::time::SystemTime) -> Result<(), TrustError> {
        let keys: KeySet = decode::key_set(&snapshot.keys)?;
        let revoked: Vec<Revoked> = decode::revocations(&snapshot.revocations, as_of);
        self.shared.replace(&keys, &revoked, as_of);
        self.keys = snapshot.keys.clone();
        self.note_change();
        Ok(())
    }

    fn note_change(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.note_change();
        }
    }
}

/// Between nothing and `most`, so that verifiers that lost a stream together do not come back together.
fn spread(most: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness there is no spread, and no harm.
    let share = if rand::fill(&mut random).is_ok() { u32::from(u16::from_be_bytes(random)) } else { 65_535 };
    most * share / 65_535
}

fn root_cause(error: &tonic::transport::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
