use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use authn::{Clock, Principal, Rejection, Verifier};
use futures_util::stream::{Stream, unfold};
use tokio::sync::watch;

use super::{App, Error};
use crate::crypto::Opened;
use crate::domain::{Change, ChangesQuery, NotesDigest, SyncPoint, View};
use crate::repository::{Changes, ChangesPage, Watch};

/// Most changes of one batch.
pub const WATCH_BATCH_CHANGES: u16 = 100;
/// Most bytes of the notes of one batch, unless it is one note alone: what a client that does not read can have waiting.
pub const WATCH_BATCH_BYTES: usize = 64 * 1_024;
/// How long before its token's end a stream ends by itself, so that its last words are still good.
const BEFORE_EXPIRY: Duration = Duration::from_secs(1);

/// How notes are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchLimits {
    /// Longest time without a message.
    pub checkpoint_interval: Duration,
    /// Most streams of one owner in this process.
    pub streams_per_owner: usize,
}

/// What to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchNotes {
    /// The token of the copy; empty for one that hears of what comes from now on.
    pub sync_token: String,
    /// Whether contents are read.
    pub view: View,
}

/// A message to somebody who watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Something changed.
    Batch {
        /// The changes in their order.
        changes: Vec<Change>,
        /// What a copy comes to that has them, if there is no more now.
        digest: Option<NotesDigest>,
        /// The token of such a copy.
        sync_token: String,
    },
    /// There is nothing new.
    Checkpoint {
        /// What the copy comes to.
        digest: NotesDigest,
        /// Its token.
        sync_token: String,
    },
    /// The copy must be begun again. The last message.
    Reset,
    /// The stream must end. The last message.
    GoingAway {
        /// Why.
        reason: GoingAway,
        /// The token to resume with.
        sync_token: String,
    },
}

/// Why a stream must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoingAway {
    /// The access token expires, or another must take its place for other reasons.
    TokenExpired,
    /// The session is revoked, or the account.
    SessionRevoked,
    /// The service stops.
    ServerDrain,
}

/// One stream. It holds a place among the changes and nothing that was read.
struct Watching {
    app: App,
    watch: Watch,
    view: View,
    ends: Ends,
    /// How far the copy has come; none if it must be begun again.
    point: Option<SyncPoint>,
    /// Whether there may be something to read.
    may_have_more: bool,
    /// Whether the copy has not been told yet that it has everything.
    catches_up: bool,
    checkpoint_due: SystemTime,
    is_over: bool,
}

/// What ends a stream from outside.
struct Ends {
    caller: Arc<Principal>,
    verifier: Verifier,
    draining: watch::Receiver<bool>,
}

impl App {
    /// Sends what changes of the caller's notes, as it happens, until the caller's token expires or is revoked, which is
    /// looked at whenever the stream is polled. What is sent next is read when it is asked for, and not before.
    ///
    /// # Errors
    /// `SyncTokenInvalid`, `WatchLimit`, or a failure of the store, which also ends a stream that has begun.
    pub async fn watch_notes(
        &self,
        caller: Arc<Principal>,
        verifier: Verifier,
        watch: WatchNotes,
    ) -> Result<impl Stream<Item = Result<WatchEvent, Error>> + Send + use<>, Error> {
        let owner = caller.subject();
        let WatchNotes { sync_token, view } = watch;
        let opened = match sync_token.as_str() {
            "" => None,
            token => Some(self.sync_tokens.open(token, owner).ok_or(Error::SyncTokenInvalid)?),
        };
        let most = self.watch_limits.streams_per_owner;
        let watch = self.repository.for_owner(owner).watch(most).ok_or(Error::WatchLimit(most))?;
        let point = match opened {
            // Who listens already misses nothing that comes after this look.
            None => Some(watch.now().await?),
            Some(Opened::Point(point)) => Some(point),
            Some(Opened::OtherEpoch) => None,
        };
        let watching = Watching {
            app: self.clone(),
            watch,
            view,
            ends: Ends { caller, verifier, draining: self.draining.subscribe() },
            point,
            may_have_more: true,
            catches_up: true,
            checkpoint_due: self.clock.now() + self.watch_limits.checkpoint_interval,
            is_over: false,
        };
        Ok(unfold(watching, Watching::next))
    }

    /// Ends every stream, those that begin from now on too: the service stops.
    pub fn end_watches(&self) {
        self.draining.send_replace(true);
    }
}

impl Watching {
    async fn next(mut self) -> Option<(Result<WatchEvent, Error>, Self)> {
        if self.is_over {
            return None;
        }
        let event = self.event().await;
        self.is_over = matches!(event, Err(_) | Ok(WatchEvent::Reset | WatchEvent::GoingAway { .. }));
        self.checkpoint_due = self.app.clock.now() + self.app.watch_limits.checkpoint_interval;
        Some((event, self))
    }

    async fn event(&mut self) -> Result<WatchEvent, Error> {
        loop {
            let Some(point) = self.point else { return Ok(WatchEvent::Reset) };
            if let Some(reason) = self.ends.now(&self.app.clock) {
                return Ok(WatchEvent::GoingAway { reason, sync_token: self.token(point) });
            }
            let checkpoint_is_due = self.app.clock.now() >= self.checkpoint_due;
            if self.may_have_more || checkpoint_is_due {
                // On the heap for as long as it takes, for a stream that waits has no need of it.
                let changes = tokio::select! {
                    changes = Box::pin(self.watch.changes(self.query(point))) => changes?,
                    () = self.ends.come() => continue,
                };
                let page = match changes {
                    // What was read when the end had come is nobody's any more.
                    Changes::Page(_) if self.ends.now(&self.app.clock).is_some() => continue,
                    Changes::Page(page) => page,
                    Changes::Expired => return Ok(WatchEvent::Reset),
                };
                self.point = Some(page.next);
                // A copy that has caught up is told so, whatever it took.
                self.may_have_more = page.digest.is_none() || self.catches_up && !page.changes.is_empty();
                if let Some(event) = self.told(page, checkpoint_is_due) {
                    return Ok(event);
                }
                continue;
            }
            let look_again = self.checkpoint_due.min(self.ends.expiry());
            tokio::select! {
                () = self.ends.come() => {}
                () = self.watch.rung() => self.may_have_more = true,
                () = self.app.clock.sleep_until(look_again) => {}
            }
        }
    }

    /// What to say of a page that was read, if anything.
    fn told(&mut self, page: ChangesPage, checkpoint_is_due: bool) -> Option<WatchEvent> {
        let sync_token = self.token(page.next);
        match (page.changes.is_empty(), page.digest) {
            (false, digest) => Some(WatchEvent::Batch { changes: page.changes, digest, sync_token }),
            (true, Some(digest)) if std::mem::take(&mut self.catches_up) || checkpoint_is_due => {
                Some(WatchEvent::Checkpoint { digest, sync_token })
            }
            (true, _) => None,
        }
    }

    const fn query(&self, after: SyncPoint) -> ChangesQuery {
        ChangesQuery { after, view: self.view, size: WATCH_BATCH_CHANGES, bytes: WATCH_BATCH_BYTES }
    }

    fn token(&self, point: SyncPoint) -> String {
        self.app.sync_tokens.seal(self.watch.owner(), point)
    }
}

impl Ends {
    /// Why the stream must end now, if it must.
    fn now(&self, clock: &Clock) -> Option<GoingAway> {
        let drain = self.draining.borrow().then_some(GoingAway::ServerDrain);
        let expiry = || (clock.now() >= self.expiry()).then_some(GoingAway::TokenExpired);
        refused(&self.verifier, &self.caller).or(drain).or_else(expiry)
    }

    /// When the stream ends by itself.
    fn expiry(&self) -> SystemTime {
        self.caller.expires_at() - BEFORE_EXPIRY
    }

    /// Waits until there may be a reason to end but the time. Nobody is woken by what becomes of the token: who ends the
    /// streams of a token polls them.
    async fn come(&mut self) {
        let Self { caller, verifier, draining } = self;
        let token = poll_fn(|_| if refused(verifier, caller).is_some() { Poll::Ready(()) } else { Poll::Pending });
        tokio::select! {
            () = token => {}
            ended = draining.changed() => {
                if ended.is_err() {
                    std::future::pending().await // nobody is left who could stop the service
                }
            }
        }
    }
}

/// Why the caller's token is good no more, if it is not, in terms of what the caller can do.
fn refused(verifier: &Verifier, caller: &Principal) -> Option<GoingAway> {
    match verifier.end(caller)? {
        Rejection::TokenRevoked => Some(GoingAway::SessionRevoked),
        Rejection::TokenExpired | Rejection::TokenKeyRevoked => Some(GoingAway::TokenExpired),
        _ => None,
    }
}
