use std::sync::Arc;

use super::*;
use crate::domain::View;

/// What one writer believes of its notes.
async fn write_at_random(fixture: &Fixture, owner: Subject, seed: u64) -> Vec<Note> {
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
