//! Tags: what an owner calls a part of the notes.

use prost_types::FieldMask;
use proto::notes::v1::{
    DeleteNoteRequest, DeleteTagRequest, ListTagsRequest, Note, NoteColor, NoteView, Tag, UpdateNoteRequest,
    UpdateTagRequest,
};
use tonic_types::StatusExt as _;

use crate::harness::actor::Person;
use crate::harness::assert::assert_refused;
use crate::harness::stack::Stack;

const TAKEN: &str = "ALREADY_EXISTS TAG_NAME_TAKEN";
const MISSING: &str = "NOT_FOUND TAG_NOT_FOUND";
const INVALID: &str = "INVALID_ARGUMENT FIELD_INVALID";

fn renamed(tag: &Tag, display_name: &str) -> UpdateTagRequest {
    let tag = Tag { name: tag.name.clone(), display_name: display_name.into(), ..Tag::default() };
    UpdateTagRequest { tag: Some(tag), update_mask: None }
}

fn forced(tag: &Tag) -> DeleteTagRequest {
    DeleteTagRequest { name: tag.name.clone(), force: true, ..Default::default() }
}

fn retagged(note: &Note, tags: &[&str]) -> UpdateNoteRequest {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    UpdateNoteRequest {
        note: Some(Note { name: note.name.clone(), tags, ..Note::default() }),
        update_mask: Some(FieldMask { paths: vec!["tags".into()] }),
        ..Default::default()
    }
}

async fn note_count(person: &Person, tag: &Tag) -> i64 {
    person.get_tag(&tag.name).await.expect("it is there").note_count
}

#[tokio::test]
async fn a_tag_is_made_changed_listed_and_deleted() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let tag = alice.tag("Work").await.expect("made");
    assert_eq!(alice.get_tag(&tag.name).await.expect("there"), tag);

    let update = Tag { color: NoteColor::Blue.into(), etag: tag.etag.clone(), ..tag.clone() };
    let update = UpdateTagRequest { tag: Some(update), update_mask: Some(FieldMask { paths: vec!["color".into()] }) };
    let blue = alice.update_tag(update.clone()).await.expect("changed");
    assert_eq!((blue.color(), &blue.display_name), (NoteColor::Blue, &tag.display_name));
    assert!(blue.etag != tag.etag && blue.create_time == tag.create_time && blue.update_time != tag.update_time);
    assert_refused(alice.update_tag(update).await, "ABORTED ETAG_MISMATCH");
    assert_eq!(alice.update_tag(renamed(&blue, "Work")).await.expect("no change"), blue);

    let page = alice.list_tags(ListTagsRequest::default()).await.expect("listed");
    assert_eq!((page.tags, page.next_page_token.as_str()), (vec![blue.clone()], ""));
    assert_eq!(alice.usage().await.expect("counted").tag_count, 1);

    let stale = DeleteTagRequest { name: tag.name.clone(), etag: tag.etag, force: false };
    assert_refused(alice.delete_tag(stale).await, "ABORTED ETAG_MISMATCH");
    let delete = DeleteTagRequest { name: blue.name.clone(), etag: blue.etag, force: false };
    alice.delete_tag(delete.clone()).await.expect("nobody has it");
    assert_refused(alice.delete_tag(delete).await, MISSING);
    assert_refused(alice.get_tag(&blue.name).await, MISSING);
    assert_eq!(alice.usage().await.expect("counted").tag_count, 0);
}

#[tokio::test]
async fn an_owner_has_no_two_tags_whose_names_differ_in_case_alone() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let street = alice.tag("straße").await.expect("made");
    let other = alice.tag("other").await.expect("made");
    for same in ["straße", "STRASSE"] {
        let refused = alice.tag(same).await.expect_err("the name is taken");
        assert_eq!(refused.get_details_error_info().expect("a reason").metadata["tag"], street.name);
        assert_refused(alice.tag(same).await, TAKEN);
        assert_refused(alice.update_tag(renamed(&other, same)).await, TAKEN);
    }
    assert_eq!(alice.update_tag(renamed(&street, "STRASSE")).await.expect("its own").display_name, "STRASSE");
    bob.tag("straße").await.expect("what is Alice's does not matter");
}

#[tokio::test]
async fn names_of_tags_keep_to_their_limits() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for bad in ["", " ", "a ", "a\u{7}", "a\nb", "\0", &"é".repeat(64)] {
        assert_refused(alice.tag(bad).await, INVALID);
    }
    let longest = alice.tag(&"e\u{301}".repeat(63)).await.expect("sixty-three after NFC");
    assert_eq!(longest.display_name, "é".repeat(63));
    for bad in ["", "x", "notes/0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8d", &longest.name.to_uppercase()] {
        assert_refused(alice.get_tag(bad).await, INVALID);
    }
}

#[tokio::test]
async fn tags_are_listed_by_name_in_pages() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    for name in ["b", "A", "c", "B2"] {
        alice.tag(name).await.expect("made");
    }
    let (mut names, mut request) = (Vec::new(), ListTagsRequest { page_size: 3, ..Default::default() });
    loop {
        let page = alice.list_tags(request.clone()).await.expect("listed");
        names.extend(page.tags.into_iter().map(|tag| tag.display_name));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
        assert_refused(bob.list_tags(request.clone()).await, "INVALID_ARGUMENT PAGE_TOKEN_INVALID");
    }
    assert_eq!(names, ["A", "b", "B2", "c"]);
    assert_refused(alice.list_tags(ListTagsRequest { page_size: -1, ..Default::default() }).await, INVALID);
}

#[tokio::test]
async fn notes_have_tags_in_the_order_in_which_they_were_sent() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let [one, two] = [alice.tag("one").await.expect("made"), alice.tag("two").await.expect("made")];
    let note = alice.write_tagged("note", &[&two.name, &one.name]).await.expect("made");
    assert_eq!(note.tags, [two.name.as_str(), &one.name]);
    assert_eq!(alice.get(&note.name).await.expect("there"), note);
    assert_eq!(alice.list_all(Default::default()).await[0].tags, note.tags);
    assert_eq!(
        alice.batch_get(vec![note.name.clone()], NoteView::Full).await.expect("there"),
        std::slice::from_ref(&note)
    );

    let same = alice.update(retagged(&note, &[&two.name, &one.name])).await.expect("no change");
    assert_eq!(same, note);
    let less = alice.update(retagged(&note, &[&one.name])).await.expect("changed");
    assert_eq!(less.tags, [one.name.as_str()]);
    assert!(less.etag != note.etag && less.update_time != note.update_time && less.title == note.title);
    assert_eq!((note_count(&alice, &one).await, note_count(&alice, &two).await), (1, 0));
    let none = alice.update(retagged(&note, &[])).await.expect("the mask clears them");
    assert_eq!((none.tags.len(), note_count(&alice, &one).await), (0, 0));
}

#[tokio::test]
async fn a_note_gets_no_tag_that_its_owner_does_not_have() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let (own, his) = (alice.tag("own").await.expect("made"), bob.tag("his").await.expect("made"));
    let gone = alice.tag("gone").await.expect("made");
    alice.delete_tag(forced(&gone)).await.expect("deleted");
    let none = "tags/0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8d";
    let note = alice.write_tagged("note", &[]).await.expect("made");
    let mut answers = Vec::new();
    for unknown in [none, &his.name, &gone.name] {
        for refused in [
            alice.write_tagged("new", &[&own.name, unknown]).await,
            alice.update(retagged(&note, &[&own.name, unknown])).await,
        ] {
            let status = refused.expect_err("there is no such tag");
            let violations = status.get_details_bad_request().expect("it names the field").field_violations;
            assert_eq!(violations.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), ["note.tags[1]"]);
            answers.push((status.code(), status.message().to_owned(), status.details().to_vec()));
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "a foreign tag is like none");
    let requests = vec![retagged(&note, &[&own.name]), retagged(&alice.write("other", "").await, &[none])];
    let refused = alice.batch_update(requests, NoteView::Basic).await.expect_err("all or none");
    let violations = refused.get_details_bad_request().expect("it names the field").field_violations;
    assert_eq!(violations[0].field, "requests[1].note.tags[0]");
    assert_eq!((note_count(&alice, &own).await, alice.get(&note.name).await.expect("there")), (0, note));
}

#[tokio::test]
async fn a_note_has_at_most_fifty_tags_each_once() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let mut tags = Vec::new();
    for number in 0..51 {
        tags.push(alice.tag(&number.to_string()).await.expect("made").name);
    }
    let tags: Vec<_> = tags.iter().map(String::as_str).collect();
    let note = alice.write_tagged("fifty", &tags[..50]).await.expect("made");
    assert_eq!(note.tags, &tags[..50]);
    assert_refused(alice.write_tagged("more", &tags).await, INVALID);
    assert_refused(alice.update(retagged(&note, &tags)).await, INVALID);
    assert_refused(alice.update(retagged(&note, &[tags[0], tags[1], tags[0]])).await, INVALID);
    assert_refused(alice.update(retagged(&note, &["work"])).await, INVALID);
    assert_eq!(alice.get(&note.name).await.expect("there"), note);
}

#[tokio::test]
async fn another_name_of_a_tag_changes_none_of_its_notes() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let tag = alice.tag("work").await.expect("made");
    let note = alice.write_tagged("note", &[&tag.name]).await.expect("made");
    let office = alice.update_tag(renamed(&tag, "office")).await.expect("renamed");
    assert_eq!((office.display_name.as_str(), office.note_count), ("office", 1));
    assert_eq!(alice.get(&note.name).await.expect("there"), note);
}

#[tokio::test]
async fn a_tag_that_live_notes_have_is_deleted_by_force_alone() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let [work, home] = [alice.tag("work").await.expect("made"), alice.tag("home").await.expect("made")];
    let note = alice.write_tagged("note", &[&work.name, &home.name]).await.expect("made");
    let request = DeleteTagRequest { name: work.name.clone(), ..Default::default() };
    let refused = alice.delete_tag(request.clone()).await.expect_err("a note has it");
    assert_eq!(refused.get_details_error_info().expect("a reason").metadata["noteCount"], "1");
    assert_refused(alice.delete_tag(request).await, "FAILED_PRECONDITION TAG_IN_USE");
    alice.delete_tag(forced(&work)).await.expect("by force");
    let without = alice.get(&note.name).await.expect("there");
    assert_eq!(without.tags, [home.name.as_str()]);
    assert!(without.etag != note.etag && without.update_time != note.update_time, "the note has changed");
    alice.tag("work").await.expect("the name is free again");
}

#[tokio::test]
async fn notes_in_the_trash_keep_their_tags_and_do_not_count() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let tag = alice.tag("work").await.expect("made");
    let delete = |note: &Note| DeleteNoteRequest { name: note.name.clone(), ..Default::default() };
    let [kept, lost] = [
        alice.write_tagged("kept", &[&tag.name]).await.expect("made"),
        alice.write_tagged("lost", &[&tag.name]).await.expect("made"),
    ];
    alice.delete(delete(&kept)).await.expect("to the trash");
    assert_eq!(note_count(&alice, &tag).await, 1);
    let back = alice.undelete(&kept.name).await.expect("back");
    assert_eq!((back.tags, note_count(&alice, &tag).await), (kept.tags.clone(), 2));
    alice.delete(delete(&lost)).await.expect("to the trash");
    assert_eq!(alice.empty_trash().await.expect("emptied"), 1);
    assert_eq!(note_count(&alice, &tag).await, 1);
    alice.delete(delete(&kept)).await.expect("to the trash");
    let request = DeleteTagRequest { name: tag.name, ..Default::default() };
    alice.delete_tag(request).await.expect("no live note has it");
    assert!(alice.undelete(&kept.name).await.expect("back").tags.is_empty());
}
