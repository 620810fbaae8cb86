//! Who has a response stream open, so that a revocation reaches it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use uuid::Uuid;

use super::revocations::{Revocation, Revoked};
use crate::Principal;

/// The open response streams by session and by subject. Touched when a stream first waits, when it ends, and when
/// something is revoked; never by a call that is answered at once.
#[derive(Default)]
pub(crate) struct OpenStreams(Mutex<HashMap<Uuid, Vec<Arc<Notify>>>>);

/// The entry of one stream, for as long as it is open.
pub(crate) struct OpenStream {
    streams: Arc<OpenStreams>,
    keys: [Option<Uuid>; 2],
    woken: Arc<Notify>,
}

impl OpenStreams {
    /// Enters a stream of this principal.
    pub(crate) fn enter(self: &Arc<Self>, principal: &Principal) -> OpenStream {
        let keys = [Some(principal.subject.as_uuid()), principal.session.map(|session| session.as_uuid())];
        let woken = Arc::new(Notify::new());
        let mut streams = self.0.lock().expect("nobody panics while holding it");
        for key in keys.into_iter().flatten() {
            streams.entry(key).or_default().push(Arc::clone(&woken));
        }
        drop(streams);
        OpenStream { streams: Arc::clone(self), keys, woken }
    }

    /// Has the streams look again that one of these may end.
    pub(super) fn wake(&self, revoked: &[Revoked]) {
        let streams = self.0.lock().expect("nobody panics while holding it");
        for Revoked { revocation, .. } in revoked {
            let key = match revocation {
                Revocation::Session(session) => session.as_uuid(),
                Revocation::Subject { subject, .. } => *subject,
                Revocation::Key(_) | Revocation::All => {
                    drop(streams);
                    return self.wake_all();
                }
            };
            for stream in streams.get(&key).into_iter().flatten() {
                stream.notify_one();
            }
        }
    }

    /// Has every stream look again.
    pub(super) fn wake_all(&self) {
        let streams = self.0.lock().expect("nobody panics while holding it");
        streams.values().flatten().for_each(|stream| stream.notify_one());
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().expect("nobody panics while holding it").len()
    }
}

impl OpenStream {
    /// Waits until there may be a reason to end.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut streams = self.streams.0.lock().expect("nobody panics while holding it");
        for key in self.keys.into_iter().flatten() {
            if let Some(of_key) = streams.get_mut(&key) {
                of_key.retain(|stream| !Arc::ptr_eq(stream, &self.woken));
                if of_key.is_empty() {
                    streams.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::{SessionId, Subject};

    fn principal(subject: u128, session: u128) -> Principal {
        Principal {
            subject: Subject(Uuid::from_u128(subject)),
            session: Some(SessionId::from_uuid(Uuid::from_u128(session))),
            generation: None,
            account_version: Some(1),
            token_id: None,
            scopes: Vec::new(),
            roles: Vec::new(),
            issued_at: std::time::Duration::ZERO,
            expires_at: UNIX_EPOCH,
            key_id: "k".into(),
        }
    }

    fn revoked(revocation: Revocation) -> [Revoked; 1] {
        [Revoked { revocation, revoked_at: UNIX_EPOCH, expires_at: UNIX_EPOCH }]
    }

    #[test]
    fn a_revocation_wakes_whom_it_may_concern_and_nobody_else() {
        let streams = Arc::new(OpenStreams::default());
        let [first, second, other] = [(1, 10), (1, 11), (2, 20)].map(|(sub, sid)| streams.enter(&principal(sub, sid)));
        let woken = || [&first, &second, &other].map(|stream| stream.woken().now_or_never().is_some());

        streams.wake(&revoked(Revocation::Session(SessionId::from_uuid(Uuid::from_u128(10)))));
        assert_eq!(woken(), [true, false, false]);
        streams.wake(&revoked(Revocation::Subject { subject: Uuid::from_u128(1), minimum_version: 2 }));
        assert_eq!(woken(), [true, true, false]);
        streams.wake(&revoked(Revocation::Key("k".to_owned())));
        assert_eq!(woken(), [true, true, true]);
        assert_eq!(woken(), [false, false, false]);
    }

    #[test]
    fn what_has_ended_is_not_kept() {
        let streams = Arc::new(OpenStreams::default());
        let (first, second) = (streams.enter(&principal(1, 10)), streams.enter(&principal(1, 11)));
        drop(first);
        assert_eq!(streams.len(), 2);
        drop(second);
        assert_eq!(streams.len(), 0);
    }
}
