use proto::notes::v1 as wire;

use super::{ETAG_RULE, Malformed, Violations};
use crate::app::{ListRevisions, RevisionsPage, RollBackNote};
use crate::domain::{
    Etag, NoteId, PageSize, REVISION_PAGE_SIZE_DEFAULT, REVISION_PAGE_SIZE_MAX, Revision, RevisionId, View,
};

const NAME_RULE: &str = "must be `notes/`, a UUID in lower case with hyphens, `/revisions/` and a number";
const NUMBER_RULE: &str = "must be a decimal number from 1";

pub(in crate::rpc) fn list_note_revisions(request: wire::ListNoteRevisionsRequest) -> Result<ListRevisions, Malformed> {
    let mut violations = Violations::default();
    let note = violations.name("parent", &request.parent);
    let size = PageSize::bounded(request.page_size, REVISION_PAGE_SIZE_DEFAULT, REVISION_PAGE_SIZE_MAX);
    let size = violations.check("page_size", size.ok_or("must not be negative"));
    let view = violations.view(request.view, View::Basic);
    let list = note.zip(size).zip(view);
    violations.unless_any(list.map(|((note, size), view)| ListRevisions {
        note,
        view,
        size,
        page_token: request.page_token,
    }))
}

pub(in crate::rpc) fn get_note_revision(
    request: &wire::GetNoteRevisionRequest,
) -> Result<(NoteId, RevisionId), Malformed> {
    let mut violations = Violations::default();
    let name = violations.check("name", parse_name(&request.name).ok_or(NAME_RULE));
    violations.unless_any(name)
}

pub(in crate::rpc) fn rollback_note(request: &wire::RollbackNoteRequest) -> Result<RollBackNote, Malformed> {
    let mut violations = Violations::default();
    let id = violations.name("name", &request.name);
    let revision = violations.check("revision_id", RevisionId::parse(&request.revision_id).ok_or(NUMBER_RULE));
    let etag = violations.optional("etag", &request.etag, Etag::parse, ETAG_RULE);
    violations.unless_any(id.zip(revision).map(|(id, revision)| RollBackNote { id, revision, etag }))
}

fn parse_name(name: &str) -> Option<(NoteId, RevisionId)> {
    let (note, revision) = name.strip_prefix("notes/")?.split_once("/revisions/")?;
    NoteId::parse(note).zip(RevisionId::parse(revision))
}

impl From<Revision> for wire::NoteRevision {
    fn from(Revision { snapshot, create_time, reason }: Revision) -> Self {
        Self {
            name: format!("notes/{}/revisions/{}", snapshot.id, snapshot.etag.revision),
            snapshot: Some(snapshot.into()),
            create_time: Some(create_time.into()),
            reason: reason.number().into(),
        }
    }
}

impl From<RevisionsPage> for wire::ListNoteRevisionsResponse {
    fn from(page: RevisionsPage) -> Self {
        Self { revisions: page.revisions.into_iter().map(Into::into).collect(), next_page_token: page.next_page_token }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::violations;
    use super::*;

    const NOTE: &str = "notes/0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8d";

    #[test]
    fn a_revision_has_one_name() {
        let get = |name: &str| get_note_revision(&wire::GetNoteRevisionRequest { name: name.to_owned() });
        assert!(get(&format!("{NOTE}/revisions/17")).is_ok());
        for bad in [
            "",
            NOTE,
            "/revisions/1",
            "notes//revisions/1",
            "notes/1/revisions/1",
            &format!("{NOTE}/revisions"),
            &format!("{NOTE}/revisions/"),
            &format!("{NOTE}/revisions/0"),
            &format!("{NOTE}/revisions/01"),
            &format!("{NOTE}/revisions/1/"),
            &format!("{NOTE}/revisions/1/revisions/1"),
            &format!("{NOTE}/revisions/9223372036854775808"),
            &format!("/{NOTE}/revisions/1"),
            &format!("{}/revisions/1", NOTE.to_uppercase()),
        ] {
            assert_eq!(violations(get(bad)), ["name"], "{bad}");
        }
    }

    #[test]
    fn a_page_of_revisions_has_at_most_two_hundred() {
        let list = |page_size| {
            let request = wire::ListNoteRevisionsRequest { parent: NOTE.to_owned(), page_size, ..Default::default() };
            list_note_revisions(request).map(|list| list.size.get())
        };
        for (sent, meant) in [(0, 50), (1, 1), (200, 200), (201, 200), (i32::MAX, 200)] {
            assert_eq!(list(sent).expect("good"), meant, "{sent}");
        }
        assert_eq!(violations(list(-1)), ["page_size"]);
    }

    #[test]
    fn all_violations_of_a_request_are_told_at_once() {
        let request = wire::ListNoteRevisionsRequest { page_size: -1, view: 9, ..Default::default() };
        assert_eq!(violations(list_note_revisions(request)), ["parent", "page_size", "view"]);
        let request = wire::RollbackNoteRequest { etag: "x".to_owned(), ..Default::default() };
        assert_eq!(violations(rollback_note(&request)), ["name", "revision_id", "etag"]);
    }
}
