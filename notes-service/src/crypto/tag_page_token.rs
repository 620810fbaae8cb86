use std::time::SystemTime;

use authn::Subject;

use super::PageTokens;
use crate::domain::TagNameKey;

/// Tokens of lists of tags, bound to their owner alone: there is one order.
impl PageTokens {
    /// The token for a page of tags that begins after this name.
    #[must_use]
    pub fn seal_tags(&self, owner: Subject, after: &TagNameKey, now: SystemTime) -> String {
        self.seal_place(&bound_to(owner), after.as_bytes(), now)
    }

    /// The name in a token of a list of tags; none if it was not made for that, or too long ago.
    #[must_use]
    pub fn open_tags(&self, token: &str, owner: Subject, now: SystemTime) -> Option<TagNameKey> {
        self.open_place(token, &bound_to(owner), now).map(TagNameKey::stored)
    }
}

fn bound_to(owner: Subject) -> Vec<u8> {
    [b"notes.v1.TagService/ListTags".as_slice(), owner.as_uuid().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::TokenKeys;
    use super::*;
    use crate::domain::{TAG_NAME_CODE_POINTS_MAX, TagName};
    use crate::testing::somebody;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    /// The character that folding makes longest: six bytes in place of two.
    const LONGEST: &str = "\u{390}";

    #[test]
    fn a_token_is_good_for_the_tags_of_one_owner() {
        let tokens = PageTokens::new(Arc::new(TokenKeys::new(b"secret", [])), Duration::from_secs(60));
        let (alice, bob) = (somebody(), somebody());
        let name = TagName::parse(&LONGEST.repeat(TAG_NAME_CODE_POINTS_MAX)).unwrap();
        let after = TagNameKey::of(&name);
        let token = tokens.seal_tags(alice, &after, NOW);
        assert_eq!(tokens.open_tags(&token, alice, NOW), Some(after));
        assert_eq!(tokens.open_tags(&token, bob, NOW), None);
        assert_eq!(tokens.open_tags(&token, alice, NOW + Duration::from_secs(61)), None);
    }
}
