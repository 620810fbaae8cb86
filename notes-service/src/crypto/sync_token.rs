use std::sync::Arc;

use authn::Subject;

use super::TokenKeys;
use crate::domain::SyncPoint;

/// The first byte of what is sealed; another layout gets another number.
const VERSION: u8 = 1;
const CONTENT_BYTES: usize = 33;

/// Makes sync tokens and reads them back.
///
/// A token holds how far a copy of the caller's notes has come, sealed by [`TokenKeys`]: nobody can alter it, use it as
/// somebody else, or in place of a page token. It is no authority: whose changes are read is the access token's matter
/// alone.
#[derive(Debug)]
pub struct SyncTokens {
    keys: Arc<TokenKeys>,
    store_epoch: u64,
}

/// What a sync token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// How far the copy has come.
    Point(SyncPoint),
    /// It is of a life of the store before a backup was brought back.
    OtherEpoch,
}

impl SyncTokens {
    /// Tokens under these keys, for the life of the store that has this number.
    #[must_use]
    pub const fn new(keys: Arc<TokenKeys>, store_epoch: u64) -> Self {
        Self { keys, store_epoch }
    }

    /// The token of a copy of the notes of `owner` that has come to `point`.
    #[must_use]
    pub fn seal(&self, owner: Subject, point: SyncPoint) -> String {
        let mut content = Vec::with_capacity(CONTENT_BYTES);
        content.push(VERSION);
        content.extend(self.store_epoch.to_be_bytes());
        for number in [point.epoch, point.change_seq, point.begun_at] {
            content.extend(number.to_be_bytes());
        }
        self.keys.seal(&bound_to(owner), content)
    }

    /// What a token says that was sealed for this owner; none of any other.
    #[must_use]
    pub fn open(&self, token: &str, owner: Subject) -> Option<Opened> {
        let content: [u8; CONTENT_BYTES] = self.keys.open(&bound_to(owner), token)?.try_into().ok()?;
        let (&[VERSION], numbers) = content.split_first_chunk()? else { return None };
        let (numbers, []) = numbers.as_chunks::<8>() else { return None };
        let &[store_epoch, epoch, change_seq, begun_at] = numbers else { return None };
        if u64::from_be_bytes(store_epoch) != self.store_epoch {
            return Some(Opened::OtherEpoch);
        }
        let [epoch, change_seq, begun_at] = [epoch, change_seq, begun_at].map(i64::from_be_bytes);
        Some(Opened::Point(SyncPoint { epoch, change_seq, begun_at }))
    }
}

/// What a token is good for: to go on following the changes of this owner, by whichever method.
fn bound_to(owner: Subject) -> Vec<u8> {
    [b"notes.v1.NotesService sync".as_slice(), owner.as_uuid().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::crypto::PageTokens;
    use crate::domain::{NoteId, Order, Position, SortValue};
    use crate::testing::list_in;

    const POINT: SyncPoint = SyncPoint { epoch: 1_764_000_000_000_000, change_seq: 17, begun_at: 12 };

    fn keys() -> Arc<TokenKeys> {
        Arc::new(TokenKeys::new(b"secret", []))
    }

    #[test]
    fn a_token_gives_back_its_point_to_its_owner_only() {
        let (tokens, alice, bob) = (SyncTokens::new(keys(), 1), crate::testing::somebody(), crate::testing::somebody());
        let token = tokens.seal(alice, POINT);
        assert!(token.len() <= 128, "{}", token.len());
        assert_eq!(tokens.open(&token, alice), Some(Opened::Point(POINT)));
        assert_eq!(tokens.open(&token, bob), None);
        assert_ne!(token, tokens.seal(alice, POINT), "the same point twice is not the same token");
    }

    #[test]
    fn a_token_of_another_life_of_the_store_is_told_from_an_altered_one() {
        let (keys, alice) = (keys(), crate::testing::somebody());
        let token = SyncTokens::new(Arc::clone(&keys), 1).seal(alice, POINT);
        assert_eq!(SyncTokens::new(keys, 2).open(&token, alice), Some(Opened::OtherEpoch));
    }

    #[test]
    fn no_altered_token_is_opened() {
        let (tokens, alice) = (SyncTokens::new(keys(), 1), crate::testing::somebody());
        let bytes = URL_SAFE_NO_PAD.decode(tokens.seal(alice, POINT)).unwrap();
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[index] ^= 1 << bit;
                assert_eq!(tokens.open(&URL_SAFE_NO_PAD.encode(altered), alice), None, "byte {index} bit {bit}");
            }
            assert_eq!(tokens.open(&URL_SAFE_NO_PAD.encode(&bytes[..index]), alice), None, "cut to {index}");
        }
        for rubbish in ["", "AAAA", "🦀", &"A".repeat(4_000_000)] {
            assert_eq!(tokens.open(rubbish, alice), None);
        }
    }

    #[test]
    fn a_page_token_is_no_sync_token_and_a_sync_token_no_page_token() {
        let (keys, alice, list) = (keys(), crate::testing::somebody(), list_in(Order::ALL[0].1));
        let (now, sync) = (SystemTime::UNIX_EPOCH, SyncTokens::new(Arc::clone(&keys), 1));
        let pages = PageTokens::new(keys, Duration::from_secs(60));
        let position = Position { value: SortValue::Time(now), id: NoteId::from_uuid(uuid::Uuid::nil()) };
        let page = pages.seal(alice, &list, &position, now);
        assert!(pages.open(&page, alice, &list, now).is_some());
        assert_eq!(sync.open(&page, alice), None);
        assert!(pages.open(&sync.seal(alice, POINT), alice, &list, now).is_none());
    }
}
