use std::fmt;

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Longest address, in bytes: RFC 5321 §4.5.3.1.3 allows a path of 256 with its angle brackets.
pub(crate) const MAX_BYTES: usize = 254;
/// Longest part before the `@`, in bytes (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL_BYTES: usize = 64;
/// Longest label of a domain name, in bytes (RFC 1035 §2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// An e-mail address: `local@domain` of at most 254 bytes, kept as it was typed.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    as_typed: String,
    key: EmailKey,
}

/// What makes an address unique: NFKC and full case folding of the whole address, so that no two spellings that
/// people or mail systems confuse belong to two accounts (CVE-2019-19844 is what happens otherwise).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailKey(String);

/// What the operator allows in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailRules {
    /// Only ASCII before the `@`.
    AsciiLocalPart,
    /// Letters and digits of any script before the `@` (RFC 6531).
    AnyLocalPart,
}

/// Why a text is no acceptable address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailViolation {
    /// Nothing at all.
    Missing,
    /// Longer than 254 bytes, as typed or normalized.
    TooLong,
    /// White space or a control character.
    Blank,
    /// Not `local@domain`.
    Malformed,
    /// A good address whose part before the `@` is not ASCII, which this service does not take.
    NotAscii,
}

impl Email {
    /// Reads an address.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str, rules: EmailRules) -> Result<Self, EmailViolation> {
        if text.is_empty() {
            return Err(EmailViolation::Missing);
        }
        if text.len() > MAX_BYTES {
            return Err(EmailViolation::TooLong);
        }
        if text.chars().any(|char| char.is_whitespace() || char.is_control()) {
            return Err(EmailViolation::Blank);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailViolation::Malformed)?;
        if !is_local_part(local) || !is_domain(domain) {
            return Err(EmailViolation::Malformed);
        }
        if rules == EmailRules::AsciiLocalPart && !local.is_ascii() {
            return Err(EmailViolation::NotAscii);
        }
        let key = fold(text);
        if key.len() > MAX_BYTES {
            return Err(EmailViolation::TooLong);
        }
        Ok(Self { as_typed: text.to_owned(), key: EmailKey(key) })
    }

    /// The address as it was typed.
    #[must_use]
    pub fn as_typed(&self) -> &str {
        &self.as_typed
    }

    /// What makes it unique.
    #[must_use]
    pub const fn key(&self) -> &EmailKey {
        &self.key
    }

    /// The part before the `@`, folded: what a password must not contain.
    #[must_use]
    pub fn folded_local_part(&self) -> &str {
        self.key.0.rsplit_once('@').map_or("", |(local, _)| local)
    }
}

impl EmailKey {
    /// The key as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Email")
    }
}

impl fmt::Debug for EmailKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EmailKey")
    }
}

/// NFKC and full case folding until nothing changes: folding can undo normalization and the other way round.
pub(crate) fn fold(text: &str) -> String {
    text.nfkc().default_case_fold().nfkc().default_case_fold().nfkc().collect()
}

/// A dot-atom (RFC 5322 §3.2.3), with RFC 6531's letters; quoted local parts are not taken.
fn is_local_part(local: &str) -> bool {
    (1..=MAX_LOCAL_BYTES).contains(&local.len())
        && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_char))
}

fn is_atom_char(char: char) -> bool {
    match char.is_ascii() {
        true => char.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(char),
        false => is_word_char(char),
    }
}

/// Labels of letters, digits and inner hyphens (RFC 1123 §2.1), in any script; address literals are not taken.
fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|char| char == '-' || char.is_ascii_alphanumeric() || is_word_char(char))
    })
}

/// A letter, digit or mark beyond ASCII. Invisible characters are none of these.
fn is_word_char(char: char) -> bool {
    !char.is_ascii() && (char.is_alphanumeric() || is_combining_mark(char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, EmailViolation>) {
        let parsed = Email::parse(text, EmailRules::AsciiLocalPart);
        assert_eq!(parsed.as_ref().map(|email| email.key().as_str()).map_err(|violation| *violation), expected);
    }

    #[test]
    fn an_address_is_local_at_domain() {
        check("alice@example.com", Ok("alice@example.com"));
        check("a@localhost", Ok("a@localhost"));
        check("first.last+tag@sub.example-site.org", Ok("first.last+tag@sub.example-site.org"));
        check("!#$%&'*+-/=?^_`{|}~@x.y", Ok("!#$%&'*+-/=?^_`{|}~@x.y"));
        check("alice@bücher.example", Ok("alice@bücher.example"));
        check("", Err(EmailViolation::Missing));
        for malformed in [
            "alice",
            "@example.com",
            "alice@",
            "alice@example..com",
            "alice@.example.com",
            "alice@example.com.",
            ".alice@example.com",
            "al..ice@example.com",
            "alice.@example.com",
            "alice@bob@example.com",
            "\"alice\"@example.com",
            "alice@[127.0.0.1]",
            "alice@-example.com",
            "alice@example-.com",
            "alice@exa_mple.com",
            "ali(ce)@example.com",
            "alice@example.com>",
            "alice@exam\u{200B}ple.com",
            "al\u{202E}ice@example.com",
        ] {
            check(malformed, Err(EmailViolation::Malformed));
        }
    }

    #[test]
    fn white_space_and_controls_are_refused_not_trimmed() {
        for blank in [
            " alice@example.com",
            "alice@example.com\n",
            "al ice@example.com",
            "alice\u{0}@example.com",
            "alice@exam\u{A0}ple.com",
            "alice@example.com\u{2028}",
            "alice@example.com\u{85}",
        ] {
            check(blank, Err(EmailViolation::Blank));
        }
    }

    #[test]
    fn lengths_count_bytes_and_end_exactly_at_their_limits() {
        let local = "l".repeat(64);
        let domain = format!("{}.{}.{}", "d".repeat(63), "d".repeat(63), "d".repeat(61));
        let longest = format!("{local}@{domain}");
        assert_eq!(longest.len(), MAX_BYTES);
        check(&longest, Ok(&longest));
        check(&format!("{longest}d"), Err(EmailViolation::TooLong));
        check(&format!("{}@x.y", "l".repeat(65)), Err(EmailViolation::Malformed));
        check(&format!("a@{}.y", "d".repeat(64)), Err(EmailViolation::Malformed));
        // U+FDFA is three bytes that normalize to thirty-three.
        check(&format!("a@{}.y", "\u{FDFA}".repeat(15)), Err(EmailViolation::TooLong));
    }

    #[test]
    fn spellings_that_people_confuse_have_one_key() {
        check("ALICE@Example.COM", Ok("alice@example.com"));
        check("alice@STRASSE.example", Ok("alice@strasse.example"));
        check("alice@straße.example", Ok("alice@strasse.example"));
        check("alice@ＥＸＡＭＰＬＥ.com", Ok("alice@example.com"));
        check("alice@cafe\u{301}.example", Ok("alice@café.example"));
        check("alice@CAFÉ.example", Ok("alice@café.example"));
        check("alice@ﬁsh.example", Ok("alice@fish.example"));
        // The Kelvin sign folds to an ASCII k.
        check("alice@\u{212A}.example", Ok("alice@k.example"));
    }

    #[test]
    fn letters_of_other_scripts_before_the_at_sign_need_the_operators_consent() {
        check("mike\u{131}@example.com", Err(EmailViolation::NotAscii));
        check("用户@example.com", Err(EmailViolation::NotAscii));
        let parsed = Email::parse("Пример@example.com", EmailRules::AnyLocalPart).expect("allowed");
        assert_eq!(parsed.key().as_str(), "пример@example.com");
        assert_eq!(parsed.as_typed(), "Пример@example.com");
        assert_eq!(parsed.folded_local_part(), "пример");
        let invisible = Email::parse("al\u{200D}ice@example.com", EmailRules::AnyLocalPart);
        assert_eq!(invisible, Err(EmailViolation::Malformed));
    }

    #[test]
    fn folding_twice_changes_nothing_for_any_letter() {
        for char in ('\u{0}'..='\u{3FFFF}').filter(|char| !char.is_ascii()) {
            let once = fold(&char.to_string());
            assert_eq!(fold(&once), once, "U+{:04X}", u32::from(char));
        }
    }

    #[test]
    fn nothing_of_an_address_is_in_its_debug_output() {
        let email = Email::parse("alice@example.com", EmailRules::AsciiLocalPart).expect("well formed");
        assert!(!format!("{email:?} {:?}", email.key()).contains("alice"));
    }
}
