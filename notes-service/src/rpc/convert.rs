//! Messages to values and back. Every violation of a request is collected, with the path of its field and the rule, and
//! never with what was sent.

mod batch;
mod filter;
mod revisions;
mod search;
mod sync;
mod tags;

use std::fmt::Display;

use proto::notes::v1 as wire;
use runtime::status::FieldViolation;

pub(super) use self::batch::{batch_create_notes, batch_delete_notes, batch_get_notes, batch_update_notes};
pub(super) use self::revisions::{get_note_revision, list_note_revisions, rollback_note};
pub(super) use self::search::search_notes;
pub(super) use self::sync::{list_note_changes, watch_notes};
pub(super) use self::tags::{create_tag, delete_tag, get_tag, list_tags, tag_name, update_tag};
use super::status::Malformed;
use crate::app::{CreateNote, DeleteNote, ListNotes, NotesPage, UpdateNote, Usage};
use crate::domain::{
    Color, Content, Etag, Note, NoteId, NotePatch, Order, PageSize, RequestId, TAGS_PER_OWNER_MAX, Title, View,
};

const NAME_RULE: &str = "must be `notes/` and a UUID in lower case with hyphens";
const UUID_RULE: &str = "must be a UUID in lower case with hyphens";
const ETAG_RULE: &str = "must be an etag that this service gave";

/// What an update can change; `*` stands for all of them.
const CHANGEABLE: [&str; 6] = ["title", "content", "pinned", "archived", "color", "tags"];
/// What an update may name and cannot change (AIP-203).
const OUTPUT_ONLY: [&str; 8] =
    ["name", "create_time", "update_time", "delete_time", "purge_time", "snippet", "content_bytes", "etag"];

pub(super) fn create_note(request: &wire::CreateNoteRequest) -> Result<CreateNote, Malformed> {
    let mut violations = Violations::default();
    let note = violations.required("note", request.note.as_ref());
    let fields = note.map(|note| patch(&mut violations, note, |_| true).into_fields());
    let id = violations.optional("note_id", &request.note_id, NoteId::parse, UUID_RULE);
    let request = violations.optional("request_id", &request.request_id, RequestId::parse, UUID_RULE);
    violations.unless_any(fields.map(|fields| CreateNote { id, fields, request }))
}

pub(super) fn get_note(request: &wire::GetNoteRequest) -> Result<(NoteId, View), Malformed> {
    let mut violations = Violations::default();
    let id = violations.name("name", &request.name);
    let view = violations.view(request.view, View::Full);
    violations.unless_any(id.zip(view))
}

pub(super) fn list_notes(request: wire::ListNotesRequest) -> Result<ListNotes, Malformed> {
    let mut violations = Violations::default();
    let size = violations.check("page_size", PageSize::parse(request.page_size).ok_or("must not be negative"));
    let view = violations.view(request.view, View::Basic);
    let filter = violations.filter("filter", request.filter.as_ref());
    let (size, view) = violations.unless_any(size.zip(view))?;
    let order = Order::parse(&request.order_by).ok_or(Malformed::OrderBy)?;
    Ok(ListNotes { order, show_deleted: request.show_deleted, filter, view, size, page_token: request.page_token })
}

pub(super) fn update_note(request: &wire::UpdateNoteRequest) -> Result<UpdateNote, Malformed> {
    let mut violations = Violations::default();
    let mask: Vec<_> = request.update_mask.iter().flat_map(|mask| &mask.paths).map(String::as_str).collect();
    if mask.iter().any(|path| *path != "*" && !CHANGEABLE.contains(path) && !OUTPUT_ONLY.contains(path)) {
        violations.add("update_mask", format!("must name only `*`, {}", CHANGEABLE.join(", ")));
    }
    let Some(note) = violations.required("note", request.note.as_ref()) else { return violations.unless_any(None) };
    let id = violations.name("note.name", &note.name);
    let etag = violations.optional("note.etag", &note.etag, Etag::parse, ETAG_RULE);
    // A conditional update is meant for a version that exists, and never makes a note.
    let makes = request.allow_missing && note.etag.is_empty();
    let otherwise = makes.then(|| patch(&mut violations, note, |_| true).into_fields());
    let patch = if mask.is_empty() {
        patch(&mut violations, note, |path| is_populated(note, path))
    } else {
        patch(&mut violations, note, |path| mask.iter().any(|named| *named == path || *named == "*"))
    };
    violations.unless_any(id.map(|id| UpdateNote { id, patch, etag, otherwise }))
}

pub(super) fn delete_note(request: &wire::DeleteNoteRequest) -> Result<DeleteNote, Malformed> {
    let mut violations = Violations::default();
    let id = violations.name("name", &request.name);
    let etag = violations.optional("etag", &request.etag, Etag::parse, ETAG_RULE);
    violations.unless_any(id.map(|id| DeleteNote { id, etag, allow_missing: request.allow_missing }))
}

pub(super) fn undelete_note(request: &wire::UndeleteNoteRequest) -> Result<NoteId, Malformed> {
    let mut violations = Violations::default();
    let id = violations.name("name", &request.name);
    violations.unless_any(id)
}

pub(super) fn expunge_note(request: &wire::ExpungeNoteRequest) -> Result<NoteId, Malformed> {
    let mut violations = Violations::default();
    let id = violations.name("name", &request.name);
    violations.unless_any(id)
}

/// A note as a write would leave it, without what only the write makes.
pub(super) fn validated(note: Note) -> wire::Note {
    wire::Note {
        create_time: None,
        update_time: None,
        delete_time: None,
        purge_time: None,
        etag: String::new(),
        ..note.into()
    }
}

/// A count of what an owner keeps.
pub(super) fn count(count: u64) -> i64 {
    i64::try_from(count).expect("quotas are far below 2^63")
}

/// The fields of `note` that are `named`.
fn patch(violations: &mut Violations, note: &wire::Note, named: impl Fn(&str) -> bool) -> NotePatch {
    let color = || Color::from_number(note.color).ok_or("must be a value of NoteColor");
    NotePatch {
        title: named("title").then(|| violations.check("note.title", Title::parse(&note.title))).flatten(),
        content: named("content").then(|| violations.check("note.content", Content::parse(&note.content))).flatten(),
        pinned: named("pinned").then_some(note.pinned),
        archived: named("archived").then_some(note.archived),
        color: named("color").then(|| violations.check("note.color", color())).flatten(),
        tags: named("tags").then(|| violations.tags("note.tags", &note.tags)).flatten(),
    }
}

/// Whether a field has another value than the one that it has when it is not sent (AIP-134).
fn is_populated(note: &wire::Note, path: &str) -> bool {
    match path {
        "title" => !note.title.is_empty(),
        "content" => !note.content.is_empty(),
        "pinned" => note.pinned,
        "archived" => note.archived,
        "color" => note.color != 0,
        "tags" => !note.tags.is_empty(),
        _ => false,
    }
}

impl From<Note> for wire::Note {
    fn from(note: Note) -> Self {
        Self {
            name: format!("notes/{}", note.id),
            title: note.title.into_string(),
            content: note.content.map(Content::into_string).unwrap_or_default(),
            pinned: note.pinned,
            archived: note.archived,
            color: note.color.number().into(),
            create_time: Some(note.create_time.into()),
            update_time: Some(note.update_time.into()),
            delete_time: note.trashed.map(|trashed| trashed.delete_time.into()),
            purge_time: note.trashed.map(|trashed| trashed.purge_time.into()),
            snippet: note.snippet.into_string(),
            content_bytes: i64::try_from(note.content_bytes).expect("a content is at most 1 MiB"),
            etag: note.etag.to_string(),
            tags: note.tags.into_iter().map(tag_name).collect(),
        }
    }
}

impl From<Usage> for wire::Usage {
    fn from(usage: Usage) -> Self {
        Self {
            name: "usage".to_owned(),
            note_count: count(usage.note_count),
            deleted_note_count: count(usage.deleted_note_count),
            bytes: count(usage.bytes),
            deleted_bytes: count(usage.deleted_bytes),
            note_limit: count(usage.quota.notes),
            byte_limit: count(usage.quota.bytes),
            revision_bytes: count(usage.revision_bytes),
            revision_byte_limit: count(usage.revision_byte_limit),
            tag_count: count(usage.tag_count),
            tag_limit: count(TAGS_PER_OWNER_MAX),
        }
    }
}

impl From<NotesPage> for wire::ListNotesResponse {
    fn from(page: NotesPage) -> Self {
        Self {
            notes: page.notes.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token,
            sync_token: page.sync_token,
        }
    }
}

/// The violations found so far. What could not be read is none.
#[derive(Default)]
struct Violations(Vec<FieldViolation>);

impl Violations {
    fn add(&mut self, field: &str, rule: impl Display) {
        let violation = FieldViolation { field: field.to_owned(), description: rule.to_string() };
        if !self.0.contains(&violation) {
            self.0.push(violation);
        }
    }

    fn check<T, E: Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|rule| self.add(field, rule)).ok()
    }

    fn required<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        self.check(field, value.ok_or("is required"))
    }

    /// Reads a text that may be left out.
    fn optional<T>(&mut self, field: &str, text: &str, parse: fn(&str) -> Option<T>, rule: &str) -> Option<T> {
        if text.is_empty() { None } else { self.check(field, parse(text).ok_or(rule)) }
    }

    fn name(&mut self, field: &str, name: &str) -> Option<NoteId> {
        self.check(field, name.strip_prefix("notes/").and_then(NoteId::parse).ok_or(NAME_RULE))
    }

    fn view(&mut self, view: i32, unspecified: View) -> Option<View> {
        let view = match wire::NoteView::try_from(view) {
            Ok(wire::NoteView::Unspecified) => Ok(unspecified),
            Ok(wire::NoteView::Basic) => Ok(View::Basic),
            Ok(wire::NoteView::Full) => Ok(View::Full),
            Err(_) => Err("must be a value of NoteView"),
        };
        self.check("view", view)
    }

    /// The value that was read, if nothing was wrong anywhere.
    fn unless_any<T>(self, value: Option<T>) -> Result<T, Malformed> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Malformed::Fields(self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::FieldMask;

    use super::*;
    use crate::domain::NoteFields;

    const NAME: &str = "notes/0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8d";

    pub(super) fn violations<T: std::fmt::Debug>(parsed: Result<T, Malformed>) -> Vec<String> {
        match parsed {
            Err(Malformed::Fields(violations)) => violations.into_iter().map(|violation| violation.field).collect(),
            other => panic!("no violations: {other:?}"),
        }
    }

    fn note() -> wire::Note {
        wire::Note { name: NAME.to_owned(), title: "Title".to_owned(), pinned: true, ..wire::Note::default() }
    }

    fn update(note: wire::Note, mask: &[&str]) -> wire::UpdateNoteRequest {
        let paths = mask.iter().map(|path| (*path).to_owned()).collect();
        wire::UpdateNoteRequest {
            note: Some(note),
            update_mask: Some(FieldMask { paths }),
            ..wire::UpdateNoteRequest::default()
        }
    }

    #[test]
    fn all_violations_of_a_request_are_told_at_once() {
        let bad = wire::Note {
            name: "notes/Nobody".to_owned(),
            title: "\0".to_owned(),
            content: "\0".to_owned(),
            color: 99,
            etag: "W/\"x\"".to_owned(),
            ..wire::Note::default()
        };
        let request = wire::CreateNoteRequest {
            note: Some(bad.clone()),
            note_id: "x".to_owned(),
            request_id: "y".to_owned(),
            validate_only: false,
        };
        let expected = ["note.title", "note.content", "note.color", "note_id", "request_id"];
        assert_eq!(violations(create_note(&request)), expected);
        let expected = ["update_mask", "note.name", "note.etag", "note.title", "note.content", "note.color"];
        assert_eq!(violations(update_note(&update(bad.clone(), &["*", "owner"]))), expected);
        let mut upsert = update(bad, &["*"]);
        upsert.allow_missing = true;
        assert_eq!(violations(update_note(&upsert)), expected[1..]);
        assert_eq!(violations(create_note(&wire::CreateNoteRequest::default())), ["note"]);
        assert_eq!(violations(update_note(&wire::UpdateNoteRequest::default())), ["note"]);
        assert_eq!(violations(get_note(&wire::GetNoteRequest { name: String::new(), view: 7 })), ["name", "view"]);
        let list = wire::ListNotesRequest { page_size: -1, view: -1, ..wire::ListNotesRequest::default() };
        assert_eq!(violations(list_notes(list)), ["page_size", "view"]);
    }

    #[test]
    fn a_violation_tells_the_rule_and_not_the_value() {
        let request = wire::CreateNoteRequest { note_id: "CANARY".to_owned(), ..wire::CreateNoteRequest::default() };
        let told = format!("{:?} {:?}", create_note(&request), update_note(&update(note(), &["CANARY"])));
        assert!(!told.contains("CANARY"), "{told}");
    }

    #[test]
    fn output_only_fields_of_a_new_note_are_ignored() {
        let sent = wire::Note {
            etag: "rubbish".to_owned(),
            name: "rubbish".to_owned(),
            create_time: Some(prost_types::Timestamp { seconds: i64::MIN, nanos: i32::MIN }),
            content_bytes: -1,
            ..note()
        };
        let request = wire::CreateNoteRequest { note: Some(sent), ..wire::CreateNoteRequest::default() };
        let fields = create_note(&request).expect("it is well-formed").fields;
        assert_eq!((fields.title.as_str(), fields.pinned), ("Title", true));
    }

    #[track_caller]
    fn check_mask(mask: &[&str], expected: &[&str]) {
        let patch = update_note(&update(note(), mask)).expect("it is well-formed").patch;
        let changed = [
            ("title", patch.title.is_some()),
            ("content", patch.content.is_some()),
            ("pinned", patch.pinned.is_some()),
            ("archived", patch.archived.is_some()),
            ("color", patch.color.is_some()),
            ("tags", patch.tags.is_some()),
        ];
        let changed: Vec<_> = changed.into_iter().filter_map(|(path, named)| named.then_some(path)).collect();
        assert_eq!(changed, expected);
    }

    #[test]
    fn a_mask_chooses_what_is_changed() {
        check_mask(&["content"], &["content"]);
        check_mask(&["content", "color", "content"], &["content", "color"]);
        check_mask(&[], &["title", "pinned"]);
        check_mask(&["*"], &CHANGEABLE);
        check_mask(&OUTPUT_ONLY, &[]);
        check_mask(&["update_time", "archived"], &["archived"]);
    }

    #[test]
    fn a_path_that_is_no_field_to_change_is_refused() {
        for path in ["", "owner", "Title", "note.title", "title.x", "content.", "tag", "tags.x", "**", "rev"] {
            assert_eq!(violations(update_note(&update(note(), &["title", path]))), ["update_mask"], "{path}");
        }
    }

    #[test]
    fn what_the_mask_does_not_name_is_not_looked_at() {
        let sent = wire::Note { title: "\0".to_owned(), ..note() };
        update_note(&update(sent.clone(), &["pinned"])).expect("the title is not named");
        assert_eq!(violations(update_note(&update(sent, &["title"]))), ["note.title"]);
    }

    #[test]
    fn a_conditional_update_never_makes_a_note() {
        let etag = Etag::first(&NoteFields::default()).to_string();
        let mut request = update(note(), &["content"]);
        request.allow_missing = true;
        let otherwise = update_note(&request).expect("well-formed").otherwise.expect("it makes one");
        assert_eq!(otherwise.title.as_str(), "Title", "the mask does not matter then (AIP-134)");
        request.note = Some(wire::Note { etag, ..note() });
        assert_eq!(update_note(&request).expect("well-formed").otherwise, None);
    }

    #[test]
    fn a_name_has_one_spelling() {
        let parse = |name: &str| get_note(&wire::GetNoteRequest { name: name.to_owned(), view: 0 });
        assert!(parse(NAME).is_ok());
        for bad in [
            NAME.to_uppercase(),
            NAME.replace("notes/", ""),
            format!("{NAME}/"),
            format!("/{NAME}"),
            NAME.replace('-', ""),
        ] {
            assert_eq!(violations(parse(&bad)), ["name"], "{bad}");
        }
    }

    #[test]
    fn views_default_by_method() {
        let name = NAME.to_owned();
        assert_eq!(get_note(&wire::GetNoteRequest { name, view: 0 }).expect("well-formed").1, View::Full);
        assert_eq!(list_notes(wire::ListNotesRequest::default()).expect("well-formed").view, View::Basic);
    }

    #[test]
    fn an_unknown_order_has_a_reason_of_its_own() {
        let request = wire::ListNotesRequest { order_by: "owner_id".to_owned(), ..wire::ListNotesRequest::default() };
        assert_eq!(list_notes(request), Err(Malformed::OrderBy));
    }
}
