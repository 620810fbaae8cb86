use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{NoteFields, TagId};

/// Version of a note or a tag: how often it has changed, and eight bytes of a hash of what its owner wrote, so that a store
/// restored from a backup does not take an etag of the lost future for one of its own.
///
/// On the wire it is a strong entity tag, opaque to clients. Source: RFC 9110 §8.8.3; AIP-154.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Etag {
    /// Counts the changes, from 1.
    pub revision: i64,
    /// The first eight bytes of the hash.
    pub digest: i64,
}

impl Etag {
    /// The etag of a note that has never changed.
    #[must_use]
    pub fn first(fields: &NoteFields) -> Self {
        Self::first_of(&fields.canonical())
    }

    /// The etag after one more change.
    #[must_use]
    pub fn next(self, fields: &NoteFields) -> Self {
        self.next_of(&fields.canonical())
    }

    /// The etag of something that its owner wrote so and that has never changed.
    pub(super) fn first_of(canonical: &[u8]) -> Self {
        Self { revision: 1, digest: digest_of(canonical) }
    }

    /// The etag after a change to what its owner wrote so.
    pub(super) fn next_of(self, canonical: &[u8]) -> Self {
        Self { revision: self.revision + 1, digest: digest_of(canonical) }
    }

    /// The etag of a note after it lost a tag; the text, which stays, need not be read for it.
    #[must_use]
    pub fn untagged(self, tag: TagId) -> Self {
        self.next_of(&[self.digest.to_be_bytes().as_slice(), tag.as_uuid().as_bytes()].concat())
    }

    /// The etag after one more change that left the text as it was.
    #[must_use]
    pub const fn touched(self) -> Self {
        Self { revision: self.revision + 1, digest: self.digest }
    }

    /// Reads an etag of this service from its quoted form; none for a weak, unquoted or foreign one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let opaque = text.strip_prefix('"')?.strip_suffix('"')?;
        let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(opaque).ok()?.try_into().ok()?;
        let [revision, digest] = [&bytes[..8], &bytes[8..]].map(|half| {
            let half: [u8; 8] = half.try_into().expect("half of sixteen bytes is eight bytes");
            i64::from_be_bytes(half)
        });
        (revision >= 1).then_some(Self { revision, digest })
    }
}

impl std::fmt::Display for Etag {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.revision.to_be_bytes());
        bytes[8..].copy_from_slice(&self.digest.to_be_bytes());
        write!(formatter, "\"{}\"", URL_SAFE_NO_PAD.encode(bytes))
    }
}

fn digest_of(canonical: &[u8]) -> i64 {
    let hash = digest::digest(&digest::SHA256, canonical);
    let head: [u8; 8] = hash.as_ref()[..8].try_into().expect("SHA-256 has 32 bytes");
    i64::from_be_bytes(head)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::Title;

    fn fields(title: &str) -> NoteFields {
        NoteFields { title: Title::parse(title).unwrap(), ..NoteFields::default() }
    }

    #[test]
    fn an_etag_reads_back_as_it_was_written() {
        let etag = Etag::first(&fields("a")).next(&fields("b"));
        assert_eq!(Etag::parse(&etag.to_string()), Some(etag));
        assert_eq!(etag.revision, 2);
    }

    #[test]
    fn another_text_or_another_change_is_another_etag() {
        let first = Etag::first(&fields("a"));
        assert_ne!(first, Etag::first(&fields("b")));
        assert_ne!(first, first.next(&fields("a")));
        assert_eq!(first.next(&fields("a")), first.touched());
        let [one, two] = [Uuid::nil(), Uuid::max()].map(TagId::from_uuid);
        assert_ne!(first.untagged(one), first.untagged(two));
        assert_eq!(first.untagged(one).revision, 2);
    }

    #[test]
    fn only_strong_quoted_etags_of_this_service_are_read() {
        let good = Etag::first(&fields("a")).to_string();
        let bare = good.trim_matches('"');
        for bad in [
            "",
            "\"",
            "\"\"",
            "*",
            bare,
            &format!("W/{good}"),
            &format!("\"{bare}"),
            &format!("\"{bare}=\""),
            &format!("\"{bare}A\""),
            &format!(" {good}"),
            "\"AAAAAAAAAAAAAAAAAAAAAA\"",
        ] {
            assert_eq!(Etag::parse(bad), None, "{bad}");
        }
    }
}
