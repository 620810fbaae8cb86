use std::sync::Arc;

use super::super::{TagChanged, TagDeleted};
use super::tags::{tagged, tags};
use super::*;
use crate::domain::View;

/// What one writer believes of its notes.
pub(super) async fn write_at_random(fixture: &Fixture, owner: Subject, seed: u64) -> Vec<Note> {
    let (mut notes, mut dice): (Vec<Note>, _) = (Vec::new(), Dice::new(seed));
    for step in 0..60 {
        if notes.is_empty() || dice.roll(3) == 0 {
            notes.push(fixture.create(owner, written(&"x".repeat(dice.roll(50)))).await);
            continue;
        }
        let index = dice.roll(notes.len());
        let (id, trashed) = (notes[index].id, notes[index].trashed.is_some());
        notes[index] = match (dice.roll(3), trashed) {
            (0, false) => done(fixture.trash(owner, id).await),
            (0, true) => done(fixture.restore(owner, id).await),
            (_, false) => {
                done(fixture.update(owner, id, content(&format!("{step}{}", "y".repeat(dice.roll(80)))), None).await)
            }
            (_, true) => {
                assert_eq!(refused(fixture.update(owner, id, content("no"), None).await), Refusal::InTrash);
                continue;
            }
        };
    }
    notes
}

#[tokio::test]
async fn counters_equal_a_recount_and_changes_have_no_gap_after_concurrent_writers() {
    let fixture = Arc::new(Fixture::fresh().await);
    let owners = [somebody(), somebody()];
    let writers: Vec<_> = (1..=6_u64)
        .map(|seed| {
            let (fixture, owner) = (Arc::clone(&fixture), owners[usize::try_from(seed % 2).unwrap()]);
            tokio::spawn(async move { (owner, write_at_random(&fixture, owner, seed).await) })
        })
        .collect();
    let mut believed: BTreeMap<Subject, Vec<Note>> = BTreeMap::new();
    for writer in writers {
        let (owner, notes) = writer.await.expect("no panic");
        believed.entry(owner).or_default().extend(notes);
    }
    for (owner, notes) in believed {
        let state = fixture.state(owner).await.expect("the owner wrote");
        let bytes: u64 = notes.iter().map(Note::bytes).sum();
        let trashed = notes.iter().filter(|note| note.trashed.is_some()).count();
        assert_eq!(state.note_count, i64::try_from(notes.len()).unwrap());
        assert_eq!(state.deleted_note_count, i64::try_from(trashed).unwrap());
        assert_eq!(state.bytes, i64::try_from(bytes).unwrap());

        let changes: i64 = notes.iter().map(|note| note.etag.revision).sum();
        assert_eq!(state.change_seq, changes, "one number per change, none left out");
        let seqs = fixture.change_seqs(owner).await;
        let mut by_time = notes.clone();
        by_time.sort_by_key(|note| note.update_time);
        let in_order: Vec<_> = by_time.iter().map(|note| seqs[&note.id]).collect();
        assert!(in_order.windows(2).all(|pair| pair[0] < pair[1]), "changes are numbered in the order of their times");
        for note in notes {
            assert_eq!(fixture.repository.for_owner(owner).find(note.id, View::Full).await.unwrap(), Some(note));
        }
    }
}

/// Writes, expunges, empties the trash and purges, while others of the same owner do. Returns its live notes, and the ids
/// of all notes that it made.
pub(super) async fn make_and_remove_at_random(
    fixture: &Fixture,
    owner: Subject,
    seed: u64,
) -> (Vec<Note>, Vec<NoteId>) {
    let (mut notes, mut made, mut dice): (Vec<Note>, Vec<NoteId>, _) = (Vec::new(), Vec::new(), Dice::new(seed));
    for step in 0..80 {
        if notes.is_empty() || dice.roll(3) == 0 {
            let note = fixture.create(owner, written(&"x".repeat(dice.roll(50)))).await;
            made.push(note.id);
            notes.push(note);
            continue;
        }
        match dice.roll(20) {
            0 => drop(fixture.empty_trash(owner).await),
            1 => drop(fixture.purge(Duration::ZERO, 3).await),
            2 => {
                let batch = fixture.create_together(owner, vec![written("together"), written("with another")]).await;
                made.extend(batch.iter().map(|note| note.id));
                notes.extend(batch);
            }
            3 => {
                // All or none: somebody may have emptied the trash, or the note is in it.
                let ids: Vec<_> = notes.iter().take(3).map(|note| note.id).collect();
                if let Some(changed) = fixture.trash_together(owner, ids).await {
                    notes.splice(..changed.len(), changed);
                }
            }
            _ => {}
        }
        let note = notes.swap_remove(dice.roll(notes.len()));
        let changed = match (note.trashed.is_some(), dice.roll(4)) {
            (true, 0) => fixture.expunge(owner, note.id).await,
            (true, _) => fixture.restore(owner, note.id).await,
            (false, 0 | 1) => fixture.trash(owner, note.id).await,
            (false, _) => fixture.update(owner, note.id, content(&format!("{step}")), None).await,
        };
        match changed {
            // It was in the trash when somebody emptied that, or is expunged.
            Changed::Missing => assert!(note.trashed.is_some(), "a live note is lost"),
            Changed::Done(after)
                if fixture.repository.for_owner(owner).find(after.id, View::Basic).await.unwrap().is_none() =>
            {
                assert!(after.trashed.is_some(), "a live note is lost");
            }
            Changed::Done(after) => notes.push(after),
            Changed::Refused(refusal) => panic!("{refusal:?}"),
        }
    }
    (notes.into_iter().filter(|note| note.trashed.is_none()).collect(), made)
}

/// Makes tags and renames them, gives them to notes, and deletes them to make others of the same names, while others of the
/// same owner write.
pub(super) async fn tag_at_random(fixture: &Fixture, owner: Subject, seed: u64) {
    let (mut known, mut notes, mut dice) = (Vec::new(), Vec::new(), Dice::new(seed));
    for step in 0..60 {
        let name = format!("{seed} {step}");
        let some: Vec<_> = known.iter().map(|(id, _)| *id).filter(|_| dice.roll(3) == 0).collect();
        match dice.roll(6) {
            0 if !known.is_empty() => {
                let index = dice.roll(known.len());
                assert!(matches!(fixture.rename(owner, known[index].0, &name).await, TagChanged::Done(_)));
                known[index].1 = name;
            }
            1 if !known.is_empty() => {
                let (id, name) = known.swap_remove(dice.roll(known.len()));
                while let TagDeleted::More = fixture.delete_tag(owner, id).await {}
                known.push((fixture.tag(owner, &name).await.id, name));
            }
            2 | 3 => notes.push(fixture.create(owner, tagged(&some)).await.id),
            4 if !notes.is_empty() => {
                done(fixture.update(owner, notes[dice.roll(notes.len())], tags(&some), None).await);
            }
            _ => known.push((fixture.tag(owner, &name).await.id, name)),
        }
    }
}

#[tokio::test]
async fn counters_equal_a_recount_after_concurrent_writers_who_remove_for_good() {
    let fixture = Arc::new(Fixture::fresh().await);
    let owners = [somebody(), somebody()];
    let writers = (1..=6_u64).map(|seed| {
        let (fixture, owner) = (Arc::clone(&fixture), owners[usize::try_from(seed % 2).unwrap()]);
        tokio::spawn(async move { (owner, make_and_remove_at_random(&fixture, owner, seed).await) })
    });
    let mut kept: BTreeMap<Subject, (Vec<Note>, Vec<NoteId>)> = BTreeMap::new();
    for writer in futures_util::future::join_all(writers).await {
        let (owner, (live, made)) = writer.expect("no panic");
        let kept = kept.entry(owner).or_default();
        kept.0.extend(live);
        kept.1.extend(made);
    }
    fixture.purge(Duration::ZERO, 3).await;

    let mut gone = 0;
    for (owner, (live, made)) in &kept {
        let mut left = Vec::new();
        for id in made {
            left.extend(fixture.repository.for_owner(*owner).find(*id, View::Full).await.unwrap());
        }
        for note in live {
            assert!(left.contains(note), "a live note is as its writer left it");
        }
        assert_eq!(live.len(), left.iter().filter(|note| note.trashed.is_none()).count());
        fixture.check_counters(*owner, &left.iter().collect::<Vec<_>>()).await;
        let seqs = fixture.change_seqs(*owner).await;
        assert_eq!(seqs.len(), left.len(), "no row is left of what is gone");
        let distinct: std::collections::BTreeSet<_> = seqs.values().collect();
        assert_eq!(distinct.len(), seqs.len(), "no two changes have one number");
        gone += made.len() - left.len();
    }
    assert!(gone > 0, "the dice removed something");
    assert_eq!(fixture.count::<tombstone::Entity>().await, u64::try_from(gone).unwrap(), "each leaves one tombstone");
    assert_eq!(fixture.count::<note_body::Entity>().await, fixture.count::<note::Entity>().await);
}
