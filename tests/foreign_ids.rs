//! A note of somebody else, one in somebody else's trash, one that somebody else removed and no note at all are one answer, byte for byte, on every
//! method that takes a name. The methods come from the contracts.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};
use proto::notes::v1::{CreateNoteRequest, DeleteNoteRequest, DeleteTagRequest, Note};
use uuid::Uuid;

use crate::harness::descriptors::rpcs;
use crate::harness::raw;
use crate::harness::stack::Stack;

const NOTES: &str = "/notes.v1.NotesService/";
const TAGS: &str = "/notes.v1.TagService/";

/// The methods that take no name of a note, with the reason why nothing of another owner can be named there.
const NAMELESS: [(&str, &str); 8] = [
    ("/notes.v1.NotesService/BatchCreateNotes", "as CreateNote"),
    ("/notes.v1.NotesService/CreateNote", "note_id is a new name inside the caller's own notes"),
    ("/notes.v1.NotesService/EmptyTrash", "empties the caller's own trash"),
    ("/notes.v1.NotesService/GetUsage", "counts the caller's own"),
    ("/notes.v1.NotesService/ListNoteChanges", "as ListNotes; sync tokens are bound to their owner"),
    ("/notes.v1.NotesService/ListNotes", "lists the caller's own; page tokens are bound to their owner"),
    ("/notes.v1.NotesService/SearchNotes", "finds the caller's own; page tokens are bound to their owner"),
    ("/notes.v1.NotesService/WatchNotes", "as ListNoteChanges"),
];

#[tokio::test]
async fn a_foreign_note_wherever_it_is_and_no_note_are_one_answer() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let mut covered = BTreeSet::new();

    for rpc in rpcs().into_iter().filter(|rpc| rpc.path.starts_with(NOTES)) {
        let id = Uuid::new_v4();
        let name = format!("notes/{id}");
        // In a batch it stands behind a note of the caller, and is named by its place.
        let first = bob.write("his", "").await.name;
        let Some(request) = with_names(&rpc.method.input(), &[&first, &name]) else { continue };
        covered.insert(rpc.path.clone());
        let request = request.encode_to_vec();
        let ask = async |token: &str| raw::grpc(stack.notes.address(), &rpc.path, Some(token), &request).await;

        let missing = ask(&bob.tokens.access_token).await;
        let cost = statements_of(&stack, || ask(&bob.tokens.access_token)).await;
        assert!(cost > 0, "{} asks the store", rpc.path);
        assert_eq!(missing.outcome(), "NOT_FOUND NOTE_NOT_FOUND", "{}", rpc.path);
        let note = Note { title: "private".into(), ..Note::default() };
        let create = CreateNoteRequest { note: Some(note), note_id: id.to_string(), ..Default::default() };
        alice.create(create).await.expect("created");
        let foreign = ask(&bob.tokens.access_token).await;
        let foreign_cost = statements_of(&stack, || ask(&bob.tokens.access_token)).await;
        alice.delete(DeleteNoteRequest { name: name.clone(), ..Default::default() }).await.expect("deleted");
        let foreign_trash = ask(&bob.tokens.access_token).await;
        let foreign_trash_cost = statements_of(&stack, || ask(&bob.tokens.access_token)).await;

        alice.expunge(&name).await.expect("expunged");
        let foreign_expunged = ask(&bob.tokens.access_token).await;
        let foreign_expunged_cost = statements_of(&stack, || ask(&bob.tokens.access_token)).await;

        let costs = [foreign_cost, foreign_trash_cost, foreign_expunged_cost];
        assert_eq!(costs, [cost; 3], "{}: the number of statements tells", rpc.path);
        assert_eq!(missing.fingerprint(), foreign.fingerprint(), "{} tells a foreign note", rpc.path);
        assert_eq!(missing.fingerprint(), foreign_trash.fingerprint(), "{} tells a foreign trash", rpc.path);
        assert_eq!(missing.fingerprint(), foreign_expunged.fingerprint(), "{} tells what was removed", rpc.path);

        let (first, own) = (alice.write("hers", "").await.name, alice.write("hers too", "").await.name);
        let own = with_names(&rpc.method.input(), &[&first, &own]).expect("as before");
        let own = own.encode_to_vec();
        let own = raw::grpc(stack.notes.address(), &rpc.path, Some(&alice.tokens.access_token), &own).await;
        assert_ne!(own.outcome(), missing.outcome(), "{}: the owner's own note must be found", rpc.path);
    }

    let all: BTreeSet<_> = rpcs().into_iter().filter(|rpc| rpc.path.starts_with(NOTES)).map(|rpc| rpc.path).collect();
    let nameless: BTreeSet<_> = NAMELESS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(all.difference(&covered).cloned().collect::<BTreeSet<_>>(), nameless, "a method is not covered");
}

#[tokio::test]
async fn two_owners_may_use_the_same_id_and_do_not_see_each_other() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    let id = Uuid::new_v4().to_string();
    let create = |title: &str| CreateNoteRequest {
        note: Some(Note { title: title.into(), ..Note::default() }),
        note_id: id.clone(),
        ..Default::default()
    };

    let hers = alice.create(create("hers")).await.expect("created");
    let his = bob.create(create("his")).await.expect("created as well");

    assert_eq!(hers.name, his.name);
    assert_eq!(alice.get(&hers.name).await.expect("hers").title, "hers");
    assert_eq!(bob.get(&his.name).await.expect("his").title, "his");
}

#[tokio::test]
async fn a_foreign_tag_and_no_tag_are_one_answer() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    bob.tag("his").await.expect("made");
    let mut covered = BTreeSet::new();

    for rpc in rpcs().into_iter().filter(|rpc| rpc.path.starts_with(TAGS)) {
        let tag = alice.tag("hers").await.expect("made");
        let ask = async |name: &str, token: &str| {
            let request = with_names(&rpc.method.input(), &[name]).expect("as before").encode_to_vec();
            raw::grpc(stack.notes.address(), &rpc.path, Some(token), &request).await
        };
        if with_names(&rpc.method.input(), &[&tag.name]).is_none() {
            alice.delete_tag(forced(&tag.name)).await.expect("deleted");
            continue;
        }
        covered.insert(rpc.path.clone());
        let none = format!("tags/{}", Uuid::new_v4());
        let missing = ask(&none, &bob.tokens.access_token).await;
        let cost = statements_of(&stack, || ask(&none, &bob.tokens.access_token)).await;
        assert_eq!(missing.outcome(), "NOT_FOUND TAG_NOT_FOUND", "{}", rpc.path);
        let foreign = ask(&tag.name, &bob.tokens.access_token).await;
        let foreign_cost = statements_of(&stack, || ask(&tag.name, &bob.tokens.access_token)).await;
        let own = ask(&tag.name, &alice.tokens.access_token).await;
        assert_eq!(own.outcome(), "OK", "{}: the owner's own tag must be found", rpc.path);
        alice.delete_tag(forced(&tag.name)).await.ok();
        let foreign_deleted = ask(&tag.name, &bob.tokens.access_token).await;
        let foreign_deleted_cost = statements_of(&stack, || ask(&tag.name, &bob.tokens.access_token)).await;
        assert_eq!([foreign_cost, foreign_deleted_cost], [cost; 2], "{}: the number of statements tells", rpc.path);
        assert_eq!(missing.fingerprint(), foreign.fingerprint(), "{} tells a foreign tag", rpc.path);
        assert_eq!(missing.fingerprint(), foreign_deleted.fingerprint(), "{} tells what was deleted", rpc.path);
    }

    let all = rpcs().into_iter().filter(|rpc| rpc.path.starts_with(TAGS)).map(|rpc| rpc.path);
    let nameless: BTreeSet<_> = ["CreateTag", "ListTags"].map(|method| format!("{TAGS}{method}")).into();
    let uncovered: BTreeSet<_> = all.filter(|path| !covered.contains(path)).collect();
    assert_eq!(uncovered, nameless, "a method is not covered");
}

/// How many statements a call takes. What is done in the background can only add to them.
async fn statements_of<Called: Future>(stack: &Stack, call: impl Fn() -> Called) -> u64 {
    let mut fewest = u64::MAX;
    for _ in 0..2 {
        let before = stack.statements_of_notes().await;
        call().await;
        fewest = fewest.min(stack.statements_of_notes().await - before);
    }
    fewest
}

fn forced(name: &str) -> DeleteTagRequest {
    DeleteTagRequest { name: name.into(), force: true, ..Default::default() }
}

/// A request of this type that names these, each in an entry of its own where it has many, else the last one; or
/// `None` when the type has no place for a name.
fn with_names(message: &MessageDescriptor, names: &[&str]) -> Option<DynamicMessage> {
    let mut request = DynamicMessage::new(message.clone());
    if let Some(field) = message.get_field_by_name("names") {
        request.set_field(&field, Value::List(names.iter().map(|name| Value::String((*name).to_owned())).collect()));
        return Some(request);
    }
    if let Some(field) = message.get_field_by_name("requests") {
        let Kind::Message(nested) = field.kind() else { return None };
        let requests: Option<Vec<_>> = names.iter().map(|name| with_name(&nested, name).map(Value::Message)).collect();
        request.set_field(&field, Value::List(requests?));
        return Some(request);
    }
    with_name(message, names.last()?)
}

/// A request of this type that names the note, or its first revision, or the tag, or `None` when the type has no place for a name.
fn with_name(message: &MessageDescriptor, name: &str) -> Option<DynamicMessage> {
    let mut request = DynamicMessage::new(message.clone());
    if let Some(field) = message.get_field_by_name("revision_id") {
        request.set_field(&field, Value::String("1".to_owned()));
    }
    if let Some(field) = message.get_field_by_name("parent") {
        request.set_field(&field, Value::String(name.to_owned()));
        return Some(request);
    }
    if let Some(field) = message.get_field_by_name("name") {
        let name =
            if message.name() == "GetNoteRevisionRequest" { format!("{name}/revisions/1") } else { name.to_owned() };
        request.set_field(&field, Value::String(name));
        return Some(request);
    }
    for field in message.fields() {
        let Kind::Message(inner) = field.kind() else { continue };
        let is_input = !message.name().starts_with("Create");
        if is_input && ["notes.v1.Note", "notes.v1.Tag"].contains(&inner.full_name()) {
            request.set_field(&field, Value::Message(with_name(&inner, name)?));
            return Some(request);
        }
    }
    None
}
