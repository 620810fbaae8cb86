use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// Tells those who watch an owner's notes that something may have changed, and never what: they look for themselves, when
/// they can. Rung twice before somebody looks, it has rung once.
#[derive(Clone, Debug, Default)]
pub(super) struct Doorbell(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    watched: Mutex<HashMap<Uuid, watch::Sender<()>>>,
    /// Owners whose bells other replicas have not heard yet; none where there are no other replicas.
    untold: Option<Mutex<HashSet<Uuid>>>,
    news: Notify,
}

/// One who watches an owner.
#[derive(Debug)]
pub(super) struct Listening {
    doorbell: Doorbell,
    owner: Uuid,
    rung: watch::Receiver<()>,
}

impl Doorbell {
    /// A bell that other replicas are to hear too.
    pub(super) fn with_replicas() -> Self {
        Self(Arc::new(Inner { untold: Some(Mutex::default()), ..Inner::default() }))
    }

    /// Listens for an owner, unless as many as `most` do already.
    pub(super) fn listen(&self, owner: Uuid, most: usize) -> Option<Listening> {
        let mut watched = self.watched();
        let sender = watched.entry(owner).or_default();
        // An entry whose last listener has gone is removed with it, so this one is new or has some.
        (sender.receiver_count() < most.max(1)).then(|| sender.subscribe()).map(|rung| Listening {
            doorbell: self.clone(),
            owner,
            rung,
        })
    }

    /// Rings for these owners, here and at other replicas.
    pub(super) fn ring(&self, owners: impl IntoIterator<Item = Uuid> + Clone) {
        self.ring_here(owners.clone());
        if let Some(untold) = &self.0.untold {
            untold.lock().expect("nobody panics while holding it").extend(owners);
            self.0.news.notify_one();
        }
    }

    /// Rings for these owners here.
    pub(super) fn ring_here(&self, owners: impl IntoIterator<Item = Uuid>) {
        let watched = self.watched();
        for owner in owners {
            if let Some(sender) = watched.get(&owner) {
                sender.send_replace(());
            }
        }
    }

    /// Waits until other replicas are to hear of something, and takes it: each owner once.
    pub(super) async fn untold(&self) -> HashSet<Uuid> {
        let Some(untold) = &self.0.untold else { return std::future::pending().await };
        loop {
            self.0.news.notified().await;
            let owners = std::mem::take(&mut *untold.lock().expect("nobody panics while holding it"));
            if !owners.is_empty() {
                return owners;
            }
        }
    }

    /// Who is watched here.
    pub(super) fn owners(&self) -> Vec<Uuid> {
        self.watched().keys().copied().collect()
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<()>>> {
        self.0.watched.lock().expect("nobody panics while holding it")
    }
}

impl Listening {
    /// Waits until the bell has rung since this was asked last.
    pub(super) async fn rung(&mut self) {
        if self.rung.changed().await.is_err() {
            std::future::pending().await // the bell stays as long as somebody listens
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut watched = self.doorbell.watched();
        if watched.get(&self.owner).is_some_and(|sender| sender.receiver_count() <= 1) {
            watched.remove(&self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const ALICE: Uuid = Uuid::from_u128(1);
    const BOB: Uuid = Uuid::from_u128(2);

    #[test]
    fn a_bell_rings_for_those_who_listen_and_once_for_any_number_of_rings() {
        let doorbell = Doorbell::default();
        let mut listening = [ALICE, ALICE, BOB].map(|owner| doorbell.listen(owner, 10).expect("few"));
        let mut rung = || listening.each_mut().map(|listening| listening.rung().now_or_never().is_some());
        assert_eq!(rung(), [false; 3]);
        doorbell.ring([ALICE]);
        doorbell.ring([ALICE, Uuid::nil()]);
        assert_eq!(rung(), [true, true, false]);
        assert_eq!(rung(), [false; 3]);
    }

    #[test]
    fn so_many_listen_for_one_owner_and_no_more() {
        let doorbell = Doorbell::default();
        let first = doorbell.listen(ALICE, 2).expect("the first");
        let _second = doorbell.listen(ALICE, 2).expect("the second");
        assert!(doorbell.listen(ALICE, 2).is_none());
        doorbell.listen(BOB, 2).expect("somebody else");
        drop(first);
        doorbell.listen(ALICE, 2).expect("one has gone");
    }

    #[test]
    fn who_is_watched_no_more_is_forgotten() {
        let doorbell = Doorbell::default();
        let listening = [ALICE, ALICE, BOB].map(|owner| doorbell.listen(owner, 10).expect("few"));
        assert_eq!(doorbell.owners().len(), 2);
        drop(listening);
        assert!(doorbell.owners().is_empty());
    }

    #[test]
    fn other_replicas_hear_of_each_owner_once() {
        let doorbell = Doorbell::with_replicas();
        assert!(doorbell.untold().now_or_never().is_none());
        doorbell.ring([ALICE]);
        doorbell.ring([ALICE, BOB]);
        assert_eq!(doorbell.untold().now_or_never(), Some(HashSet::from([ALICE, BOB])));
        assert!(doorbell.untold().now_or_never().is_none());
        doorbell.ring_here([ALICE]);
        assert!(doorbell.untold().now_or_never().is_none(), "what came from there does not go back");
    }
}
