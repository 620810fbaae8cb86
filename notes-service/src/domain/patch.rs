use super::{Color, Content, Note, NoteFields, Snippet, TagId, Title};

/// The fields of a note that an update replaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotePatch {
    /// The new title.
    pub title: Option<Title>,
    /// The new content.
    pub content: Option<Content>,
    /// Whether the note is pinned from now on.
    pub pinned: Option<bool>,
    /// Whether the note is archived from now on.
    pub archived: Option<bool>,
    /// The new colour.
    pub color: Option<Color>,
    /// The new tags, all of them.
    pub tags: Option<Vec<TagId>>,
}

/// What an update comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "made once a write, where a box would be one more allocation")]
pub enum Update {
    /// The note with its new values, its times and etag still the old ones.
    Changed(Note),
    /// The note has these values already.
    Unchanged,
    /// The note is in the trash.
    InTrash,
    /// The note is not the version that the update is meant for.
    EtagMismatch,
}

impl NotePatch {
    /// The fields of a note that is made with these values.
    #[must_use]
    pub fn into_fields(self) -> NoteFields {
        NoteFields {
            title: self.title.unwrap_or_default(),
            content: self.content.unwrap_or_default(),
            pinned: self.pinned.unwrap_or_default(),
            archived: self.archived.unwrap_or_default(),
            color: self.color.unwrap_or_default(),
            tags: self.tags.unwrap_or_default(),
        }
    }

    /// Applies the values to a note that was read whole, if it still is the version `expected`.
    #[must_use]
    pub fn apply(&self, note: &Note, expected: Option<super::Etag>) -> Update {
        if note.trashed.is_some() {
            return Update::InTrash;
        }
        if expected.is_some_and(|expected| expected != note.etag) {
            return Update::EtagMismatch;
        }
        let mut patched = note.clone();
        if let Some(title) = &self.title {
            patched.title = title.clone();
        }
        if let Some(content) = &self.content {
            patched.content_bytes = content.as_str().len();
            patched.snippet = Snippet::of(content);
            patched.content = Some(content.clone());
        }
        patched.pinned = self.pinned.unwrap_or(note.pinned);
        patched.archived = self.archived.unwrap_or(note.archived);
        patched.color = self.color.unwrap_or(note.color);
        if let Some(tags) = &self.tags {
            patched.tags.clone_from(tags);
        }
        if patched == *note { Update::Unchanged } else { Update::Changed(patched) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use uuid::Uuid;

    use super::*;
    use crate::domain::{Etag, NoteId};

    fn note() -> Note {
        let fields = NoteFields {
            title: Title::parse("title").unwrap(),
            content: Content::parse("content").unwrap(),
            pinned: true,
            archived: false,
            color: Color::from_number(3).unwrap(),
            tags: vec![TagId::from_uuid(Uuid::nil())],
        };
        Note::new(NoteId::from_uuid(Uuid::nil()), fields, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn only_the_named_fields_change() {
        let patch = NotePatch {
            content: Some(Content::default()),
            pinned: Some(false),
            tags: Some(Vec::new()),
            ..NotePatch::default()
        };
        let Update::Changed(patched) = patch.apply(&note(), Some(note().etag)) else { panic!("it changes") };
        let expected = Note {
            content: Some(Content::default()),
            content_bytes: 0,
            snippet: Snippet::default(),
            pinned: false,
            tags: Vec::new(),
            ..note()
        };
        assert_eq!(patched, expected);
    }

    #[test]
    fn the_same_values_are_no_change() {
        let patch = NotePatch {
            title: Some(note().title),
            color: Some(note().color),
            tags: Some(note().tags),
            ..NotePatch::default()
        };
        assert_eq!(patch.apply(&note(), None), Update::Unchanged);
        assert_eq!(NotePatch::default().apply(&note(), Some(note().etag)), Update::Unchanged);
    }

    #[test]
    fn another_version_is_refused_even_when_nothing_would_change() {
        let other = Etag { revision: note().etag.revision + 1, ..note().etag };
        assert_eq!(NotePatch::default().apply(&note(), Some(other)), Update::EtagMismatch);
        let twin = Etag { digest: note().etag.digest ^ 1, ..note().etag };
        assert_eq!(NotePatch::default().apply(&note(), Some(twin)), Update::EtagMismatch);
    }

    #[test]
    fn a_note_in_the_trash_is_not_updated() {
        let trashed = note().into_trash(SystemTime::UNIX_EPOCH, Duration::ZERO);
        assert_eq!(NotePatch::default().apply(&trashed, None), Update::InTrash);
    }
}
