use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authn::Subject;
use runtime::database::{from_micros, to_micros};
use uuid::Uuid;

use super::TokenKeys;
use crate::domain::{NoteFilter, NoteId, PageQuery, Position, SortField, SortValue, TITLE_KEY_BYTES_MAX, TitleKey};

/// The first byte of what is sealed; another layout gets another number.
const VERSION: u8 = 1;

/// Makes page tokens and reads them back.
///
/// A token holds the place where its page begins, sealed by [`TokenKeys`]: nobody can read it (a place may hold the
/// beginning of a title), and nobody can alter it, use it as somebody else, with another method, order, filter or
/// `show_deleted`, or after its lifetime. It is no authority: whose notes are read is the access token's matter alone.
/// Source: AIP-158.
#[derive(Debug)]
pub struct PageTokens {
    keys: Arc<TokenKeys>,
    lifetime: Duration,
}

impl PageTokens {
    /// Tokens under these keys.
    #[must_use]
    pub const fn new(keys: Arc<TokenKeys>, lifetime: Duration) -> Self {
        Self { keys, lifetime }
    }

    /// The token for a page of the list of `query` that begins after `position`.
    #[must_use]
    pub fn seal(&self, owner: Subject, query: &PageQuery, position: &Position, now: SystemTime) -> String {
        self.seal_place(&bound_to(owner, query), &encode(position), now)
    }

    /// Seals the place where a page begins; what it is `bound_to` is not part of the token.
    pub(super) fn seal_place(&self, bound_to: &[u8], place: &[u8], now: SystemTime) -> String {
        self.keys.seal(bound_to, [&[VERSION], &to_micros(now).to_be_bytes()[..], place].concat())
    }

    /// The position in a token that was sealed for the same list; none if it was not, or too long ago.
    #[must_use]
    pub fn open(&self, token: &str, owner: Subject, query: &PageQuery, now: SystemTime) -> Option<Position> {
        let place = self.open_place(token, &bound_to(owner, query), now)?;
        decode(&place, query.order.field)
    }

    /// The place in a token that was sealed to be bound to the same; none if it was not, or too long ago.
    pub(super) fn open_place(&self, token: &str, bound_to: &[u8], now: SystemTime) -> Option<Vec<u8>> {
        let opened = self.keys.open(bound_to, token)?;
        let (&[VERSION], rest) = opened.split_first_chunk()? else { return None };
        let (issued, place) = rest.split_first_chunk()?;
        let age = now.duration_since(from_micros(i64::from_be_bytes(*issued))).unwrap_or_default();
        (age <= self.lifetime).then(|| place.to_vec())
    }
}

/// What a token is good for; authenticated with it and not part of it.
fn bound_to(owner: Subject, PageQuery { order, show_deleted, filter, .. }: &PageQuery) -> Vec<u8> {
    let field = match order.field {
        SortField::CreateTime => 0,
        SortField::UpdateTime => 1,
        SortField::Title => 2,
    };
    let arguments = [field, u8::from(order.descending), u8::from(*show_deleted)];
    let method = b"notes.v1.NotesService/ListNotes".as_slice();
    [method, owner.as_uuid().as_bytes(), &arguments, &conditions(filter)].concat()
}

/// An unambiguous encoding of a filter: each condition after its number. Nothing of one without conditions.
pub(super) fn conditions(filter: &NoteFilter) -> Vec<u8> {
    let NoteFilter { pinned, archived, color, tag, create_time, update_time } = filter;
    let mut bytes = Vec::new();
    let mut add = |number: u8, value: &[u8]| {
        bytes.push(number);
        bytes.extend(value);
    };
    pinned.inspect(|pinned| add(1, &[u8::from(*pinned)]));
    archived.inspect(|archived| add(2, &[u8::from(*archived)]));
    color.inspect(|color| add(3, &color.number().to_be_bytes()));
    tag.inspect(|tag| add(4, tag.as_uuid().as_bytes()));
    for (number, range) in [(5, create_time), (7, update_time)] {
        let bounds = range.map_or([None, None], |range| [range.start(), range.end()]);
        for (number, bound) in (number..).zip(bounds) {
            bound.inspect(|bound| add(number, &to_micros(*bound).to_be_bytes()));
        }
    }
    bytes
}

fn encode(position: &Position) -> Vec<u8> {
    let mut bytes = position.id.as_uuid().as_bytes().to_vec();
    match &position.value {
        SortValue::Time(time) => bytes.extend(to_micros(*time).to_be_bytes()),
        SortValue::Title(key) => bytes.extend(key.as_bytes()),
    }
    bytes
}

fn decode(bytes: &[u8], field: SortField) -> Option<Position> {
    let (id, value) = bytes.split_first_chunk()?;
    let value = match field {
        SortField::CreateTime | SortField::UpdateTime => {
            SortValue::Time(from_micros(i64::from_be_bytes(value.try_into().ok()?)))
        }
        SortField::Title if value.len() <= TITLE_KEY_BYTES_MAX => SortValue::Title(TitleKey::stored(value.to_vec())),
        SortField::Title => return None,
    };
    Some(Position { value, id: NoteId::from_uuid(Uuid::from_bytes(*id)) })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::domain::{Color, Order, TagId, TimeRange, Title};
    use crate::testing::list_in;

    const LIFETIME: Duration = Duration::from_secs(3 * 24 * 60 * 60);

    fn tokens(secret: &str, before: &[&str]) -> PageTokens {
        let keys = TokenKeys::new(secret.as_bytes(), before.iter().map(|secret| secret.as_bytes()));
        PageTokens::new(Arc::new(keys), LIFETIME)
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn position(field: SortField) -> Position {
        let value = match field {
            SortField::CreateTime | SortField::UpdateTime => SortValue::Time(at(1_764_000_000)),
            SortField::Title => SortValue::Title(TitleKey::of(&Title::parse(&"Canary €".repeat(30)).unwrap())),
        };
        Position { value, id: NoteId::from_uuid(Uuid::new_v4()) }
    }

    #[test]
    fn a_token_gives_back_its_position_for_the_same_arguments_only() {
        let (tokens, alice, bob) = (tokens("secret", &[]), crate::testing::somebody(), crate::testing::somebody());
        for (_, order) in Order::ALL {
            let position = position(order.field);
            let token = tokens.seal(alice, &list_in(order), &position, at(0));
            assert!(token.len() <= 256, "{}", token.len());
            assert_eq!(tokens.open(&token, alice, &list_in(order), at(0)), Some(position));
            assert_eq!(tokens.open(&token, bob, &list_in(order), at(0)), None, "somebody else's");
            let all = PageQuery { show_deleted: true, ..list_in(order) };
            assert_eq!(tokens.open(&token, alice, &all, at(0)), None, "another argument");
            for (_, other) in Order::ALL.into_iter().filter(|(_, other)| *other != order) {
                assert_eq!(tokens.open(&token, alice, &list_in(other), at(0)), None, "another order");
            }
        }
    }

    #[test]
    fn a_token_is_good_for_the_filter_that_it_was_made_with() {
        let (tokens, alice, order) = (tokens("secret", &[]), crate::testing::somebody(), Order::ALL[0].1);
        let none = NoteFilter::default();
        let range = |start: Option<u64>, end: Option<u64>| TimeRange::parse(start.map(at), end.map(at)).ok();
        let mut filters = vec![none];
        for value in [false, true] {
            filters.push(NoteFilter { pinned: Some(value), ..none });
            filters.push(NoteFilter { archived: Some(value), ..none });
            filters.push(NoteFilter { pinned: Some(true), archived: Some(value), ..none });
        }
        filters.extend([0, 7].map(|color| NoteFilter { color: Color::from_number(color), ..none }));
        filters.extend([1, 2].map(|tag| NoteFilter { tag: Some(TagId::from_uuid(Uuid::from_u128(tag))), ..none }));
        for range in [range(Some(1), None), range(None, Some(1)), range(Some(1), Some(2)), range(Some(1), Some(3))] {
            filters.push(NoteFilter { create_time: range, ..none });
            filters.push(NoteFilter { update_time: range, ..none });
        }
        let position = position(order.field);
        for filter in &filters {
            let token = tokens.seal(alice, &PageQuery { filter: *filter, ..list_in(order) }, &position, at(0));
            for other in &filters {
                let opened = tokens.open(&token, alice, &PageQuery { filter: *other, ..list_in(order) }, at(0));
                assert_eq!(opened.is_some(), filter == other, "{filter:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_token_is_good_for_three_days() {
        let (tokens, alice, order) = (tokens("secret", &[]), crate::testing::somebody(), Order::ALL[0].1);
        let token = tokens.seal(alice, &list_in(order), &position(order.field), at(10));
        let opened = |now| tokens.open(&token, alice, &list_in(order), now).is_some();
        assert!(opened(at(10) + LIFETIME));
        assert!(!opened(at(10) + LIFETIME + Duration::from_micros(1)));
        assert!(opened(at(0)), "a clock that was set back does no harm");
    }

    #[test]
    fn no_altered_token_is_opened() {
        let (tokens, alice, order) = (tokens("secret", &[]), crate::testing::somebody(), Order::ALL[4].1);
        let token = tokens.seal(alice, &list_in(order), &position(order.field), at(0));
        let opened = |token: &str| tokens.open(token, alice, &list_in(order), at(0)).is_some();
        assert!(opened(&token));
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[index] ^= 1 << bit;
                assert!(!opened(&URL_SAFE_NO_PAD.encode(altered)), "byte {index} bit {bit}");
            }
            assert!(!opened(&URL_SAFE_NO_PAD.encode(&bytes[..index])), "cut to {index}");
        }
        for rubbish in ["", "AAAA", "🦀", &format!("{token}="), &format!("{token}AAAA"), &"A".repeat(4_000_000)] {
            assert!(!opened(rubbish));
        }
    }

    #[test]
    fn a_token_does_not_show_what_it_holds() {
        let (tokens, alice, order) = (tokens("secret", &[]), crate::testing::somebody(), Order::ALL[4].1);
        let position = position(order.field);
        let [one, two] = [(), ()].map(|()| tokens.seal(alice, &list_in(order), &position, at(0)));
        assert_ne!(one, two, "the same page twice is not the same token");
        let bytes = URL_SAFE_NO_PAD.decode(one).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"));
        assert!(!bytes.windows(16).any(|window| window == position.id.as_uuid().as_bytes()));
    }

    #[test]
    fn a_replaced_secret_is_still_read_and_an_unknown_one_is_not() {
        let (alice, order) = (crate::testing::somebody(), Order::ALL[0].1);
        let token = tokens("old", &[]).seal(alice, &list_in(order), &position(order.field), at(0));
        assert!(tokens("new", &["old"]).open(&token, alice, &list_in(order), at(0)).is_some());
        assert!(tokens("new", &[]).open(&token, alice, &list_in(order), at(0)).is_none());
    }
}
