use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use runtime::batch::Coming;
use uuid::Uuid;

use super::super::create::{CreateCommand, create_all};
use super::*;
use crate::domain::{Fingerprint, RequestId, View};
use crate::repository::Repetition;

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Fixture {
    fn repeatable(&self, request: RequestId, fields: NoteFields) -> CreateNote {
        let command = self.command(fields);
        let repetition = Repetition {
            request,
            fingerprint: Fingerprint::of(None, &command.fields),
            expire_time: command.now + A_DAY,
        };
        CreateNote { repetition: Some(repetition), ..command }
    }

    async fn submit(&self, owner: Subject, command: CreateNote) -> Creation {
        self.repository.for_owner(owner).create(command).await.expect("the store works")
    }

    /// Makes exactly this batch.
    async fn batch(&self, commands: Vec<(Subject, CreateNote)>) -> Vec<Creation> {
        let commands = commands.into_iter().map(|(owner, note)| CreateCommand::new(owner.as_uuid(), note));
        let creations = create_all(&self.repository.database, &Coming::of(commands.collect::<Vec<_>>())).await;
        creations.into_iter().map(|creation| creation.expect("the store works")).collect()
    }
}

fn a_request() -> RequestId {
    RequestId::parse(&Uuid::new_v4().to_string()).expect("a request id")
}

fn chosen(id: NoteId, command: CreateNote) -> CreateNote {
    CreateNote { id: NewId::Chosen(id), ..command }
}

#[track_caller]
fn created(creation: &Creation) -> &Note {
    match creation {
        Creation::Created(note) => note,
        other => panic!("not created: {other:?}"),
    }
}

#[tokio::test]
async fn a_note_is_found_as_it_was_made_by_its_owner_alone() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let fields = NoteFields {
        title: Title::parse("Tïtle 😀 \"quoted\" \\ {}").unwrap(),
        content: Content::parse("line\r\nline\t\u{1}\u{7f}'; DROP TABLE notes; --\u{2028}").unwrap(),
        pinned: true,
        archived: true,
        color: crate::domain::Color::from_number(7).unwrap(),
        tags: vec![fixture.tag(alice, "tag").await.id],
    };
    let note = fixture.create(alice, fields).await;

    let alices = fixture.repository.for_owner(alice);
    assert_eq!(alices.find(note.id, View::Full).await.unwrap().as_ref(), Some(&note));
    assert_eq!(alices.find(note.id, View::Basic).await.unwrap(), Some(Note { content: None, ..note.clone() }));
    assert_eq!(fixture.repository.for_owner(bob).find(note.id, View::Full).await.unwrap(), None);
}

#[tokio::test]
async fn the_same_id_under_two_owners_is_two_notes() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let id = NoteId::from_uuid(Uuid::nil());
    let creations = fixture
        .batch(vec![
            (alice, chosen(id, fixture.command(titled("Alice's")))),
            (bob, chosen(id, fixture.command(titled("Bob's")))),
        ])
        .await;
    for (owner, creation) in [alice, bob].into_iter().zip(&creations) {
        let found = fixture.repository.for_owner(owner).find(id, View::Full).await.unwrap();
        assert_eq!(found.as_ref(), Some(created(creation)));
    }
}

#[tokio::test]
async fn a_refusal_in_a_batch_does_not_touch_its_neighbours() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let (taken, request) = (NoteId::from_uuid(Uuid::new_v4()), a_request());
    fixture.submit(alice, chosen(taken, fixture.command(titled("taken")))).await;
    let first = fixture.submit(alice, fixture.repeatable(request, titled("first"))).await;
    let fresh = NoteId::from_uuid(Uuid::new_v4());

    let creations = fixture
        .batch(vec![
            (alice, fixture.command(titled("a"))),
            (alice, chosen(taken, fixture.command(titled("b")))),
            (bob, chosen(taken, fixture.command(titled("c")))),
            (alice, fixture.repeatable(request, titled("first"))),
            (alice, fixture.repeatable(request, titled("other"))),
            (bob, fixture.repeatable(request, titled("other"))),
            (alice, CreateNote { quota: Quota { notes: 3, ..QUOTA }, ..fixture.command(titled("d")) }),
            (alice, chosen(fresh, fixture.command(titled("e")))),
            (alice, chosen(fresh, fixture.command(titled("f")))),
        ])
        .await;

    created(&creations[0]);
    assert!(matches!(creations[1], Creation::Refused(CreationRefused::Exists)));
    created(&creations[2]);
    assert!(matches!(creations[3], Creation::Repeated(id) if id == created(&first).id));
    assert!(matches!(creations[4], Creation::Refused(CreationRefused::RequestReused)));
    created(&creations[5]);
    assert!(matches!(creations[6], Creation::Refused(CreationRefused::QuotaExceeded(QuotaExceeded::Notes(3)))));
    created(&creations[7]);
    assert!(matches!(creations[8], Creation::Refused(CreationRefused::Exists)));
    let state = fixture.state(alice).await.expect("alice wrote");
    assert_eq!((state.note_count, state.change_seq), (4, 4), "what was refused left no gap");
}

#[tokio::test]
async fn a_row_that_the_store_refuses_fails_alone() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let impossible = NoteFields { title: Title::stored("x".repeat(301)), ..NoteFields::default() };
    let commands = [titled("a"), impossible, titled("b")]
        .map(|fields| CreateCommand::new(alice.as_uuid(), fixture.command(fields)));
    let creations = create_all(&fixture.repository.database, &Coming::of(commands)).await;
    assert_eq!(creations.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    let state = fixture.state(alice).await.expect("alice wrote");
    assert_eq!((state.note_count, state.change_seq), (2, 2));
}

#[tokio::test]
async fn notes_of_one_batch_have_consecutive_changes_and_increasing_times() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let now = fixture.now();
    let commands = (0..64).map(|_| (alice, CreateNote { now, ..fixture.command(titled("")) })).collect();
    let creations = fixture.batch(commands).await;
    let notes: Vec<_> = creations.iter().map(created).collect();
    assert!(notes.windows(2).all(|pair| pair[0].create_time < pair[1].create_time));
    let seqs = fixture.change_seqs(alice).await;
    assert_eq!(notes.iter().map(|note| seqs[&note.id]).collect::<Vec<_>>(), (1..=64).collect::<Vec<_>>());
}

#[tokio::test]
async fn concurrent_creations_of_many_owners_are_all_made_and_counted() {
    let fixture = Arc::new(Fixture::fresh().await);
    let owners: Vec<_> = (0..10).map(|_| somebody()).collect();
    let creations = (0..300).map(|index| {
        let (fixture, owner) = (Arc::clone(&fixture), owners[index % owners.len()]);
        tokio::spawn(async move { fixture.create(owner, written("12345")).await })
    });
    join_all(creations).await.into_iter().for_each(|created| drop(created.expect("no panic")));
    for owner in owners {
        let state = fixture.state(owner).await.expect("the owner wrote");
        assert_eq!((state.note_count, state.change_seq, state.bytes), (30, 30, 150));
        let mut seqs: Vec<_> = fixture.change_seqs(owner).await.into_values().collect();
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=30).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn concurrent_twins_of_a_request_make_one_note() {
    let fixture = Arc::new(Fixture::fresh().await);
    let (alice, request) = (somebody(), a_request());
    let twins = (0..20).map(|_| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move {
            match fixture.submit(alice, fixture.repeatable(request, titled("once"))).await {
                Creation::Created(note) => note.id,
                Creation::Repeated(id) => id,
                other => panic!("neither made nor repeated: {other:?}"),
            }
        })
    });
    let mut ids: Vec<_> = join_all(twins).await.into_iter().map(|id| id.expect("no panic")).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(fixture.state(alice).await.expect("alice wrote").note_count, 1);
}

#[tokio::test]
async fn a_request_is_forgotten_when_it_expires() {
    let fixture = Fixture::fresh().await;
    let (alice, request) = (somebody(), a_request());
    let command = fixture.repeatable(request, titled("note"));
    let later = |by| CreateNote {
        now: command.now + by,
        id: NewId::Drawn(NoteId::from_uuid(Uuid::now_v7())),
        repetition: command
            .repetition
            .map(|repetition| Repetition { expire_time: command.now + by + A_DAY, ..repetition }),
        ..command.clone()
    };
    created(&fixture.submit(alice, command.clone()).await);
    let almost = fixture.submit(alice, later(A_DAY - Duration::from_micros(1))).await;
    assert!(matches!(almost, Creation::Repeated(_)), "{almost:?}");
    created(&fixture.submit(alice, later(A_DAY)).await);
    let again = fixture.submit(alice, later(A_DAY + A_DAY / 2)).await;
    assert!(matches!(again, Creation::Repeated(_)), "the new one is remembered: {again:?}");
}

#[tokio::test]
async fn a_request_that_was_refused_is_not_remembered() {
    let fixture = Fixture::fresh().await;
    let (alice, request) = (somebody(), a_request());
    let command = fixture.repeatable(request, written("12345"));
    let none = Quota { notes: 0, bytes: 0 };
    let refused = fixture.submit(alice, CreateNote { quota: none, ..command.clone() }).await;
    assert!(matches!(refused, Creation::Refused(CreationRefused::QuotaExceeded(_))), "{refused:?}");
    created(&fixture.submit(alice, command).await);
}

#[tokio::test]
async fn the_quota_holds_to_the_note_and_to_the_byte_in_one_batch() {
    let fixture = Fixture::fresh().await;
    let quota = Quota { notes: 3, bytes: 10 };
    let command = |fields| CreateNote { quota, ..fixture.command(fields) };
    let (alice, bob) = (somebody(), somebody());
    let by_notes = fixture.batch((0..4).map(|_| (alice, command(titled("")))).collect()).await;
    assert!(matches!(by_notes[3], Creation::Refused(CreationRefused::QuotaExceeded(QuotaExceeded::Notes(3)))));
    for creation in &by_notes[..3] {
        created(creation);
    }

    let by_bytes = fixture.batch(["12345", "123456", "12345"].map(|text| (bob, command(written(text)))).into()).await;
    created(&by_bytes[0]);
    assert!(matches!(by_bytes[1], Creation::Refused(CreationRefused::QuotaExceeded(QuotaExceeded::Bytes(10)))));
    created(&by_bytes[2]);
    assert_eq!(fixture.state(bob).await.expect("bob wrote").bytes, 10);
}
