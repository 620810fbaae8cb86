use aws_lc_rs::digest;

use super::{Etag, NoteId, TagId};

/// What a set of notes or of tags comes to: the exclusive or of the hashes of its members, so that one more or one less is
/// one operation, in any order. Of each member it takes `SHA-256(name, line feed, etag)`.
///
/// It finds copies that went wrong. It is no proof against somebody who makes notes for it, who would only deceive himself:
/// a set has one owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetDigest([u8; Self::BYTES]);

impl SetDigest {
    /// Its length.
    pub const BYTES: usize = 32;

    /// A digest as it is stored.
    #[must_use]
    pub const fn stored(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The digest with one note more, or one less if it was in the set.
    #[must_use]
    pub fn toggled(self, id: NoteId, etag: Etag) -> Self {
        self.with(&format!("notes/{id}\n{etag}"))
    }

    /// The digest with one tag more, or one less if it was in the set.
    #[must_use]
    pub fn tag_toggled(self, id: TagId, etag: Etag) -> Self {
        self.with(&format!("tags/{id}\n{etag}"))
    }

    fn with(self, member: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, member.as_bytes());
        let hash: [u8; Self::BYTES] = hash.as_ref().try_into().expect("SHA-256 has 32 bytes");
        Self(std::array::from_fn(|index| self.0[index] ^ hash[index]))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// The empty set with these notes toggled, by their ids and revisions.
    fn digest_of(notes: &[(u128, i64)]) -> SetDigest {
        notes.iter().fold(SetDigest::default(), |digest, (id, revision)| {
            digest.toggled(NoteId::from_uuid(Uuid::from_u128(*id)), Etag { revision: *revision, digest: 7 })
        })
    }

    #[test]
    fn a_digest_is_that_of_the_set_whatever_the_way_to_it() {
        assert_eq!(digest_of(&[(1, 1), (2, 1)]), digest_of(&[(2, 1), (1, 1)]));
        assert_eq!(digest_of(&[(1, 1), (2, 1), (2, 1)]), digest_of(&[(1, 1)]));
        assert_eq!(digest_of(&[(1, 1), (1, 1)]), SetDigest::default());
    }

    #[test]
    fn another_note_or_another_version_is_another_digest() {
        assert_ne!(digest_of(&[(1, 1)]), digest_of(&[(2, 1)]));
        assert_ne!(digest_of(&[(1, 1)]), digest_of(&[(1, 2)]));
    }

    #[test]
    fn a_client_can_compute_it_from_what_it_sees() {
        let (id, etag) = (Uuid::from_u128(1), Etag { revision: 1, digest: 7 });
        let seen = "00000000-0000-0000-0000-000000000001\n\"AAAAAAAAAAEAAAAAAAAABw\"";
        let of_note = SetDigest::default().toggled(NoteId::from_uuid(id), etag);
        let of_tag = SetDigest::default().tag_toggled(TagId::from_uuid(id), etag);
        for (digest, collection) in [(of_note, "notes"), (of_tag, "tags")] {
            let expected = digest::digest(&digest::SHA256, format!("{collection}/{seen}").as_bytes());
            assert_eq!(digest.as_bytes(), expected.as_ref());
        }
    }
}
