//! What the use cases promise, on the engine that `TEST_POSTGRES_URL` chooses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authn::{ManualClock, Subject};
use futures_util::future::join_all;
use runtime::testing::Store;
use uuid::Uuid;

use super::*;
use crate::crypto::TokenKeys;
use crate::domain::{
    Content, Etag, Note, NoteFields, NoteFilter, NoteId, NotePatch, Order, PageSize, RequestId, Title, View,
};
use crate::repository::Batching;
use crate::testing::somebody;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIMITS: Limits = Limits {
    quota: Quota { notes: 1_000, bytes: 1 << 20 },
    trash_retention: Duration::from_secs(30 * 24 * 60 * 60),
    request_memory: DAY,
    tombstone_retention: Duration::from_secs(90 * 24 * 60 * 60),
    revisions: RevisionPolicy {
        coalesce: Duration::from_secs(300),
        min: 10,
        max: 100,
        retention: Duration::from_secs(30 * 24 * 60 * 60),
        bytes: 1 << 20,
    },
};

const WATCH_LIMITS: WatchLimits = WatchLimits { checkpoint_interval: Duration::from_secs(15), streams_per_owner: 10 };

struct Service {
    app: App,
    clock: ManualClock,
    _store: Store,
}

impl Service {
    async fn start() -> Self {
        let store = Store::fresh().await;
        let repository = NoteRepository::open(&crate::testing::config(&store), Batching { queue: 100, size: 64 })
            .await
            .expect("the store opens");
        while !repository.is_ready(Duration::from_secs(5)).await {
            tokio::task::yield_now().await;
        }
        let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000));
        let keys = Arc::new(TokenKeys::new(b"a secret of thirty-two bytes or so", []));
        let page_tokens = PageTokens::new(Arc::clone(&keys), 3 * DAY);
        let sync_tokens = SyncTokens::new(keys, 1);
        let app = App::new(repository, page_tokens, sync_tokens, LIMITS, WATCH_LIMITS, clock.clock());
        Self { app, clock, _store: store }
    }

    fn with_quota(&self, notes: u64, bytes: u64) -> App {
        App { limits: Limits { quota: Quota { notes, bytes }, ..LIMITS }, ..self.app.clone() }
    }

    async fn create(&self, owner: Subject, content: &str) -> Note {
        self.app.create_note(owner, new(content)).await.expect("it is made")
    }

    async fn find(&self, owner: Subject, id: NoteId) -> Option<Note> {
        self.app.notes().for_owner(owner).find(id, View::Full).await.expect("the store works")
    }

    async fn delete(&self, owner: Subject, id: NoteId) -> Result<Option<Note>, Error> {
        self.app.delete_note(owner, DeleteNote { id, etag: None, allow_missing: false }).await
    }
}

/// The owner in a session that nobody knows.
fn by(owner: Subject) -> Writer {
    Writer { owner, session: None }
}

fn written(content: &str) -> NoteFields {
    NoteFields { content: Content::parse(content).expect("a content"), ..NoteFields::default() }
}

fn new(content: &str) -> CreateNote {
    CreateNote { id: None, fields: written(content), request: None }
}

fn update(id: NoteId, content: &str) -> UpdateNote {
    let patch = NotePatch { content: Some(Content::parse(content).expect("a content")), ..NotePatch::default() };
    UpdateNote { id, patch, etag: None, otherwise: None }
}

fn upsert(id: NoteId, content: &str) -> UpdateNote {
    UpdateNote { otherwise: Some(written(content)), ..update(id, content) }
}

fn an_id() -> NoteId {
    NoteId::from_uuid(Uuid::new_v4())
}

fn a_request() -> Option<RequestId> {
    RequestId::parse(&Uuid::new_v4().to_string())
}

macro_rules! assert_refused {
    ($call:expr, $error:pat) => {
        match $call {
            Err($error) => {}
            other => panic!("not {}: {other:?}", stringify!($error)),
        }
    };
}

// After the macro, which is known only from there on.
mod nothing_is_lost;
mod revisions;

#[tokio::test]
async fn a_repeated_request_yields_the_note_as_it_now_is() {
    let service = Service::start().await;
    let alice = somebody();
    let request = CreateNote { request: a_request(), ..new("first") };
    let note = service.app.create_note(alice, request.clone()).await.expect("made");
    assert_eq!(service.app.create_note(alice, request.clone()).await.expect("repeated"), note);

    let updated = service.app.update_note(by(alice), update(note.id, "second")).await.expect("updated");
    assert_eq!(service.app.create_note(alice, request.clone()).await.expect("repeated"), updated);

    let trashed = service.delete(alice, note.id).await.expect("deleted").expect("it was there");
    assert_eq!(service.app.create_note(alice, request).await.expect("repeated"), trashed);
}

#[tokio::test]
async fn a_request_id_is_good_for_one_request_of_one_owner_for_a_day() {
    let service = Service::start().await;
    let (alice, bob) = (somebody(), somebody());
    let request = CreateNote { request: a_request(), ..new("first") };
    let note = service.app.create_note(alice, request.clone()).await.expect("made");
    let others = [
        CreateNote { fields: written("other"), ..request.clone() },
        CreateNote { id: Some(an_id()), ..request.clone() },
        CreateNote { fields: NoteFields { pinned: true, ..written("first") }, ..request.clone() },
    ];
    for other in others {
        assert_refused!(service.app.create_note(alice, other).await, Error::RequestIdReused);
    }
    assert_ne!(service.app.create_note(bob, request.clone()).await.expect("his own").id, note.id);
    service.clock.advance(DAY);
    assert_ne!(service.app.create_note(alice, request).await.expect("forgotten").id, note.id);
}

#[tokio::test]
async fn an_id_is_taken_by_a_note_of_the_same_owner_in_the_trash_too() {
    let service = Service::start().await;
    let (alice, bob) = (somebody(), somebody());
    let chosen = CreateNote { id: Some(an_id()), ..new("text") };
    let note = service.app.create_note(alice, chosen.clone()).await.expect("made");
    assert_eq!(Some(note.id), chosen.id);
    assert_refused!(service.app.create_note(alice, chosen.clone()).await, Error::NoteExists);
    service.delete(alice, note.id).await.expect("deleted");
    assert_refused!(service.app.create_note(alice, chosen.clone()).await, Error::NoteExists);
    service.app.create_note(bob, chosen).await.expect("what is Alice's does not matter");
}

#[tokio::test]
async fn a_drawn_id_is_a_uuid_of_version_seven_with_the_time_of_the_clock() {
    let service = Service::start().await;
    let id = service.create(somebody(), "").await.id.as_uuid();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(id.get_timestamp().expect("it has a time").to_unix().0, 1_764_000_000);
}

#[tokio::test]
async fn quotas_stop_growth_and_nothing_else() {
    let service = Service::start().await;
    let alice = somebody();
    let note = service.create(alice, "0123456789").await;
    let full = service.with_quota(1, 5);
    assert_refused!(full.create_note(alice, new("")).await, Error::NoteQuota(1));
    assert_refused!(full.update_note(by(alice), upsert(an_id(), "")).await, Error::NoteQuota(1));
    assert_refused!(full.update_note(by(alice), update(note.id, "0123456789a")).await, Error::ByteQuota(5));
    full.update_note(by(alice), update(note.id, "9876543210")).await.expect("as large as before");
    full.update_note(by(alice), update(note.id, "987654")).await.expect("smaller, though still too large");
    full.delete_note(alice, DeleteNote { id: note.id, etag: None, allow_missing: false }).await.expect("deleted");
    full.undelete_note(alice, note.id).await.expect("it never ceased to count");
    assert_refused!(service.with_quota(2, 5).create_note(alice, new("")).await, Error::ByteQuota(5));
}

#[tokio::test]
async fn an_update_is_for_the_version_that_its_etag_names() {
    let service = Service::start().await;
    let alice = somebody();
    let note = service.create(alice, "first").await;
    let conditional = |etag: Etag, content| UpdateNote { etag: Some(etag), ..update(note.id, content) };
    let second =
        service.app.update_note(by(alice), conditional(note.etag, "second")).await.expect("it is this version");
    assert_refused!(service.app.update_note(by(alice), conditional(note.etag, "third")).await, Error::EtagMismatch);
    assert_refused!(service.app.update_note(by(alice), conditional(note.etag, "second")).await, Error::EtagMismatch);
    let same = service.app.update_note(by(alice), conditional(second.etag, "second")).await.expect("nothing to change");
    assert_eq!(same, second);
    service.app.update_note(by(alice), update(note.id, "blind")).await.expect("the last writer wins");
}

#[tokio::test]
async fn an_update_may_make_the_note_that_is_missing() {
    let service = Service::start().await;
    let (alice, id) = (somebody(), an_id());
    assert_refused!(service.app.update_note(by(alice), update(id, "text")).await, Error::NoteNotFound);
    let made = service.app.update_note(by(alice), upsert(id, "made")).await.expect("made");
    assert_eq!((made.id, made.etag.revision), (id, 1));
    let changed = service.app.update_note(by(alice), upsert(id, "changed")).await.expect("changed");
    assert_eq!((changed.create_time, changed.etag.revision), (made.create_time, 2));
    service.delete(alice, id).await.expect("deleted");
    assert_refused!(service.app.update_note(by(alice), upsert(id, "again")).await, Error::NoteDeleted);
}

#[tokio::test]
async fn concurrent_updates_that_may_make_a_note_make_one() {
    let service = Arc::new(Service::start().await);
    let (alice, id) = (somebody(), an_id());
    let upserts = (0..20).map(|index| {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.app.update_note(by(alice), upsert(id, &format!("text {index}"))).await })
    });
    let revisions: BTreeSet<_> = join_all(upserts)
        .await
        .into_iter()
        .map(|note| note.expect("no panic").expect("made or changed").etag.revision)
        .collect();
    assert_eq!(revisions, (1..=20).collect());
}

#[tokio::test]
async fn a_note_is_deleted_once_unless_missing_is_allowed() {
    let service = Service::start().await;
    let alice = somebody();
    let note = service.create(alice, "text").await;
    let delete = DeleteNote { id: note.id, etag: None, allow_missing: false };
    let stale = Etag { revision: 9, ..note.etag };
    assert_refused!(
        service.app.delete_note(alice, DeleteNote { etag: Some(stale), ..delete }).await,
        Error::EtagMismatch
    );
    let conditional = DeleteNote { etag: Some(note.etag), ..delete };
    let trashed = service.app.delete_note(alice, conditional).await.expect("deleted").expect("it was there");
    let times = trashed.trashed.expect("it is in the trash");
    assert_eq!(times.purge_time, times.delete_time + LIMITS.trash_retention);
    assert_eq!(trashed.content, note.content);

    assert_refused!(service.app.delete_note(alice, delete).await, Error::NoteNotFound);
    let lenient = DeleteNote { allow_missing: true, ..conditional };
    assert_eq!(service.app.delete_note(alice, lenient).await.expect("nothing to do"), Some(trashed));
    let nothing = DeleteNote { id: an_id(), ..lenient };
    assert_eq!(service.app.delete_note(alice, nothing).await.expect("nothing to do"), None);
}

#[tokio::test]
async fn a_note_comes_back_from_the_trash_as_a_new_version() {
    let service = Service::start().await;
    let alice = somebody();
    let note = service.create(alice, "text").await;
    assert_refused!(service.app.undelete_note(alice, note.id).await, Error::NoteAlreadyLive);
    service.delete(alice, note.id).await.expect("deleted");
    let back = service.app.undelete_note(alice, note.id).await.expect("restored");
    assert_eq!((back.trashed, &back.content, back.etag.revision), (None, &note.content, 3));
    assert_eq!(service.find(alice, note.id).await, Some(back));
}

#[tokio::test]
async fn nobody_reaches_the_note_of_somebody_else_and_it_is_as_if_it_were_not_there() {
    let service = Service::start().await;
    let (alice, bob) = (somebody(), somebody());
    let live = service.create(alice, "live").await;
    let trashed = service.create(alice, "trashed").await;
    let trashed = service.delete(alice, trashed.id).await.expect("deleted").expect("it was there");
    service.create(bob, "").await;
    for id in [live.id, trashed.id, an_id()] {
        assert_eq!(service.find(bob, id).await, None);
        assert_refused!(service.app.update_note(by(bob), update(id, "mine")).await, Error::NoteNotFound);
        assert_refused!(service.delete(bob, id).await, Error::NoteNotFound);
        assert_refused!(service.app.undelete_note(bob, id).await, Error::NoteNotFound);
    }
    assert_eq!(service.find(alice, live.id).await, Some(live));
    assert_eq!(service.find(alice, trashed.id).await, Some(trashed));
}

fn list(order: &str, page_token: &str) -> ListNotes {
    ListNotes {
        order: Order::parse(order).expect("an order"),
        show_deleted: false,
        filter: NoteFilter::default(),
        view: View::Basic,
        size: PageSize::parse(3).expect("a size"),
        page_token: page_token.to_owned(),
    }
}

#[tokio::test]
async fn a_list_goes_on_where_its_page_token_says() {
    let service = Service::start().await;
    let alice = somebody();
    let mut expected = Vec::new();
    for index in 0..10 {
        let title = Title::parse(&format!("{}", index % 4)).expect("a title");
        let note = CreateNote { fields: NoteFields { title, ..NoteFields::default() }, ..new("") };
        expected.push(service.app.create_note(alice, note).await.expect("made").id);
    }
    for order in ["create_time", "title desc"] {
        let (mut listed, mut token) = (Vec::new(), String::new());
        loop {
            let page = service.app.list_notes(alice, list(order, &token)).await.expect("listed");
            assert!(page.next_page_token.len() <= 1_024);
            listed.extend(page.notes.into_iter().map(|note| note.id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        if order == "create_time" {
            assert_eq!(listed, expected);
        }
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected.iter().copied().collect());
    }
}

#[tokio::test]
async fn a_page_token_is_for_one_caller_and_one_list_and_three_days() {
    let service = Service::start().await;
    let (alice, bob) = (somebody(), somebody());
    for owner in [alice, bob] {
        for _ in 0..5 {
            service.create(owner, "").await;
        }
    }
    let page = service.app.list_notes(alice, list("create_time", "")).await.expect("listed");
    let next = list("create_time", &page.next_page_token);

    let other = ListNotes { size: PageSize::parse(1).unwrap(), view: View::Full, ..next.clone() };
    let page = service.app.list_notes(alice, other).await.expect("size and view may change");
    assert!(page.notes[0].content.is_some());
    assert_refused!(service.app.list_notes(bob, next.clone()).await, Error::PageTokenInvalid);
    let refused = [
        list("create_time desc", &next.page_token),
        ListNotes { show_deleted: true, ..next.clone() },
        ListNotes { filter: NoteFilter { pinned: Some(false), ..NoteFilter::default() }, ..next.clone() },
        list("create_time", "rubbish"),
        list("create_time", &"A".repeat(100_000)),
    ];
    for list in refused {
        assert_refused!(service.app.list_notes(alice, list).await, Error::PageTokenInvalid);
    }
    service.clock.advance(3 * DAY);
    service.app.list_notes(alice, next.clone()).await.expect("still good");
    service.clock.advance(Duration::from_micros(1));
    assert_refused!(service.app.list_notes(alice, next).await, Error::PageTokenInvalid);
}

#[tokio::test]
async fn creations_and_looks_at_the_same_time_do_not_touch_each_other() {
    let service = Service::start().await;
    let alice = somebody();
    let calls = (0..12).map(|index| {
        let (app, note) = (service.app.clone(), new(&format!("{index}")));
        async move {
            if index % 3 == 0 {
                app.create_note(alice, note).await.map(|note| Some(note.id))
            } else {
                app.validate_create_note(alice, note).await.map(|_| None)
            }
        }
    });
    let made: BTreeSet<_> = join_all(calls).await.into_iter().filter_map(|answer| answer.expect("allowed")).collect();
    let everything = ListNotes { size: PageSize::parse(100).unwrap(), ..list("create_time", "") };
    let page = service.app.list_notes(alice, everything).await.expect("listed");
    assert_eq!(page.notes.into_iter().map(|note| note.id).collect::<BTreeSet<_>>(), made);
    assert_eq!(made.len(), 4);
    let usage = service.app.get_usage(alice).await.expect("counted");
    assert_eq!((usage.note_count, usage.bytes), (4, 4), "one digit each");
}

#[tokio::test]
async fn a_look_is_refused_by_the_quota_as_the_write_is() {
    let service = Service::start().await;
    let (alice, app) = (somebody(), service.with_quota(1, 100));
    app.validate_create_note(alice, new("")).await.expect("one is allowed");
    let note = app.create_note(alice, new("x")).await.expect("the look took no place");
    assert_refused!(app.validate_create_note(alice, new("")).await, Error::NoteQuota(1));
    let large = update(note.id, &"x".repeat(101));
    assert_refused!(app.validate_update_note(by(alice), large).await, Error::ByteQuota(100));
    assert_eq!(service.find(alice, note.id).await, Some(note));
}
