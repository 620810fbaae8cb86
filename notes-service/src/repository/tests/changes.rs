use std::sync::Arc;

use futures_util::future::join_all;

use super::*;
use crate::domain::View;

#[tokio::test]
async fn of_many_updates_with_one_etag_exactly_one_wins() {
    let fixture = Arc::new(Fixture::fresh().await);
    let alice = somebody();
    let note = fixture.create(alice, written("first")).await;
    let updates = (0..20).map(|index| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(
            async move { fixture.update(alice, note.id, content(&format!("text {index}")), Some(note.etag)).await },
        )
    });
    let mut winners = Vec::new();
    for changed in join_all(updates).await {
        match changed.expect("no panic") {
            Changed::Done(note) => winners.push(note),
            other => assert_eq!(refused(other), Refusal::EtagMismatch),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(fixture.repository.for_owner(alice).find(note.id, View::Full).await.unwrap(), winners.pop());
    assert_eq!(fixture.state(alice).await.expect("alice wrote").change_seq, 2);
}

#[tokio::test]
async fn blind_updates_all_succeed_one_after_the_other() {
    let fixture = Arc::new(Fixture::fresh().await);
    let alice = somebody();
    let note = fixture.create(alice, written("")).await;
    let updates = (1..=20).map(|length| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move { done(fixture.update(alice, note.id, content(&"x".repeat(length)), None).await) })
    });
    let mut versions: Vec<_> = join_all(updates).await.into_iter().map(|note| note.expect("no panic")).collect();
    versions.sort_by_key(|note| note.etag.revision);
    assert_eq!(versions.iter().map(|note| note.etag.revision).collect::<Vec<_>>(), (2..=21).collect::<Vec<_>>());
    assert!(versions.windows(2).all(|pair| pair[0].update_time < pair[1].update_time));
    let last = fixture.repository.for_owner(alice).find(note.id, View::Full).await.unwrap().expect("it is there");
    let state = fixture.state(alice).await.expect("alice wrote");
    assert_eq!((state.change_seq, state.bytes), (21, last.bytes().try_into().expect("few bytes")));
    assert_eq!(Some(&last), versions.last());
}

#[tokio::test]
async fn an_update_without_a_change_leaves_everything_as_it_was() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let note = fixture.create(alice, written("text")).await;
    assert_eq!(done(fixture.update(alice, note.id, content("text"), Some(note.etag)).await), note);
    assert_eq!(fixture.state(alice).await.expect("alice wrote").change_seq, 1);
    assert_ne!(done(fixture.update(alice, note.id, content("other"), Some(note.etag)).await).etag, note.etag);
}

#[tokio::test]
async fn an_update_of_every_field_is_stored_and_listed() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let note = fixture.create(alice, written("text")).await;
    let patch = NotePatch {
        title: Some(Title::parse("Title").unwrap()),
        content: Some(Content::parse(&"😀".repeat(300)).unwrap()),
        pinned: Some(true),
        archived: Some(true),
        color: crate::domain::Color::from_number(2),
        tags: Some(vec![fixture.tag(alice, "tag").await.id]),
    };
    let updated = done(fixture.update(alice, note.id, patch, None).await);
    assert_eq!(updated.create_time, note.create_time);
    let found = fixture.repository.for_owner(alice).find(note.id, View::Full).await.unwrap();
    assert_eq!(found.as_ref(), Some(&updated));
    assert_eq!((updated.content_bytes, updated.snippet.as_str()), (1_200, "😀".repeat(200).as_str()));
}

#[tokio::test]
async fn a_note_goes_to_the_trash_once_and_comes_back_once() {
    let fixture = Fixture::fresh().await;
    let alice = somebody();
    let note = fixture.create(alice, written("text")).await;
    assert_eq!(refused(fixture.restore(alice, note.id).await), Refusal::Live);

    let trashed = done(fixture.trash(alice, note.id).await);
    let times = trashed.trashed.expect("it is in the trash");
    assert_eq!(times.purge_time, times.delete_time + RETENTION);
    assert_eq!(fixture.repository.for_owner(alice).find(note.id, View::Full).await.unwrap(), Some(trashed));
    assert_eq!(refused(fixture.trash(alice, note.id).await), Refusal::InTrash);
    assert_eq!(refused(fixture.update(alice, note.id, content("x"), None).await), Refusal::InTrash);

    let back = done(fixture.restore(alice, note.id).await);
    assert_eq!((back.trashed, back.content), (None, note.content));
    let state = fixture.state(alice).await.expect("alice wrote");
    assert_eq!((state.note_count, state.deleted_note_count, state.change_seq), (1, 0, 3));
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_missing_and_stays_as_it_is() {
    let fixture = Fixture::fresh().await;
    let (alice, bob) = (somebody(), somebody());
    let note = fixture.create(alice, written("text")).await;
    fixture.create(bob, written("")).await;
    for stranger in [bob, somebody()] {
        assert!(matches!(fixture.update(stranger, note.id, content("x"), None).await, Changed::Missing));
        assert!(matches!(fixture.trash(stranger, note.id).await, Changed::Missing));
        assert!(matches!(fixture.restore(stranger, note.id).await, Changed::Missing));
    }
    assert_eq!(fixture.repository.for_owner(alice).find(note.id, View::Full).await.unwrap(), Some(note));
}
