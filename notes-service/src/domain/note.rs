use std::fmt;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::{Content, Etag, Snippet, TagId, Title};

/// Names a note within its owner: any UUID of RFC 9562. The time inside is never trusted and nothing is ordered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoteId(Uuid);

impl NoteId {
    /// Reads the lower-case hyphenated form; every other spelling is refused, so that one note has one name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_uuid(text).map(Self)
    }

    /// The id of this UUID.
    #[must_use]
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    /// The UUID.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for NoteId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Reads a UUID in lower case with hyphens, and in no other of its many spellings.
pub(super) fn parse_uuid(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(id)
}

/// Colour of a note, by its number in the contract: 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Color(i16);

impl Color {
    /// The highest number of a colour.
    pub const MAX: i16 = 10;

    /// The colour of this number, if there is one.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        i16::try_from(number).ok().filter(|number| (0..=Self::MAX).contains(number)).map(Self)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> i16 {
        self.0
    }
}

/// What the owner decides about a note.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoteFields {
    /// The title.
    pub title: Title,
    /// The content.
    pub content: Content,
    /// Whether the note is pinned.
    pub pinned: bool,
    /// Whether the note is archived.
    pub archived: bool,
    /// The colour.
    pub color: Color,
    /// The tags, each once, in the order of the owner.
    pub tags: Vec<TagId>,
}

impl NoteFields {
    /// What the note counts against its owner's quota, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        stored_bytes(&self.title, self.content.as_str().len())
    }

    /// An unambiguous encoding, to be hashed.
    #[must_use]
    pub(super) fn canonical(&self) -> Vec<u8> {
        let (title, content) = (self.title.as_str().as_bytes(), self.content.as_str().as_bytes());
        let mut bytes = Vec::with_capacity(title.len() + content.len() + 12);
        bytes.extend(u64::try_from(title.len()).expect("a length fits 64 bits").to_be_bytes());
        bytes.extend(title);
        bytes.extend([u8::from(self.pinned), u8::from(self.archived)]);
        bytes.extend(self.color.number().to_be_bytes());
        bytes.extend(content);
        bytes.extend(self.tags.iter().flat_map(|tag| tag.as_uuid().into_bytes()));
        bytes
    }
}

/// How much of a note is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Everything but the content.
    Basic,
    /// Everything.
    Full,
}

/// A note as it is stored. Times are strictly increasing per owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its name within the owner.
    pub id: NoteId,
    /// The title.
    pub title: Title,
    /// The content, if it was read.
    pub content: Option<Content>,
    /// Size of the content in UTF-8 bytes.
    pub content_bytes: usize,
    /// The first code points of the content.
    pub snippet: Snippet,
    /// Whether the note is pinned.
    pub pinned: bool,
    /// Whether the note is archived.
    pub archived: bool,
    /// The colour.
    pub color: Color,
    /// The tags, each once, in the order of the owner.
    pub tags: Vec<TagId>,
    /// When it was made.
    pub create_time: SystemTime,
    /// When it last changed.
    pub update_time: SystemTime,
    /// Set while it is in the trash.
    pub trashed: Option<Trashed>,
    /// Its version.
    pub etag: Etag,
}

/// When a note went to the trash and when it will be removed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trashed {
    /// When it went to the trash.
    pub delete_time: SystemTime,
    /// When it will be removed; what was promised at `delete_time`, whatever the setting is now.
    pub purge_time: SystemTime,
}

impl Note {
    /// A new note.
    #[must_use]
    pub fn new(id: NoteId, fields: NoteFields, time: SystemTime) -> Self {
        Self {
            id,
            etag: Etag::first(&fields),
            content_bytes: fields.content.as_str().len(),
            snippet: Snippet::of(&fields.content),
            title: fields.title,
            content: Some(fields.content),
            pinned: fields.pinned,
            archived: fields.archived,
            color: fields.color,
            tags: fields.tags,
            create_time: time,
            update_time: time,
            trashed: None,
        }
    }

    /// What the note counts against its owner's quota, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        stored_bytes(&self.title, self.content_bytes)
    }

    /// Whether both have the same title and content; both were read whole.
    #[must_use]
    pub fn has_text_of(&self, other: &Self) -> bool {
        self.title == other.title && self.content == other.content
    }

    /// The note as a new version of `time`, after its values were changed. It was read whole.
    #[must_use]
    pub fn changed_at(self, time: SystemTime) -> Self {
        let fields = NoteFields {
            title: self.title,
            content: self.content.unwrap_or_default(),
            pinned: self.pinned,
            archived: self.archived,
            color: self.color,
            tags: self.tags,
        };
        let etag = self.etag.next(&fields);
        Self { etag, update_time: time, title: fields.title, content: Some(fields.content), tags: fields.tags, ..self }
    }

    /// The note moved to the trash at `time`, to be removed for good `retention` later.
    #[must_use]
    pub fn into_trash(self, time: SystemTime, retention: Duration) -> Self {
        Self {
            trashed: Some(Trashed { delete_time: time, purge_time: time + retention }),
            update_time: time,
            etag: self.etag.touched(),
            ..self
        }
    }

    /// The note without this tag, as a new version of `time`. Its content need not have been read.
    #[must_use]
    pub fn untagged(mut self, tag: TagId, time: SystemTime) -> Self {
        self.tags.retain(|other| *other != tag);
        Self { update_time: time, etag: self.etag.untagged(tag), ..self }
    }

    /// The note brought back from the trash at `time`.
    #[must_use]
    pub fn out_of_trash(self, time: SystemTime) -> Self {
        Self { trashed: None, update_time: time, etag: self.etag.touched(), ..self }
    }
}

fn stored_bytes(title: &Title, content_bytes: usize) -> u64 {
    u64::try_from(title.as_str().len() + content_bytes).expect("a length fits 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_id_is_any_uuid_in_lower_case_with_hyphens() {
        for good in [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8d",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        ] {
            assert_eq!(NoteId::parse(good).map(|id| id.to_string()).as_deref(), Some(good));
        }
        for bad in [
            "",
            "notes",
            "0193A5C8-7F3E-7B1A-9C2D-3E4F5A6B7C8D",
            "0193a5c87f3e7b1a9c2d3e4f5a6b7c8d",
            "{0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8d}",
            "urn:uuid:0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8d",
            " 0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8d",
            "0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8",
            "0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8g",
        ] {
            assert_eq!(NoteId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_color_is_one_of_the_contract() {
        assert_eq!(Color::from_number(0), Some(Color::default()));
        assert_eq!(Color::from_number(10).map(Color::number), Some(10));
        for bad in [-1, 11, i32::MAX, i32::MIN] {
            assert_eq!(Color::from_number(bad), None);
        }
    }

    #[test]
    fn the_canonical_encoding_tells_every_difference() {
        let fields = |title: &str, content: &str| NoteFields {
            title: Title::parse(title).unwrap(),
            content: Content::parse(content).unwrap(),
            ..NoteFields::default()
        };
        let plain = fields("ab", "c");
        assert_ne!(plain.canonical(), fields("a", "bc").canonical());
        assert_ne!(plain.canonical(), NoteFields { pinned: true, ..plain.clone() }.canonical());
        assert_ne!(plain.canonical(), NoteFields { archived: true, ..plain.clone() }.canonical());
        let [one, two] = [Uuid::nil(), Uuid::max()].map(TagId::from_uuid);
        let tagged = |tags: &[TagId]| NoteFields { tags: tags.to_vec(), ..plain.clone() }.canonical();
        assert_ne!(plain.canonical(), tagged(&[one]));
        assert_ne!(tagged(&[one, two]), tagged(&[two, one]));
        assert_eq!(plain.bytes(), 3);
    }

    #[test]
    fn a_note_goes_to_the_trash_and_comes_back_as_a_new_version() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let note = Note::new(NoteId::from_uuid(Uuid::nil()), NoteFields::default(), at(1));
        let trashed = note.clone().into_trash(at(2), Duration::from_secs(10));
        assert_eq!(trashed.trashed, Some(Trashed { delete_time: at(2), purge_time: at(12) }));
        let back = trashed.clone().out_of_trash(at(3));
        assert_eq!((back.trashed, back.update_time, back.create_time), (None, at(3), at(1)));
        assert_eq!([note.etag, trashed.etag, back.etag].map(|etag| etag.revision), [1, 2, 3]);
    }
}
