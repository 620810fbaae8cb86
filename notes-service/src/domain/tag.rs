use std::fmt;
use std::time::SystemTime;

use uuid::Uuid;

use super::note::parse_uuid;
use super::text::normalized;
use super::{Color, Etag, TextError};

/// Longest name of a tag, in code points after NFC.
pub const TAG_NAME_CODE_POINTS_MAX: usize = 63;
/// Most tags of one note.
pub const TAGS_PER_NOTE_MAX: usize = 50;
/// Most tags of one owner.
pub const TAGS_PER_OWNER_MAX: u64 = 2_000;

/// Page size of a list of tags when the caller names none.
pub const TAG_PAGE_SIZE_DEFAULT: u16 = 200;
/// Largest page of tags; more is brought down to it.
pub const TAG_PAGE_SIZE_MAX: u16 = 1_000;

/// Upper bound of what a tag adds to an answer beside its display name, in bytes: its name, times, etag and numbers.
const TAG_BYTES_BESIDE_NAME: usize = 192;

/// Names a tag within its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagId(Uuid);

impl TagId {
    /// Reads the lower-case hyphenated form; every other spelling is refused, so that one tag has one name.
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

impl fmt::Display for TagId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Why the name of a tag was refused. Says the rule, never the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagNameError {
    /// There is nothing in it.
    #[error("must not be empty")]
    Empty,
    /// It would look like another one.
    #[error("must not begin or end with white space")]
    Padded,
    /// Holds a control character.
    #[error("must not contain control characters")]
    Control,
    /// Breaks a rule of every text.
    #[error(transparent)]
    Text(#[from] TextError),
}

/// What people call a tag: 1 to 63 code points after NFC, no control characters, no white space around it.
#[derive(Clone, PartialEq, Eq)]
pub struct TagName(String);

impl TagName {
    /// Normalizes and checks a name.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, TagNameError> {
        if text.is_empty() {
            return Err(TagNameError::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(TagNameError::Control);
        }
        if text.trim() != text {
            return Err(TagNameError::Padded);
        }
        Ok(Self(normalized(text, TAG_NAME_CODE_POINTS_MAX)?.into_owned()))
    }

    /// A name that was parsed before it was stored.
    #[must_use]
    pub const fn stored(name: String) -> Self {
        Self(name)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, for a message.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for TagName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TagName").finish_non_exhaustive()
    }
}

/// What names of tags are told apart and ordered by: NFC and full case folding, compared as bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagNameKey(Vec<u8>);

impl TagNameKey {
    /// The key of a name.
    #[must_use]
    pub fn of(name: &TagName) -> Self {
        use unicode_normalization::UnicodeNormalization as _;
        // Folding what is decomposed and composing it again: canonical caseless matching (Unicode 3.13, D145).
        let folded = caseless::default_case_fold_str(&name.as_str().nfd().collect::<String>());
        Self(folded.nfc().collect::<String>().into_bytes())
    }

    /// A key as it was stored.
    #[must_use]
    pub const fn stored(key: Vec<u8>) -> Self {
        Self(key)
    }

    /// The bytes to compare.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TagNameKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TagNameKey").finish_non_exhaustive()
    }
}

/// What an owner decides about a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFields {
    /// What people call it.
    pub display_name: TagName,
    /// The colour.
    pub color: Color,
}

impl TagFields {
    fn canonical(&self) -> Vec<u8> {
        [&self.color.number().to_be_bytes(), self.display_name.as_str().as_bytes()].concat()
    }
}

/// A tag as it is stored. Notes refer to its id, so that giving it another name changes no note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name within the owner.
    pub id: TagId,
    /// What its owner decided.
    pub fields: TagFields,
    /// Live notes that have it.
    pub note_count: u64,
    /// When it was made.
    pub create_time: SystemTime,
    /// When it last changed; being given to notes is no change.
    pub update_time: SystemTime,
    /// Its version.
    pub etag: Etag,
}

/// The fields of a tag that an update replaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagPatch {
    /// The new name.
    pub display_name: Option<TagName>,
    /// The new colour.
    pub color: Option<Color>,
}

impl Tag {
    /// A new tag.
    #[must_use]
    pub fn new(id: TagId, fields: TagFields, time: SystemTime) -> Self {
        let etag = Etag::first_of(&fields.canonical());
        Self { id, fields, note_count: 0, create_time: time, update_time: time, etag }
    }

    /// The tag as a new version of `time` with these fields.
    #[must_use]
    pub fn changed_at(self, fields: TagFields, time: SystemTime) -> Self {
        Self { etag: self.etag.next_of(&fields.canonical()), fields, update_time: time, ..self }
    }

    /// Upper bound of what the tag adds to an answer, in bytes.
    #[must_use]
    pub fn answer_bytes(&self) -> usize {
        self.fields.display_name.as_str().len() + TAG_BYTES_BESIDE_NAME
    }
}

impl TagPatch {
    /// The fields that the tag has afterwards.
    #[must_use]
    pub fn apply(&self, fields: &TagFields) -> TagFields {
        TagFields {
            display_name: self.display_name.as_ref().unwrap_or(&fields.display_name).clone(),
            color: self.color.unwrap_or(fields.color),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, TagNameError>) {
        assert_eq!(TagName::parse(text).as_ref().map(TagName::as_str).map_err(|error| *error), expected);
    }

    #[test]
    fn a_name_is_normalized_and_otherwise_kept() {
        check("to do", Ok("to do"));
        check("Cafe\u{301}", Ok("Caf\u{e9}"));
        check("日本", Ok("日本"));
        check("\u{202e}x", Ok("\u{202e}x"));
    }

    #[test]
    fn a_name_has_one_to_sixty_three_code_points() {
        check("", Err(TagNameError::Empty));
        check(&"é".repeat(63), Ok(&"é".repeat(63)));
        check(&"e\u{301}".repeat(63), Ok(&"é".repeat(63)));
        check(&"é".repeat(64), Err(TagNameError::Text(TextError::CodePoints(63))));
    }

    #[test]
    fn a_name_shows_where_it_begins_and_ends() {
        for padded in [" a", "a ", "\u{3000}a", " ", "\u{a0}"] {
            check(padded, Err(TagNameError::Padded));
        }
        for control in ['\0', '\t', '\n', '\u{7f}', '\u{85}'] {
            check(&format!("a{control}b"), Err(TagNameError::Control));
        }
    }

    #[test]
    fn names_that_differ_in_case_alone_are_one() {
        let key = |name: &str| TagNameKey::of(&TagName::parse(name).unwrap());
        assert_eq!(key("STRASSE"), key("straße"));
        assert_eq!(key("É"), key("e\u{301}"));
        assert_eq!(key("ΣΑΣ"), key("σας"));
        assert_ne!(key("a"), key("b"));
        assert_ne!(key("e"), key("é"));
        assert_ne!(key("ﬀ\u{e9}"), key("\u{ff46}fé"), "compatibility forms are other names");
    }

    #[test]
    fn a_changed_tag_is_another_version() {
        let fields = |name: &str| TagFields { display_name: TagName::parse(name).unwrap(), color: Color::default() };
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let tag = Tag::new(TagId::from_uuid(Uuid::nil()), fields("a"), at(1));
        let patch = TagPatch { display_name: Some(TagName::parse("b").unwrap()), color: None };
        let changed = tag.clone().changed_at(patch.apply(&tag.fields), at(2));
        assert_eq!((changed.fields, changed.update_time, changed.create_time), (fields("b"), at(2), at(1)));
        assert_eq!(changed.etag.revision, 2);
        assert_ne!(changed.etag.digest, tag.etag.digest);
        assert_eq!(TagPatch::default().apply(&tag.fields), tag.fields);
    }

    #[test]
    fn names_do_not_show_in_debug_output() {
        let name = TagName::parse("canary").unwrap();
        let shown = format!("{name:?} {:?}", TagNameKey::of(&name));
        assert!(!shown.contains("canary") && !shown.contains("99"), "{shown}");
    }
}
