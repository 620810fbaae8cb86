//! Lists of some of the notes: what a filter lets through, and what is no filter.

use std::time::Duration;

use prost::Message as _;
use prost_types::Timestamp;
use proto::notes::v1::{
    CreateNoteRequest, DeleteNoteRequest, ListNotesRequest, ListNotesResponse, Note, NoteColor, NoteFilter, TimeRange,
};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::harness::actor::Person;
use crate::harness::assert::assert_refused;
use crate::harness::raw;
use crate::harness::stack::Stack;

fn only(filter: NoteFilter) -> ListNotesRequest {
    ListNotesRequest { filter: Some(filter), ..Default::default() }
}

fn range(start_time: Option<Timestamp>, end_time: Option<Timestamp>) -> Option<TimeRange> {
    Some(TimeRange { start_time, end_time })
}

async fn make(person: &Person, note: Note) -> Note {
    person.create(CreateNoteRequest { note: Some(note), ..Default::default() }).await.expect("made")
}

/// The titles of what a list brings, a page of one note after the other.
async fn titles(person: &Person, request: ListNotesRequest) -> Vec<String> {
    let request = ListNotesRequest { page_size: 1, ..request };
    person.list_all(request).await.into_iter().map(|note| note.title).collect()
}

#[tokio::test]
async fn a_list_holds_the_notes_that_its_filter_lets_through() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let work = alice.tag("work").await.expect("made").name;
    let titled = |title: &str| Note { title: title.into(), ..Note::default() };
    make(&alice, Note { pinned: true, color: NoteColor::Red.into(), ..titled("a") }).await;
    make(&alice, Note { archived: true, tags: vec![work.clone()], ..titled("b") }).await;
    stack.clock.advance(Duration::from_secs(60));
    let third = make(&alice, Note { pinned: true, tags: vec![work.clone()], ..titled("c") }).await;
    let trashed = make(&alice, Note { tags: vec![work.clone()], ..titled("d") }).await;
    alice.delete(DeleteNoteRequest { name: trashed.name, ..Default::default() }).await.expect("in the trash");
    make(&bob, Note { pinned: true, ..titled("his") }).await;

    let none = NoteFilter::default();
    let pinned = NoteFilter { pinned: Some(true), ..none.clone() };
    let tagged = NoteFilter { tag: work.clone(), ..none.clone() };
    assert_eq!(titles(&alice, only(none.clone())).await, ["c", "b", "a"]);
    assert_eq!(titles(&alice, only(pinned.clone())).await, ["c", "a"]);
    assert_eq!(titles(&alice, only(NoteFilter { archived: Some(false), ..none.clone() })).await, ["c", "a"]);
    assert_eq!(titles(&alice, only(NoteFilter { color: Some(NoteColor::Red.into()), ..none.clone() })).await, ["a"]);
    assert_eq!(titles(&alice, only(NoteFilter { color: Some(0), ..none.clone() })).await, ["c", "b"], "no colour");
    assert_eq!(titles(&alice, only(tagged.clone())).await, ["c", "b"]);
    let by_title = |filter| ListNotesRequest { order_by: "title".into(), show_deleted: true, ..only(filter) };
    assert_eq!(titles(&alice, by_title(tagged.clone())).await, ["b", "c", "d"]);
    assert_eq!(titles(&alice, by_title(NoteFilter { tag: work, ..pinned })).await, ["c"], "all conditions hold");

    let from_third = NoteFilter { create_time_range: range(third.create_time, None), ..none.clone() };
    let before_third = NoteFilter { create_time_range: range(None, third.create_time), ..none };
    assert_eq!(titles(&alice, only(from_third)).await, ["c"], "the start is in the range");
    assert_eq!(titles(&alice, only(before_third)).await, ["b", "a"], "the end is not");
}

#[tokio::test]
async fn a_page_token_is_good_for_its_filter_alone() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for n in 0..3 {
        make(&alice, Note { title: n.to_string(), pinned: true, ..Note::default() }).await;
    }
    let pinned = only(NoteFilter { pinned: Some(true), ..NoteFilter::default() });
    let token = alice.list(ListNotesRequest { page_size: 1, ..pinned.clone() }).await.expect("a page").next_page_token;
    let with = |request: ListNotesRequest| ListNotesRequest { page_token: token.clone(), ..request };

    assert_eq!(alice.list(with(pinned)).await.expect("the same filter").notes.len(), 2);
    let others = [
        ListNotesRequest::default(),
        only(NoteFilter::default()),
        only(NoteFilter { pinned: Some(false), ..NoteFilter::default() }),
        only(NoteFilter { pinned: Some(true), archived: Some(false), ..NoteFilter::default() }),
        only(NoteFilter { pinned: Some(true), tag: format!("tags/{}", Uuid::nil()), ..NoteFilter::default() }),
    ];
    for other in others {
        assert_refused(alice.list(with(other)).await, "INVALID_ARGUMENT PAGE_TOKEN_INVALID");
    }
    let all = alice.list(ListNotesRequest { page_size: 1, ..Default::default() }).await.expect("a page");
    let empty = ListNotesRequest { page_token: all.next_page_token, ..only(NoteFilter::default()) };
    assert_eq!(alice.list(empty).await.expect("no condition is no filter").notes.len(), 2);
}

#[tokio::test]
async fn a_foreign_tag_and_no_tag_are_that_of_no_note() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let tag = alice.tag("hers").await.expect("made").name;
    alice.write_tagged("hers", &[&tag]).await.expect("made");
    bob.write("his", "").await;
    let (path, token) = ("/notes.v1.NotesService/ListNotes", Some(bob.tokens.access_token.as_str()));
    for archived in [None, Some(false)] {
        let mut answers = Vec::new();
        for tag in [tag.clone(), format!("tags/{}", Uuid::new_v4())] {
            let request = only(NoteFilter { tag, archived, ..NoteFilter::default() }).encode_to_vec();
            let answer = raw::grpc(stack.notes.address(), path, token, &request).await;
            assert_eq!(answer.outcome(), "OK");
            let page = ListNotesResponse::decode(&answer.body[5..]).expect("a page");
            assert!(page.notes.is_empty() && page.next_page_token.is_empty());
            answers.push(answer.body.len());
        }
        assert_eq!(answers[0], answers[1], "no byte more, no byte less");
    }
    assert_eq!(titles(&alice, only(NoteFilter { tag, ..NoteFilter::default() })).await, ["hers"]);
}

#[tokio::test]
async fn what_is_no_filter_is_refused_with_the_path_of_its_field() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let none = NoteFilter::default();
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let bad = [
        (NoteFilter { color: Some(11), ..none.clone() }, "filter.color"),
        (NoteFilter { color: Some(-1), ..none.clone() }, "filter.color"),
        (NoteFilter { tag: "work".into(), ..none.clone() }, "filter.tag"),
        (NoteFilter { tag: "notes/0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8d".into(), ..none.clone() }, "filter.tag"),
        (NoteFilter { tag: "tags/0193A5C8-7F3E-7B1A-9C2D-3E4F5A6B7C8D".into(), ..none.clone() }, "filter.tag"),
        (NoteFilter { create_time_range: range(None, None), ..none.clone() }, "filter.create_time_range"),
        (NoteFilter { create_time_range: range(at(1), at(1)), ..none.clone() }, "filter.create_time_range"),
        (NoteFilter { update_time_range: range(at(2), at(1)), ..none.clone() }, "filter.update_time_range"),
        (NoteFilter { update_time_range: range(at(i64::MAX), None), ..none }, "filter.update_time_range.start_time"),
    ];
    for (filter, path) in bad {
        let refusal = alice.list(only(filter)).await.expect_err("no filter");
        let violations = refusal.get_details_bad_request().expect("it names the field").field_violations;
        assert_eq!(violations.iter().map(|violation| violation.field.as_str()).collect::<Vec<_>>(), [path]);
        assert_refused::<()>(Err(refusal), "INVALID_ARGUMENT FIELD_INVALID");
    }
}
