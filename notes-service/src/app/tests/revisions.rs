use super::*;
use crate::domain::RevisionId;

fn with_revision_bytes(service: &Service, bytes: u64) -> App {
    let revisions = RevisionPolicy { bytes, ..LIMITS.revisions };
    App { limits: Limits { revisions, ..LIMITS }, ..service.app.clone() }
}

#[tokio::test]
async fn at_the_limit_of_revisions_only_a_shorter_text_takes_the_place_of_another() {
    let service = Service::start().await;
    let alice = somebody();
    let note = service.create(alice, "0123456789").await;
    let full = with_revision_bytes(&service, 19);
    full.update_note(by(alice), update(note.id, "9876543210")).await.expect("ten bytes of revisions");
    let refused = full.update_note(by(alice), update(note.id, "the same length")).await;
    assert_refused!(refused, Error::RevisionByteQuota(19));
    let refused = full.roll_back_note(by(alice), roll_back(note.id, 1)).await;
    assert_refused!(refused, Error::RevisionByteQuota(19));
    assert_eq!(service.find(alice, note.id).await.expect("it is there").etag.revision, 2, "nothing was changed");

    let pin = NotePatch { pinned: Some(true), ..NotePatch::default() };
    full.update_note(by(alice), UpdateNote { patch: pin, ..update(note.id, "") }).await.expect("no text is replaced");
    full.update_note(by(alice), update(note.id, "shorter")).await.expect("shrinking is allowed");
    let usage = full.get_usage(alice).await.expect("usage");
    assert_eq!((usage.revision_bytes, usage.revision_byte_limit), (20, 19));
    service.delete(alice, note.id).await.expect("deleting is allowed");
    full.expunge_note(alice, note.id).await.expect("and frees them");
    assert_eq!(full.get_usage(alice).await.expect("usage").revision_bytes, 0);
}

fn roll_back(id: NoteId, revision: i64) -> RollBackNote {
    RollBackNote { id, revision: RevisionId::from_number(revision).expect("a revision"), etag: None }
}

#[tokio::test]
async fn a_rollback_to_what_is_there_changes_nothing() {
    let service = Service::start().await;
    let alice = somebody();
    let note = service.create(alice, "one").await;
    service.app.update_note(by(alice), update(note.id, "two")).await.expect("updated");
    let back = service.app.roll_back_note(by(alice), roll_back(note.id, 1)).await.expect("rolled back");
    let again = service.app.roll_back_note(by(alice), roll_back(note.id, 1)).await.expect("nothing to do");
    assert_eq!((back.etag.revision, &back), (3, &again));
    let list = ListRevisions {
        note: note.id,
        view: View::Basic,
        size: PageSize::parse(0).unwrap(),
        page_token: String::new(),
    };
    let page = service.app.list_revisions(alice, list).await.expect("a page");
    assert_eq!(page.revisions.len(), 2, "neither does it keep anything");
}
