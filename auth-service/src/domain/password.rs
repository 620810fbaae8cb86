use std::fmt;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::Email;
use super::email::fold;

/// Longest password, in bytes. Checked before any other work is done with it.
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// The least that the minimum length may be set to, in code points (NIST SP 800-63B-4 §3.1.1.2).
pub const LEAST_MIN_CODE_POINTS: usize = 8;
/// A local part or forbidden word shorter than this is not looked for: half of all passwords contain an `a`.
const LEAST_FORBIDDEN_CODE_POINTS: usize = 4;

/// The shipped list, folded, sorted, without its comments.
static COMMON: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().filter(|line| !line.starts_with("# ")).collect());

/// A password that may be chosen: it keeps the rules.
pub struct Password(Zeroizing<String>);

/// A password that somebody claims to be theirs: of possible size, nothing more is known.
pub struct PresentedPassword(Zeroizing<String>);

/// A password's Argon2id hash as a PHC string, as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// What a new password must keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordRules {
    min_code_points: usize,
    forbidden_words: Vec<String>,
}

/// Why a password cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordViolation {
    /// Nothing at all.
    Missing,
    /// More than [`MAX_PASSWORD_BYTES`].
    TooLong,
    /// Fewer code points than this after NFKC.
    TooShort(usize),
    /// It is in the list of common passwords.
    Common,
    /// It contains the part of the e-mail address before the `@`.
    ContainsEmail,
    /// It contains the name of the service.
    ContainsServiceName,
}

impl PasswordRules {
    /// Rules with a minimum length, never below [`LEAST_MIN_CODE_POINTS`], and the names of the service.
    #[must_use]
    pub fn new(min_code_points: usize, service_names: &[String]) -> Self {
        Self {
            min_code_points: min_code_points.max(LEAST_MIN_CODE_POINTS),
            forbidden_words: service_names.iter().map(|name| fold(name)).filter(|name| is_telling(name)).collect(),
        }
    }
}

impl Password {
    /// Reads a new password. It is never trimmed and never cut.
    ///
    /// # Errors
    /// Every rule that it breaks; `email` is the address of its account, if that could be read.
    ///
    /// Source: NIST SP 800-63B-4 §3.1.1.2: length, a list of common passwords and context, no rules of composition.
    pub fn choose(text: &str, rules: &PasswordRules, email: Option<&Email>) -> Result<Self, Vec<PasswordViolation>> {
        let normalized = normalize(text).map_err(|violation| vec![violation])?;
        let folded = Zeroizing::new(fold(&normalized));
        let mut violations = Vec::new();
        if normalized.chars().count() < rules.min_code_points {
            violations.push(PasswordViolation::TooShort(rules.min_code_points));
        }
        if COMMON.binary_search(&folded.as_str()).is_ok() {
            violations.push(PasswordViolation::Common);
        }
        if email.map(Email::folded_local_part).is_some_and(|local| is_telling(local) && folded.contains(local)) {
            violations.push(PasswordViolation::ContainsEmail);
        }
        if rules.forbidden_words.iter().any(|word| folded.contains(word.as_str())) {
            violations.push(PasswordViolation::ContainsServiceName);
        }
        if violations.is_empty() { Ok(Self(normalized)) } else { Err(violations) }
    }

    /// The password after NFKC, to be hashed.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PresentedPassword {
    /// Reads a password that is to be compared. The rules for new ones are not asked: they may have changed since.
    ///
    /// # Errors
    /// If it is empty or too long to be anybody's.
    pub fn parse(text: &str) -> Result<Self, PasswordViolation> {
        normalize(text).map(Self)
    }

    /// The password after NFKC, to be hashed and compared.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PasswordHash {
    /// The hash in this PHC string, which may be anything: whoever verifies against it looks at it first.
    #[must_use]
    pub const fn from_phc(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string.
    #[must_use]
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash")
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password")
    }
}

impl fmt::Debug for PresentedPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PresentedPassword")
    }
}

/// NFKC, so that a password typed on another keyboard or system is the same password. The size is checked first, for
/// a large one must cost nothing, and once more after, for normalization can lengthen.
fn normalize(text: &str) -> Result<Zeroizing<String>, PasswordViolation> {
    if text.is_empty() {
        return Err(PasswordViolation::Missing);
    }
    if text.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordViolation::TooLong);
    }
    let mut normalized = Zeroizing::new(String::with_capacity(2 * MAX_PASSWORD_BYTES));
    for char in text.nfkc() {
        normalized.push(char);
        if normalized.len() > MAX_PASSWORD_BYTES {
            return Err(PasswordViolation::TooLong);
        }
    }
    Ok(normalized)
}

fn is_telling(word: &str) -> bool {
    word.chars().nth(LEAST_FORBIDDEN_CODE_POINTS - 1).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::EmailRules;
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), &[PasswordViolation]>) {
        let rules = PasswordRules::new(15, &["auth-service".to_owned()]);
        let email = Email::parse("Wonderland@example.com", EmailRules::AsciiLocalPart).expect("well formed");
        let chosen = Password::choose(text, &rules, Some(&email));
        assert_eq!(chosen.as_ref().map(|_| ()).map_err(Vec::as_slice), expected);
    }

    #[test]
    fn fifteen_code_points_are_enough_and_fourteen_are_not() {
        check("a quiet teapot!", Ok(()));
        check("a quiet teapot", Err(&[PasswordViolation::TooShort(15)]));
        check("日本語の長い合言葉です雨にも負け", Ok(()));
        check("", Err(&[PasswordViolation::Missing]));
    }

    #[test]
    fn length_is_counted_after_normalization() {
        // Fifteen letters with a combining accent each are thirty code points typed and fifteen composed.
        check(&"e\u{301}".repeat(15), Ok(()));
        check(&"e\u{301}".repeat(14), Err(&[PasswordViolation::TooShort(15)]));
    }

    #[test]
    fn no_more_than_1024_bytes_before_or_after_normalization() {
        check(&"x1".repeat(512), Ok(()));
        check(&format!("{}y", "x1".repeat(512)), Err(&[PasswordViolation::TooLong]));
        // Three bytes that normalize to thirty-three.
        check(&"\u{FDFA}".repeat(32), Err(&[PasswordViolation::TooLong]));
        check(&"\u{FDFA}".repeat(31), Ok(()));
    }

    #[test]
    fn nothing_is_trimmed_and_nothing_is_composed_by_rule() {
        let rules = PasswordRules::new(15, &[]);
        let spaced = Password::choose("  all lower case  ", &rules, None).expect("spaces count");
        assert_eq!(spaced.expose(), "  all lower case  ");
        assert!(Password::choose("\u{0}\u{1}\u{2} binary is fine", &rules, None).is_ok());
    }

    #[test]
    fn one_password_typed_in_two_ways_is_one_password() {
        let composed = PresentedPassword::parse("caf\u{e9} ﬁsh Ⅳ").expect("short is no matter here");
        let decomposed = PresentedPassword::parse("cafe\u{301} fish IV").expect("short is no matter here");
        assert_eq!(composed.expose(), decomposed.expose());
    }

    #[test]
    fn common_passwords_and_those_that_tell_of_the_account_or_the_service_are_refused() {
        check("passwordpassword", Err(&[PasswordViolation::Common]));
        check("PasswordPassword", Err(&[PasswordViolation::Common]));
        check("ｐasswordpassword", Err(&[PasswordViolation::Common]));
        check("123456789012345", Err(&[PasswordViolation::Common]));
        check("correcthorsebatterystaple", Err(&[PasswordViolation::Common]));
        check("alice in WonderLand 1865", Err(&[PasswordViolation::ContainsEmail]));
        check("my Auth-Service secret", Err(&[PasswordViolation::ContainsServiceName]));
        check("wonderland", Err(&[PasswordViolation::TooShort(15), PasswordViolation::ContainsEmail]));
    }

    #[test]
    fn a_very_short_local_part_is_not_held_against_a_password() {
        let rules = PasswordRules::new(15, &[]);
        let email = Email::parse("al@example.com", EmailRules::AsciiLocalPart).expect("well formed");
        assert!(Password::choose("a halfway normal one", &rules, Some(&email)).is_ok());
    }

    #[test]
    fn the_minimum_cannot_be_set_below_eight() {
        let rules = PasswordRules::new(1, &[]);
        let seven = Password::choose("zq7-kf2", &rules, None).map(|_| ());
        assert_eq!(seven, Err(vec![PasswordViolation::TooShort(8)]));
        assert!(Password::choose("zq7-kf2!", &rules, None).is_ok());
    }

    #[test]
    fn the_list_is_sorted_folded_and_holds_nothing_that_the_length_rule_refuses_anyway() {
        assert!(COMMON.len() > 500);
        assert!(COMMON.is_sorted_by(|one, other| one < other), "sorted by bytes, each once");
        for entry in COMMON.iter() {
            assert!(entry.chars().count() >= LEAST_MIN_CODE_POINTS, "{entry}");
            assert_eq!(fold(entry), *entry);
        }
    }

    #[test]
    fn nothing_of_a_password_is_in_its_debug_output() {
        let rules = PasswordRules::new(15, &[]);
        let chosen = Password::choose("a quiet teapot!", &rules, None).expect("long enough");
        let presented = PresentedPassword::parse("a quiet teapot!").expect("short enough");
        assert_eq!(format!("{chosen:?} {presented:?}"), "Password PresentedPassword");
    }
}
