//! Pages of notes: every order, every note once, tokens that fit nobody and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use proto::notes::v1::{
    CreateNoteRequest, DeleteNoteRequest, ListNoteChangesRequest, ListNoteChangesResponse, ListNotesRequest,
    ListNotesResponse, Note, NoteView, UpdateNoteRequest, note_change,
};

use crate::harness::actor::Person;
use crate::harness::assert::assert_refused;
use crate::harness::raw;
use crate::harness::stack::Stack;

fn page_of(size: i32) -> ListNotesRequest {
    ListNotesRequest { page_size: size, ..Default::default() }
}

fn titles(notes: &[Note]) -> Vec<&str> {
    notes.iter().map(|note| note.title.as_str()).collect()
}

#[tokio::test]
async fn pages_lead_through_all_notes_newest_first() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for n in 0..7 {
        alice.write(&n.to_string(), "text").await;
    }
    stack.register("bob").await.write("not hers", "").await;

    let first = alice.list(page_of(3)).await.expect("a page");
    assert_eq!(titles(&first.notes), ["6", "5", "4"]);
    assert!(first.notes.iter().all(|note| note.content.is_empty() && note.content_bytes == 4), "BASIC by default");
    assert_eq!(titles(&alice.list_all(page_of(3)).await), ["6", "5", "4", "3", "2", "1", "0"]);
    let full = alice.list_all(ListNotesRequest { view: NoteView::Full.into(), ..page_of(2) }).await;
    assert!(full.iter().all(|note| note.content == "text"));
}

#[tokio::test]
async fn every_order_is_total_and_pages_do_not_overlap() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for title in ["b", "B", "a", "", "ä", "Ä", "z", "b"] {
        alice.write(title, "").await;
    }
    for order in ["create_time", "update_time", "title"] {
        let ask = |order: String, size| ListNotesRequest { order_by: order, ..page_of(size) };
        let ascending = alice.list_all(ask(order.to_owned(), 1_000)).await;
        let mut descending = alice.list_all(ask(format!("{order} desc"), 3)).await;
        descending.reverse();
        assert_eq!(ascending, descending, "{order}");
        assert_eq!(ascending, alice.list_all(ask(order.to_owned(), 1)).await, "{order}, one a page");
        let names: BTreeSet<_> = ascending.iter().map(|note| &note.name).collect();
        assert_eq!(names.len(), 8);
    }
    let by_title = alice.list_all(ListNotesRequest { order_by: "title".into(), ..page_of(0) }).await;
    assert_eq!(titles(&by_title)[..2], ["", "a"]);
    assert_eq!(titles(&by_title)[5], "z");
}

#[tokio::test]
async fn writes_between_pages_neither_hide_nor_repeat_a_note() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut expected = BTreeSet::new();
    for n in 0..9 {
        expected.insert(alice.write(&n.to_string(), "").await.name);
    }
    let mut seen = Vec::new();
    let mut request = page_of(2);
    loop {
        let page = alice.list(request.clone()).await.expect("a page");
        for note in &page.notes {
            let sent = Note { name: note.name.clone(), title: "touched".into(), ..Note::default() };
            let update = UpdateNoteRequest { note: Some(sent), ..Default::default() };
            alice.update(update).await.expect("an update moves nothing in this order");
        }
        seen.extend(page.notes.into_iter().map(|note| note.name));
        if page.next_page_token.is_empty() {
            break;
        }
        alice.write("new", "").await;
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen.len(), 9);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn the_trash_is_listed_when_it_is_asked_for() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    alice.write("live", "").await;
    let dead = alice.write("dead", "").await;
    alice.delete(DeleteNoteRequest { name: dead.name, ..Default::default() }).await.expect("deleted");
    assert_eq!(titles(&alice.list_all(page_of(0)).await), ["live"]);
    let all = alice.list_all(ListNotesRequest { show_deleted: true, ..page_of(1) }).await;
    assert_eq!(titles(&all), ["dead", "live"]);
    assert!(all[0].delete_time.is_some());
}

#[tokio::test]
async fn page_sizes_are_coerced_and_negative_ones_refused() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for n in 0..51 {
        alice.write(&n.to_string(), "").await;
    }
    assert_eq!(alice.list(page_of(0)).await.expect("a page").notes.len(), 50);
    assert_eq!(alice.list(page_of(i32::MAX)).await.expect("a page").notes.len(), 51);
    for size in [-1, i32::MIN] {
        assert_refused(alice.list(page_of(size)).await, "INVALID_ARGUMENT FIELD_INVALID");
    }
}

#[tokio::test]
async fn unknown_orders_are_refused() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for order in ["content", "title asc, name", "owner_id", "title;drop table notes", "TITLE", "pinned desc"] {
        let request = ListNotesRequest { order_by: order.into(), ..page_of(0) };
        assert_refused(alice.list(request).await, "INVALID_ARGUMENT ORDER_BY_INVALID");
    }
}

#[tokio::test]
async fn a_page_token_fits_its_owner_its_arguments_and_three_days() {
    let stack = Stack::start().await;
    let (mut alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    for n in 0..5 {
        alice.write(&format!("a secret title {n}"), "").await;
        bob.write(&n.to_string(), "").await;
    }
    let by_title = ListNotesRequest { order_by: "title".into(), ..page_of(2) };
    let token = alice.list(by_title.clone()).await.expect("a page").next_page_token;
    let with = |token: &str| ListNotesRequest { page_token: token.to_owned(), ..by_title.clone() };

    assert!(token.len() <= 1_024);
    let larger = ListNotesRequest { page_size: 3, view: NoteView::Full.into(), ..with(&token) };
    assert_eq!(alice.list(larger).await.expect("page size and view may change").notes.len(), 3);

    const REFUSED: &str = "INVALID_ARGUMENT PAGE_TOKEN_INVALID";
    assert_refused(bob.list(with(&token)).await, REFUSED);
    assert_refused(alice.list(ListNotesRequest { order_by: String::new(), ..with(&token) }).await, REFUSED);
    assert_refused(alice.list(ListNotesRequest { show_deleted: true, ..with(&token) }).await, REFUSED);
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(bytes).expect("ASCII");
        assert_refused(alice.list(with(&altered)).await, REFUSED);
    }
    for rubbish in ["x", "AAAA", &token[..token.len() - 1], &format!("{token}A"), &"A".repeat(5_000), "🦀"] {
        assert_refused(alice.list(with(rubbish)).await, REFUSED);
    }

    stack.clock.advance(Duration::from_secs(3 * 24 * 60 * 60));
    alice.refresh().await.expect("refreshed");
    alice.list(with(&token)).await.expect("three days are allowed");
    stack.clock.advance(Duration::from_secs(1));
    assert_refused(alice.list(with(&token)).await, REFUSED);
}

#[tokio::test]
async fn a_page_of_large_notes_stays_below_what_clients_accept() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut expected = BTreeSet::new();
    for n in 0..8 {
        let note = Note { title: n.to_string(), content: "🦀".repeat(250_000), ..Note::default() };
        let request = CreateNoteRequest { note: Some(note), ..Default::default() };
        expected.insert(alice.create(request).await.expect("created").name);
    }
    let request = ListNotesRequest { view: NoteView::Full.into(), ..page_of(1_000) };
    let body = bytes_of(&stack, &alice, "ListNotes", &request).await;
    assert!(body.len() < 4 << 20, "{} bytes", body.len());
    let names: BTreeSet<_> = alice.list_all(request).await.into_iter().map(|note| note.name).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_page_of_notes_with_many_tags_and_long_titles_stays_below_what_clients_accept() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut tags = Vec::new();
    for n in 0..50 {
        tags.push(alice.tag(&n.to_string()).await.expect("made").name);
    }
    let note = Note { title: "🦀".repeat(300), content: "🦀".repeat(200), tags, archived: true, ..Note::default() };
    let create = CreateNoteRequest { note: Some(note), ..Default::default() };
    let mut expected = BTreeSet::new();
    for _ in 0..10 {
        let made = alice.batch_create(vec![create.clone(); 100], NoteView::Basic).await.expect("a hundred");
        expected.extend(made.into_iter().map(|note| note.name));
    }
    const MOST: usize = 15 << 18; // 3.75 MiB
    for view in [NoteView::Basic, NoteView::Full] {
        let (mut seen, mut request) = (Vec::new(), ListNotesRequest { view: view.into(), ..page_of(1_000) });
        loop {
            let answer = bytes_of(&stack, &alice, "ListNotes", &request).await;
            assert!(answer.len() < MOST, "{} bytes", answer.len());
            let page = ListNotesResponse::decode(&answer[5..]).expect("a page");
            seen.extend(page.notes.into_iter().map(|note| note.name));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!((seen.len(), seen.into_iter().collect()), (1_000, expected.clone()));

        let (mut seen, mut request) =
            (Vec::new(), ListNoteChangesRequest { page_size: 1_000, view: view.into(), ..Default::default() });
        loop {
            let answer = bytes_of(&stack, &alice, "ListNoteChanges", &request).await;
            assert!(answer.len() < MOST, "{} bytes", answer.len());
            let page = ListNoteChangesResponse::decode(&answer[5..]).expect("a page");
            seen.extend(page.changes.into_iter().filter_map(|change| match change.change {
                Some(note_change::Change::Note(note)) => Some(note.name),
                _ => None,
            }));
            if !page.more_available {
                break;
            }
            request.sync_token = page.next_sync_token;
        }
        assert_eq!((seen.len(), seen.into_iter().collect()), (1_000, expected.clone()));
    }
}

/// The bytes of an answer with the five before it.
async fn bytes_of(stack: &Stack, person: &Person, method: &str, request: &impl Message) -> Bytes {
    let path = format!("/notes.v1.NotesService/{method}");
    let token = Some(person.tokens.access_token.as_str());
    raw::grpc(stack.notes.address(), &path, token, &request.encode_to_vec()).await.body
}
