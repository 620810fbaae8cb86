use aws_lc_rs::digest;
use uuid::Uuid;

use super::note::parse_uuid;
use super::{NoteFields, NoteId};

/// Makes a call safe to repeat; chosen by the client, known within its owner only. Source: AIP-155.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(Uuid);

impl RequestId {
    /// Reads a UUID in lower case with hyphens.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_uuid(text).map(Self)
    }

    /// The UUID.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

/// SHA-256 of what a request asks for, to tell a repetition from another request under the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a request to make this note, with the id that the client chose, if it did.
    #[must_use]
    pub fn of(id: Option<NoteId>, fields: &NoteFields) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        match id {
            Some(id) => {
                hash.update(&[1]);
                hash.update(id.as_uuid().as_bytes());
            }
            None => hash.update(&[0]),
        }
        hash.update(&fields.canonical());
        Self(hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// The hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_different_notes_have_different_fingerprints() {
        let plain = NoteFields::default();
        let pinned = NoteFields { pinned: true, ..NoteFields::default() };
        let id = NoteId::from_uuid(Uuid::nil());
        assert_eq!(Fingerprint::of(None, &plain), Fingerprint::of(None, &plain));
        assert_ne!(Fingerprint::of(None, &plain), Fingerprint::of(None, &pinned));
        assert_ne!(Fingerprint::of(None, &plain), Fingerprint::of(Some(id), &plain));
    }

    #[test]
    fn a_request_id_is_a_uuid_in_lower_case() {
        assert!(RequestId::parse("6ba7b810-9dad-41d1-80b4-00c04fd430c8").is_some());
        assert!(RequestId::parse("6BA7B810-9DAD-41D1-80B4-00C04FD430C8").is_none());
        assert!(RequestId::parse("").is_none());
    }
}
