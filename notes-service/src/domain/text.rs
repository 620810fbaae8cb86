use std::borrow::Cow;
use std::fmt;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// Longest title, in code points after NFC.
pub const TITLE_CODE_POINTS_MAX: usize = 300;
/// Longest content, in code points after NFC.
pub const CONTENT_CODE_POINTS_MAX: usize = 262_144;
/// Longest content, in UTF-8 bytes after NFC.
pub const CONTENT_BYTES_MAX: usize = 1_048_576;
/// Length of a snippet, in code points.
pub const SNIPPET_CODE_POINTS: usize = 200;
/// Longest title key, in bytes; titles that differ only beyond it are in the order of their ids.
pub const TITLE_KEY_BYTES_MAX: usize = 64;

/// Why a text was refused. Says the rule, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too many code points after NFC.
    #[error("must be at most {0} code points after NFC")]
    CodePoints(usize),
    /// Too many bytes after NFC.
    #[error("must be at most {0} bytes after NFC")]
    Bytes(usize),
    /// Holds U+0000.
    #[error("must not contain U+0000")]
    Nul,
    /// Holds another control character.
    #[error("must not contain control characters other than tab, line feed and carriage return")]
    Control,
}

/// A note's title: 0 to 300 code points after NFC, no control characters but tab, line feed and carriage return.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// Normalizes and checks a title.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.contains('\0') {
            return Err(TextError::Nul);
        }
        if text.chars().any(|char| char.is_control() && !matches!(char, '\t' | '\n' | '\r')) {
            return Err(TextError::Control);
        }
        normalized(text, TITLE_CODE_POINTS_MAX).map(|title| Self(title.into_owned()))
    }

    /// A title that was parsed before it was stored.
    #[must_use]
    pub const fn stored(title: String) -> Self {
        Self(title)
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

/// A note's content: 0 to 262,144 code points and at most 1 MiB after NFC, no U+0000.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Content(String);

impl Content {
    /// Normalizes and checks a content.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.contains('\0') {
            return Err(TextError::Nul);
        }
        let content = normalized(text, CONTENT_CODE_POINTS_MAX)?;
        if content.len() > CONTENT_BYTES_MAX {
            return Err(TextError::Bytes(CONTENT_BYTES_MAX));
        }
        Ok(Self(content.into_owned()))
    }

    /// A content that was parsed before it was stored.
    #[must_use]
    pub const fn stored(content: String) -> Self {
        Self(content)
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

/// The first 200 code points of a content, kept beside the note so that lists need not read contents.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Snippet(String);

impl Snippet {
    /// The snippet of a content.
    #[must_use]
    pub fn of(content: &Content) -> Self {
        let text = content.as_str();
        let end = text.char_indices().nth(SNIPPET_CODE_POINTS).map_or(text.len(), |(index, _)| index);
        Self(text[..end].to_owned())
    }

    /// A snippet that was cut before it was stored.
    #[must_use]
    pub const fn stored(snippet: String) -> Self {
        Self(snippet)
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

/// What titles are ordered by: NFKC and full case folding, cut to 64 bytes between code points, compared as bytes, so
/// that both engines order alike whatever their collation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TitleKey(Vec<u8>);

impl TitleKey {
    /// The key of a title.
    #[must_use]
    pub fn of(title: &Title) -> Self {
        let folded = caseless::default_case_fold_str(&title.as_str().nfkc().collect::<String>());
        let mut key = String::with_capacity(TITLE_KEY_BYTES_MAX);
        for char in folded.nfkc() {
            if key.len() + char.len_utf8() > TITLE_KEY_BYTES_MAX {
                break;
            }
            key.push(char);
        }
        Self(key.into_bytes())
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

// What people write is private: it never gets into a log or a panic message.
macro_rules! redacted_debug {
    ($($text:ident),*) => {$(
        impl fmt::Debug for $text {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_struct(stringify!($text)).finish_non_exhaustive()
            }
        }
    )*};
}
redacted_debug!(Title, Content, Snippet, TitleKey);

/// The text in NFC, if that has at most `code_points_max` code points. Stops reading at the first one too many.
pub(super) fn normalized(text: &str, code_points_max: usize) -> Result<Cow<'_, str>, TextError> {
    if is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return match text.chars().nth(code_points_max) {
            None => Ok(Cow::Borrowed(text)),
            Some(_) => Err(TextError::CodePoints(code_points_max)),
        };
    }
    let mut composed = String::with_capacity(text.len());
    for (index, char) in text.nfc().enumerate() {
        if index == code_points_max {
            return Err(TextError::CodePoints(code_points_max));
        }
        composed.push(char);
    }
    Ok(Cow::Owned(composed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_title(text: &str, expected: Result<&str, TextError>) {
        assert_eq!(Title::parse(text).as_ref().map(Title::as_str).map_err(|error| *error), expected);
    }

    #[test]
    fn a_title_is_normalized_and_otherwise_kept() {
        check_title("", Ok(""));
        check_title("Shopping\r\n\tlist", Ok("Shopping\r\n\tlist"));
        check_title("Cafe\u{301}", Ok("Caf\u{e9}"));
        check_title("\u{1100}\u{1161}", Ok("\u{ac00}"));
        check_title(" \u{202e}spaces and marks stay ", Ok(" \u{202e}spaces and marks stay "));
    }

    #[test]
    fn a_title_has_no_control_characters() {
        check_title("a\0b", Err(TextError::Nul));
        for control in ['\u{1}', '\u{8}', '\u{b}', '\u{1b}', '\u{7f}', '\u{85}', '\u{9f}'] {
            check_title(&format!("a{control}b"), Err(TextError::Control));
        }
    }

    #[test]
    fn a_title_is_counted_in_code_points_after_normalization() {
        check_title(&"é".repeat(300), Ok(&"é".repeat(300)));
        check_title(&"e\u{301}".repeat(300), Ok(&"é".repeat(300)));
        check_title(&"é".repeat(301), Err(TextError::CodePoints(300)));
        check_title(&"e\u{301}".repeat(301), Err(TextError::CodePoints(300)));
    }

    #[test]
    fn a_content_is_bounded_in_code_points_and_in_bytes() {
        let check = |text: &str| Content::parse(text).map(|content| content.as_str().len());
        assert_eq!(check(&"a".repeat(262_144)), Ok(262_144));
        assert_eq!(check(&"a".repeat(262_145)), Err(TextError::CodePoints(262_144)));
        // Four bytes each: the largest content of all, to the byte.
        assert_eq!(check(&"😀".repeat(262_144)), Ok(1_048_576));
        assert_eq!(check("a\0"), Err(TextError::Nul));
        assert_eq!(check("\u{1b}[31m\u{7f}"), Ok(6), "controls other than U+0000 are content");
    }

    #[test]
    fn a_snippet_is_the_first_two_hundred_code_points() {
        let snippet = |text: &str| Snippet::of(&Content::parse(text).unwrap()).into_string();
        assert_eq!(snippet(""), "");
        assert_eq!(snippet("short"), "short");
        assert_eq!(snippet(&"😀".repeat(201)), "😀".repeat(200));
    }

    #[test]
    fn a_title_key_ignores_case_and_compatibility_forms() {
        let key = |text: &str| TitleKey::of(&Title::parse(text).unwrap());
        assert_eq!(key("STRASSE"), key("straße"));
        assert_eq!(key("ﬁle"), key("FILE"));
        assert_eq!(key("Ａ"), key("a"));
        assert!(key("b") > key("A"));
        assert_eq!(key(&"é".repeat(300)).as_bytes().len(), 64);
        assert_eq!(key(&"€".repeat(300)).as_bytes().len(), 63, "cut between code points");
        assert!(key("") < key("\t"));
    }

    #[test]
    fn texts_do_not_show_in_debug_output() {
        let shown = format!(
            "{:?} {:?} {:?} {:?}",
            Title::stored("canary".to_owned()),
            Content::stored("canary".to_owned()),
            Snippet::stored("canary".to_owned()),
            TitleKey::stored(b"canary".to_vec()),
        );
        assert!(!shown.contains("canary") && !shown.contains("99"), "{shown}");
    }
}
