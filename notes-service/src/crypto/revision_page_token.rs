use std::time::SystemTime;

use authn::Subject;

use super::PageTokens;
use crate::domain::{NoteId, RevisionId};

/// Tokens of lists of revisions; beside the owner they are bound to the note.
impl PageTokens {
    /// The token for a page of the revisions of a note that begins before `place`.
    #[must_use]
    pub fn seal_revisions(&self, owner: Subject, note: NoteId, place: RevisionId, now: SystemTime) -> String {
        self.seal_place(&bound_to(owner, note), &place.number().to_be_bytes(), now)
    }

    /// The place in a token that was sealed for the same note; none if it was not, or too long ago.
    #[must_use]
    pub fn open_revisions(&self, token: &str, owner: Subject, note: NoteId, now: SystemTime) -> Option<RevisionId> {
        let place = self.open_place(token, &bound_to(owner, note), now)?;
        RevisionId::from_number(i64::from_be_bytes(place.try_into().ok()?))
    }
}

fn bound_to(owner: Subject, note: NoteId) -> Vec<u8> {
    let method = b"notes.v1.NotesService/ListNoteRevisions".as_slice();
    [method, owner.as_uuid().as_bytes(), note.as_uuid().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use uuid::Uuid;

    use super::super::TokenKeys;
    use super::*;
    use crate::domain::{Order, Position, SortValue};
    use crate::testing::{list_in, somebody};

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn tokens() -> PageTokens {
        PageTokens::new(Arc::new(TokenKeys::new(b"secret", [])), Duration::from_secs(60))
    }

    #[test]
    fn a_token_is_good_for_the_revisions_of_one_note_of_one_owner() {
        let (tokens, alice, bob) = (tokens(), somebody(), somebody());
        let [note, other] = [1, 2].map(|number| NoteId::from_uuid(Uuid::from_u128(number)));
        let place = RevisionId::from_number(7).unwrap();
        let token = tokens.seal_revisions(alice, note, place, NOW);
        assert_eq!(tokens.open_revisions(&token, alice, note, NOW), Some(place));
        assert_eq!(tokens.open_revisions(&token, bob, note, NOW), None);
        assert_eq!(tokens.open_revisions(&token, alice, other, NOW), None);
        assert_eq!(tokens.open_revisions(&token, alice, note, NOW + Duration::from_secs(61)), None);
    }

    #[test]
    fn a_token_of_one_method_is_none_of_another() {
        let (tokens, alice, note) = (tokens(), somebody(), NoteId::from_uuid(Uuid::nil()));
        let list = list_in(Order::ALL[0].1);
        let token = tokens.seal_revisions(alice, note, RevisionId::from_number(7).unwrap(), NOW);
        assert_eq!(tokens.open(&token, alice, &list, NOW), None);
        let token = tokens.seal(alice, &list, &Position { value: SortValue::Time(NOW), id: note }, NOW);
        assert_eq!(tokens.open_revisions(&token, alice, note, NOW), None);
    }
}
