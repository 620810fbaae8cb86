use unicode_normalization::UnicodeNormalization as _;

/// Longest line of text for people (a display name, a client label), in code points.
pub const MAX_LINE_CODE_POINTS: usize = 100;

/// Why a text is no acceptable line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineViolation {
    /// More than [`MAX_LINE_CODE_POINTS`].
    TooLong,
    /// A control character or a line break.
    ControlCharacter,
}

/// One line of text for people after NFC: at most [`MAX_LINE_CODE_POINTS`], no control characters.
pub(super) fn parse(text: &str) -> Result<String, LineViolation> {
    // NFC makes no text more than three times as long, so a hopeless one is refused before the work.
    if text.chars().nth(3 * MAX_LINE_CODE_POINTS).is_some() {
        return Err(LineViolation::TooLong);
    }
    let line: String = text.nfc().collect();
    if line.chars().nth(MAX_LINE_CODE_POINTS).is_some() {
        return Err(LineViolation::TooLong);
    }
    if line.chars().any(|char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')) {
        return Err(LineViolation::ControlCharacter);
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, LineViolation>) {
        assert_eq!(parse(text), expected.map(str::to_owned));
    }

    #[test]
    fn a_line_has_at_most_a_hundred_code_points_and_no_control_characters() {
        check("", Ok(""));
        check("Ada Lovelace 🎩", Ok("Ada Lovelace 🎩"));
        check(&"é".repeat(100), Ok(&"é".repeat(100)));
        check(&"e\u{301}".repeat(100), Ok(&"é".repeat(100)));
        check(&"é".repeat(101), Err(LineViolation::TooLong));
        check(&"e".repeat(1_000_000), Err(LineViolation::TooLong));
        for control in ["a\nb", "a\rb", "a\u{0}b", "a\u{1b}[31m", "a\u{7f}", "a\u{9b}", "a\u{2028}b"] {
            check(control, Err(LineViolation::ControlCharacter));
        }
    }
}
