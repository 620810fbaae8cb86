//! Copies at clients: what they hear of, from where, and when they must begin again.

use std::collections::BTreeSet;

use proto::notes::v1::note_change::Change;
use proto::notes::v1::{
    DeleteNoteRequest, DeleteTagRequest, ListNoteChangesRequest, ListNotesRequest, Note, NoteView, Tag,
    UpdateNoteRequest, UpdateTagRequest,
};

use crate::harness::actor::Person;
use crate::harness::assert::assert_refused;
use crate::harness::copy::Copy;
use crate::harness::stack::Stack;

const INVALID: &str = "INVALID_ARGUMENT PAGE_TOKEN_INVALID";
const EXPIRED: &str = "FAILED_PRECONDITION SYNC_TOKEN_EXPIRED";

fn after(sync_token: &str) -> ListNoteChangesRequest {
    ListNoteChangesRequest { sync_token: sync_token.into(), ..Default::default() }
}

async fn throw_away(person: &Person, note: &Note) {
    person.delete(DeleteNoteRequest { name: note.name.clone(), ..Default::default() }).await.expect("to the trash");
}

async fn retitle(person: &Person, note: &Note, title: &str) {
    let sent = Note { name: note.name.clone(), title: title.into(), ..Note::default() };
    person.update(UpdateNoteRequest { note: Some(sent), ..Default::default() }).await.expect("updated");
}

#[tokio::test]
async fn a_copy_follows_from_its_token_and_is_whole() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let mut copy = Copy::default();
    assert_eq!(copy.follow(&alice, 0).await, [], "nothing yet");
    let (first, second) = (alice.write("1", "one").await, alice.write("2", "two").await);
    bob.write("his", "").await;
    assert_eq!(copy.follow(&alice, 0).await, [Change::Note(first.clone()), Change::Note(second.clone())]);
    assert_eq!(copy.follow(&alice, 0).await, []);

    retitle(&alice, &first, "again").await;
    throw_away(&alice, &second).await;
    assert_eq!(copy.follow(&alice, 1).await.len(), 2);
    assert!(copy.notes[&second.name].delete_time.is_some());
    alice.expunge(&second.name).await.expect("removed");
    assert_eq!(copy.follow(&alice, 0).await, [Change::Removed(second.name)]);
    assert_eq!(copy.notes.len(), 1);

    let mut fresh = Copy::default();
    fresh.follow(&alice, 1).await;
    assert_eq!(fresh.notes, copy.notes);
}

#[tokio::test]
async fn what_is_written_while_pages_are_listed_is_in_what_comes_after() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut copy = Copy::listed(&alice).await;
    let mut notes = Vec::new();
    for n in 0..6 {
        notes.push(alice.write(&n.to_string(), "").await);
    }
    copy.follow(&alice, 2).await;
    assert_eq!(copy.notes.len(), 6, "a list of no notes has a token too");

    // Behind the reader's back: of a page already read, of one to come, and new.
    let request = ListNotesRequest { page_size: 2, order_by: "create_time".into(), ..Default::default() };
    let first = alice.list(request.clone()).await.expect("a page");
    retitle(&alice, &notes[0], "read already").await;
    throw_away(&alice, &notes[1]).await;
    retitle(&alice, &notes[5], "to come").await;
    alice.write("new", "").await;
    let rest = alice.list_all(ListNotesRequest { page_token: first.next_page_token, ..request }).await;
    let listed = first.notes.into_iter().chain(rest).map(|note| (note.name.clone(), note));
    let mut listed = Copy { notes: listed.collect(), sync_token: first.sync_token, ..Copy::default() };
    listed.follow(&alice, 1).await;
    copy.follow(&alice, 0).await;
    let etags = |copy: &Copy| copy.notes.values().map(|note| note.etag.clone()).collect::<Vec<_>>();
    assert_eq!(etags(&listed), etags(&copy));
}

#[tokio::test]
async fn a_copy_has_the_tags_too() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let (work, play) = (alice.tag("work").await.expect("made"), alice.tag("play").await.expect("made"));
    bob.tag("his").await.expect("made");
    let note = alice.write_tagged("1", &[&work.name, &play.name]).await.expect("made");
    let (mut copy, mut listed) = (Copy::default(), Copy::listed(&alice).await);
    copy.follow(&alice, 2).await;
    let names = |copy: &Copy| copy.tags.values().map(|tag| tag.display_name.clone()).collect::<BTreeSet<_>>();
    assert_eq!(names(&copy), BTreeSet::from(["play".into(), "work".into()]));

    let renamed = Tag { name: work.name.clone(), display_name: "office".into(), ..Tag::default() };
    let renamed = UpdateTagRequest { tag: Some(renamed), update_mask: None };
    let renamed = Tag { note_count: 1, ..alice.update_tag(renamed).await.expect("renamed") };
    assert_eq!(copy.follow(&alice, 0).await, [Change::Tag(renamed)], "no note has changed");
    let delete = DeleteTagRequest { name: play.name.clone(), force: true, ..Default::default() };
    alice.delete_tag(delete).await.expect("deleted");
    let again = alice.tag("play").await.expect("the name is free");
    let changes = copy.follow(&alice, 0).await;
    let [Change::Note(untagged), rest @ ..] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((&untagged.name, &untagged.tags), (&note.name, &vec![work.name.clone()]));
    assert_eq!(rest, [Change::TagRemoved(play.name), Change::Tag(again)]);
    listed.follow(&alice, 1).await;
    assert_eq!(names(&listed), names(&copy));
}

#[tokio::test]
async fn an_emptied_trash_is_heard_of_at_once() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let (known, live) = (alice.write("known", "").await, alice.write("live", "").await);
    throw_away(&alice, &known).await;
    let mut copy = Copy::default();
    copy.follow(&alice, 0).await;
    // The copy has it as a live note.
    let surprise = alice.write("surprise", "").await;
    copy.follow(&alice, 0).await;
    throw_away(&alice, &surprise).await;
    assert_eq!(alice.empty_trash().await.expect("emptied"), 2);

    let changes = copy.follow(&alice, 0).await;
    assert_eq!(changes, [Change::Removed(surprise.name), Change::TrashEmptied(proto::notes::v1::TrashEmptied {})]);
    assert_eq!(copy.notes.into_keys().collect::<Vec<_>>(), [live.name]);
}

#[tokio::test]
async fn a_sync_token_is_good_for_its_owner_and_for_nothing_else() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    for n in 0..3 {
        alice.write(&n.to_string(), "").await;
        bob.write(&n.to_string(), "").await;
    }
    let page = alice.list(ListNotesRequest { page_size: 1, ..Default::default() }).await.expect("a page");
    let token = page.sync_token.as_str();
    alice.changes(after(token)).await.expect("it is hers");
    assert_refused(bob.changes(after(token)).await, INVALID);
    assert_refused(alice.changes(after(&page.next_page_token)).await, INVALID);
    let list = ListNotesRequest { page_token: token.into(), page_size: 1, ..Default::default() };
    assert_refused(alice.list(list).await, INVALID);
    for bad in ["A", &token[1..], &token[..token.len() - 1], &format!("{token}AAAA"), &"A".repeat(1_000_000)] {
        assert_refused(alice.changes(after(bad)).await, INVALID);
    }
    let altered: String = token.chars().rev().collect();
    assert_refused(alice.changes(after(&altered)).await, INVALID);

    let both = ListNoteChangesRequest { page_size: -1, view: 9, ..after(token) };
    assert_refused(alice.changes(both).await, "INVALID_ARGUMENT FIELD_INVALID");
    for (page_size, view) in [(1, NoteView::Full), (i32::MAX, NoteView::Basic)] {
        let request = ListNoteChangesRequest { page_size, view: view.into(), ..after(token) };
        alice.changes(request).await.expect("size and view may change from page to page");
    }
}

#[tokio::test]
async fn a_copy_of_a_store_whose_backup_was_brought_back_begins_again() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    alice.write("kept", "").await;
    let mut copy = Copy::default();
    copy.follow(&alice, 0).await;

    let stack = stack.restart_notes_with(&[]).await;
    let alice = stack.log_in(&alice).await;
    assert_eq!(copy.follow(&alice, 0).await, [], "a restart alone is nothing to a copy");
    let stack = stack.restart_notes_with(&[("NOTES_SERVICE_SYNC_EPOCH", "2")]).await;
    let alice = stack.log_in(&alice).await;
    assert_refused(alice.changes(after(&copy.sync_token)).await, EXPIRED);
    let mut again = Copy::default();
    again.follow(&alice, 0).await;
    assert_eq!(again.notes, copy.notes);
}

#[tokio::test]
async fn a_page_of_changes_is_one_that_common_clients_can_decode() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let large = "x".repeat(260_000);
    for n in 0..14 {
        alice.write(&n.to_string(), &large).await;
    }
    let mut request = ListNoteChangesRequest { view: NoteView::Full.into(), ..Default::default() };
    let mut notes = 0;
    loop {
        let page = alice.changes(request.clone()).await.expect("a page");
        let bytes = prost::Message::encoded_len(&page);
        assert!(bytes < 4 << 20, "{bytes}");
        notes += page.changes.len();
        request.sync_token = page.next_sync_token;
        if !page.more_available {
            break;
        }
    }
    assert_eq!(notes, 14);
}
