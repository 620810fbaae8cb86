use std::time::SystemTime;

use super::{Note, NoteFilter, NoteId, TitleKey, View};

/// Page size when the caller names none.
pub const PAGE_SIZE_DEFAULT: u16 = 50;
/// Largest page; more is brought down to it.
pub const PAGE_SIZE_MAX: u16 = 1_000;
/// Most notes that are looked at for a page, whatever a filter lets through.
pub const SCANNED_MAX: u16 = 2_000;
/// Most bytes of notes on a page, below the 4 MiB that common clients decode.
pub const PAGE_BYTES: usize = 3 * 1_048_576;

/// Upper bound of what a note adds to an answer beside its content, in bytes: title and snippet at four bytes a code
/// point, fifty names of tags, its name, times and etag.
pub const NOTE_BYTES_BESIDE_CONTENT: usize = 4_600;

/// Whether notes with contents of these sizes fit one answer that cannot be cut into pages.
#[must_use]
pub fn fits_an_answer(content_bytes: impl IntoIterator<Item = usize>) -> bool {
    content_bytes.into_iter().map(|bytes| bytes + NOTE_BYTES_BESIDE_CONTENT).sum::<usize>() <= PAGE_BYTES
}

/// What a note adds to an answer beside its texts and tags, in bytes: its name, times, etag and numbers.
const NOTE_BYTES_BESIDE_TEXTS: usize = 256;
/// What the name of a tag adds to an answer, in bytes.
const TAG_NAME_BYTES: usize = 43;

/// What a page holds, as long as it fits an answer of so many bytes; the first one fits any.
#[derive(Clone, Copy, Debug)]
pub struct PageBudget {
    bytes: usize,
    spent: usize,
}

impl PageBudget {
    /// A page of at most so many bytes, unless the first of it alone has more.
    #[must_use]
    pub const fn of(bytes: usize) -> Self {
        Self { bytes, spent: 0 }
    }

    /// Whether `note` fits the page after those that fitted before it.
    pub fn fits(&mut self, note: &Note) -> bool {
        self.fits_bytes(note.answer_bytes())
    }

    /// Whether one more of this size fits the page after those that fitted before it.
    pub const fn fits_bytes(&mut self, bytes: usize) -> bool {
        let is_first = self.spent == 0;
        self.spent += bytes;
        is_first || self.spent <= self.bytes
    }
}

impl Note {
    /// Upper bound of what the note, as far as it was read, adds to an answer, in bytes.
    #[must_use]
    pub fn answer_bytes(&self) -> usize {
        let content = self.content.as_ref().map_or(0, |content| content.as_str().len());
        let texts = self.title.as_str().len() + self.snippet.as_str().len() + content;
        texts + self.tags.len() * TAG_NAME_BYTES + NOTE_BYTES_BESIDE_TEXTS
    }
}

/// Most notes of one batch.
pub const BATCH_SIZE_MAX: usize = 100;

/// What notes are ordered by; ties are broken by their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SortField {
    /// By the time of making, which never changes: each note appears exactly once, whatever is written meanwhile.
    CreateTime,
    /// By the time of the last change.
    UpdateTime,
    /// By title key.
    Title,
}

/// One of the six orders of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// What is compared.
    pub field: SortField,
    /// Whether the greatest comes first.
    pub descending: bool,
}

impl Order {
    /// Every order with its spelling, the default first.
    pub const ALL: [(&'static str, Self); 6] = [
        ("create_time desc", Self { field: SortField::CreateTime, descending: true }),
        ("create_time", Self { field: SortField::CreateTime, descending: false }),
        ("update_time desc", Self { field: SortField::UpdateTime, descending: true }),
        ("update_time", Self { field: SortField::UpdateTime, descending: false }),
        ("title", Self { field: SortField::Title, descending: false }),
        ("title desc", Self { field: SortField::Title, descending: true }),
    ];

    /// Reads an order; empty is the default, redundant spaces do not matter (AIP-132), anything else is refused.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let spelling = match (words.next(), words.next(), words.next()) {
            (None, ..) => return Some(Self::ALL[0].1),
            (Some(field), None, None) => field.to_owned(),
            (Some(field), Some(direction), None) => format!("{field} {direction}"),
            _ => return None,
        };
        Self::ALL.iter().find(|(name, _)| *name == spelling).map(|(_, order)| *order)
    }
}

/// How many notes a page holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u16);

impl PageSize {
    /// Reads a page size: 0 is the default, more than the largest is the largest, negative is refused (AIP-158).
    #[must_use]
    pub fn parse(size: i32) -> Option<Self> {
        Self::bounded(size, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
    }

    /// Reads the page size of a list that has other bounds.
    #[must_use]
    pub fn bounded(size: i32, default: u16, max: u16) -> Option<Self> {
        match size {
            ..0 => None,
            0 => Some(Self(default)),
            size => Some(Self(u16::try_from(size).unwrap_or(max).min(max))),
        }
    }

    /// The number of notes.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// The value that a note is sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SortValue {
    /// A time of creation or change.
    Time(SystemTime),
    /// A title key.
    Title(TitleKey),
}

/// A place in an order: right after the note with this value and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The value of that note.
    pub value: SortValue,
    /// The id of that note.
    pub id: NoteId,
}

/// Which page to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// In which order.
    pub order: Order,
    /// Whether notes in the trash are listed too.
    pub show_deleted: bool,
    /// Which notes are listed.
    pub filter: NoteFilter,
    /// Whether contents are read.
    pub view: View,
    /// How many notes at most.
    pub size: PageSize,
    /// Where to begin; none is the beginning.
    pub after: Option<Position>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Content, NoteFields, TagId};

    #[test]
    fn an_order_is_one_of_the_closed_set() {
        for (spelling, order) in Order::ALL {
            assert_eq!(Order::parse(spelling), Some(order));
            assert_eq!(Order::parse(&format!("  {} ", spelling.replace(' ', "   "))), Some(order));
        }
        assert_eq!(Order::parse(""), Some(Order { field: SortField::CreateTime, descending: true }));
        for bad in
            ["create_time asc", "CREATE_TIME", "title,create_time", "title DESC", "title desc desc", "owner_id", "'"]
        {
            assert_eq!(Order::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_answer_holds_three_mebibytes_of_notes() {
        let one = |bytes| std::iter::once(bytes);
        assert!(fits_an_answer(one(PAGE_BYTES - NOTE_BYTES_BESIDE_CONTENT)));
        assert!(!fits_an_answer(one(PAGE_BYTES - NOTE_BYTES_BESIDE_CONTENT + 1)));
        assert!(fits_an_answer(std::iter::repeat_n(0, BATCH_SIZE_MAX)), "any batch without contents");
    }

    #[test]
    fn a_page_is_full_whatever_fills_it_and_has_one_note_at_least() {
        let note = |fields| Note::new(NoteId::from_uuid(uuid::Uuid::nil()), fields, SystemTime::UNIX_EPOCH);
        let tags: Vec<_> = (0..50).map(|number| TagId::from_uuid(uuid::Uuid::from_u128(number))).collect();
        let tagged = note(NoteFields { tags, ..NoteFields::default() });
        let written =
            note(NoteFields { content: Content::parse(&"x".repeat(2_000)).unwrap(), ..NoteFields::default() });
        let listed = Note { content: None, ..written.clone() };
        let check = |note: &Note, bytes, expected| {
            let mut budget = PageBudget::of(bytes);
            assert_eq!((0..100).take_while(|_| budget.fits(note)).count(), expected);
        };
        check(&tagged, 10_000, 4);
        check(&written, 10_000, 4);
        check(&listed, 10_000, 21);
        check(&written, 1, 1);
    }

    #[test]
    fn a_page_size_is_brought_into_bounds_and_negative_is_refused() {
        let check = |size, expected| assert_eq!(PageSize::parse(size).map(PageSize::get), expected, "{size}");
        check(0, Some(50));
        check(1, Some(1));
        check(1_000, Some(1_000));
        check(1_001, Some(1_000));
        check(i32::MAX, Some(1_000));
        check(-1, None);
        check(i32::MIN, None);
    }
}
