use std::fmt;
use std::ops::ControlFlow;

use unicode_normalization::UnicodeNormalization as _;

use super::token::{is_undivided, tokens};
use crate::domain::{TagName, TagNameKey};

/// Longest query, in code points after NFC.
pub const QUERY_CODE_POINTS_MAX: usize = 512;

/// What somebody looks for. There are no wrong queries but empty and overlong ones: what has no meaning is a word.
#[derive(Clone, PartialEq, Eq)]
pub struct Query {
    /// All of these must be in a note.
    pub(super) required: Vec<Clause>,
    /// None of these may be in it.
    pub(super) excluded: Vec<Clause>,
    required_tags: Vec<TagNameKey>,
    excluded_tags: Vec<TagNameKey>,
    text: String,
}

/// Words that follow each other, or one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) field: Field,
    pub(super) patterns: Vec<Pattern>,
}

/// Where something is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// In title or content.
    Any,
    Title,
}

/// What a term at a place must be.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Distance from the first term of the clause.
    pub(super) offset: usize,
    pub(super) term: String,
    /// Whether the term only begins so.
    pub(super) prefix: bool,
}

/// Why a query was refused. Says the rule, never the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is too long.
    #[error("must be at most {QUERY_CODE_POINTS_MAX} code points after NFC")]
    TooLong,
    /// It has no word.
    #[error("must have a word to look for")]
    NoWord,
}

impl Query {
    /// Reads a query: words that must all be there, `"a phrase"`, `-word`, `prefix*`, `title:word`, `tag:name`, and
    /// combinations of these. An operator with nothing to operate on, a quote that is not closed and an unknown field are words or nothing.
    ///
    /// # Errors
    /// If it is too long, or has no word at all.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        // Composing makes a text at most three times shorter, so one that is far longer need not be composed first.
        if text.chars().nth(QUERY_CODE_POINTS_MAX * 4).is_some() {
            return Err(QueryError::TooLong);
        }
        let text: String = text.nfc().collect();
        if text.chars().nth(QUERY_CODE_POINTS_MAX).is_some() {
            return Err(QueryError::TooLong);
        }
        let (mut required, mut excluded) = (Vec::new(), Vec::new());
        let (mut required_tags, mut excluded_tags) = (Vec::new(), Vec::new());
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (without, is_excluded) = operator(rest, "-");
            let (without, in_title) = operator(without, "title:");
            let (without, names_tag) = if in_title { (without, false) } else { operator(without, "tag:") };
            let (words, after) = quoted(without).unwrap_or_else(|| without.split_at(word_end(without)));
            rest = after.trim_start();
            if names_tag {
                let tags = if is_excluded { &mut excluded_tags } else { &mut required_tags };
                tags.extend(tag_name(words).filter(|name| !tags.contains(name)));
                continue;
            }
            let field = if in_title { Field::Title } else { Field::Any };
            let clause = Clause { field, patterns: patterns(words) };
            let clauses = if is_excluded { &mut excluded } else { &mut required };
            if !clause.patterns.is_empty() && !clauses.contains(&clause) {
                clauses.push(clause);
            }
        }
        if required.is_empty() && excluded.is_empty() && required_tags.is_empty() && excluded_tags.is_empty() {
            return Err(QueryError::NoWord);
        }
        Ok(Self { required, excluded, required_tags, excluded_tags, text })
    }

    /// The names of tags that a note must have.
    #[must_use]
    pub fn required_tags(&self) -> &[TagNameKey] {
        &self.required_tags
    }

    /// The names of tags that a note may not have.
    #[must_use]
    pub fn excluded_tags(&self) -> &[TagNameKey] {
        &self.excluded_tags
    }

    /// The query as it was written, after NFC.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

// What people look for is private: it never gets into a log or a panic message.
impl fmt::Debug for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Query").finish_non_exhaustive()
    }
}

/// Takes an operator off the beginning, if something follows it.
fn operator<'a>(text: &'a str, operator: &str) -> (&'a str, bool) {
    match text.strip_prefix(operator) {
        Some(rest) if !rest.is_empty() && !rest.starts_with(char::is_whitespace) => (rest, true),
        _ => (text, false),
    }
}

/// What the name of a tag is told apart by; nothing of nothing. What cannot be the name of a tag is the name of none: that
/// of a text without a character, which no tag has.
fn tag_name(words: &str) -> Option<TagNameKey> {
    let words = words.trim();
    let key = || TagName::parse(words).map_or_else(|_| TagNameKey::stored(Vec::new()), |name| TagNameKey::of(&name));
    (!words.is_empty()).then(key)
}

/// What stands in quotes at the beginning, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('"')?.split_once('"')
}

fn word_end(text: &str) -> usize {
    text.find(char::is_whitespace).unwrap_or(text.len())
}

/// The terms of words that follow each other. Several in one word, as in `well-known`, follow each other too.
fn patterns(words: &str) -> Vec<Pattern> {
    let mut patterns: Vec<Pattern> = Vec::new();
    let mut first = None;
    tokens(words, |token| {
        if !token.tail {
            let offset = token.position - *first.get_or_insert(token.position);
            // One character of an undivided script begins whatever term its place has.
            let mut chars = token.term.chars();
            let alone = chars.next().is_some_and(is_undivided) && chars.next().is_none();
            patterns.push(Pattern { offset, term: token.term.to_owned(), prefix: alone });
        }
        ControlFlow::Continue(())
    });
    if words.ends_with('*')
        && let Some(last) = patterns.last_mut()
    {
        last.prefix = true;
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clauses, spelled out.
    fn clauses(text: &str) -> Result<Vec<String>, QueryError> {
        let query = Query::parse(text)?;
        let spelled = |sign: &str, clause: &Clause| {
            let field = if clause.field == Field::Title { "title:" } else { "" };
            let pattern = |pattern: &Pattern| {
                format!("{}@{}{}", pattern.term, pattern.offset, if pattern.prefix { "*" } else { "" })
            };
            format!("{sign}{field}{}", clause.patterns.iter().map(pattern).collect::<Vec<_>>().join(" "))
        };
        let tag = |sign: &str, name: &TagNameKey| format!("{sign}tag:{}", String::from_utf8_lossy(name.as_bytes()));
        let words = query.required.iter().map(|clause| spelled("", clause));
        let words = words.chain(query.excluded.iter().map(|clause| spelled("-", clause)));
        let tags = query.required_tags.iter().map(|name| tag("", name));
        let tags = tags.chain(query.excluded_tags.iter().map(|name| tag("-", name)));
        Ok(words.chain(tags).collect())
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(clauses(text), Ok(expected.iter().map(|&clause| clause.to_owned()).collect()), "{text}");
    }

    #[test]
    fn the_operators_are_read() {
        check("Milk  eggs", &["milk@0", "eggs@0"]);
        check("milk MILK", &["milk@0"]);
        check("\"Oat milk\" -sugar", &["oat@0 milk@1", "-sugar@0"]);
        check("choc* -\"dark choc\"", &["choc@0*", "-dark@0 choc@1"]);
        check("title:plan title:\"big plan\" -title:old", &["title:plan@0", "title:big@0 plan@1", "-title:old@0"]);
        check("title:pl* -title:o*", &["title:pl@0*", "-title:o@0*"]);
        check("well-known", &["well@0 known@1"]);
        check("-milk", &["-milk@0"]);
        check("東京都 都", &["東京@0 京都@1", "都@0*"]);
        check("\"東京 大阪\"", &["東京@0 大阪@2"]);
    }

    #[test]
    fn tags_are_named_as_they_are_told_apart() {
        check("tag:Work milk", &["milk@0", "tag:work"]);
        check("tag:\"To do\" -tag:STRASSE", &["tag:to do", "-tag:strasse"]);
        check("tag:work tag:WORK", &["tag:work"]);
        check("tag:\" work \" tag:日本", &["tag:work", "tag:日本"]);
        check("tag:wor* tag:a,b", &["tag:wor*", "tag:a,b"]);
        check("title:tag:x tag:title:x", &["title:tag@0 x@1", "tag:title:x"]);
        check(&format!("tag:{} tag:a\u{1}b", "x".repeat(64)), &["tag:"]);
    }

    #[test]
    fn what_has_no_meaning_is_a_word_or_nothing() {
        check("\"never closed phrase", &["never@0", "closed@0", "phrase@0"]);
        check("a\"b c\"", &["a@0 b@1", "c@0"]);
        check("title: milk", &["title@0", "milk@0"]);
        check("title:", &["title@0"]);
        check("tag: milk tag:", &["tag@0", "milk@0"]);
        check("milk tag:\"\" tag:\" \"", &["milk@0"]);
        check("tags:work TAG:work", &["tags@0 work@1", "tag@0 work@1"]);
        check("body:milk", &["body@0 milk@1"]);
        check("- milk", &["milk@0"]);
        check("--milk", &["-milk@0"]);
        check("milk*eggs *milk m*k", &["milk@0 eggs@1", "milk@0", "m@0 k@1"]);
        check("milk AND OR NOT (eggs)", &["milk@0", "and@0", "or@0", "not@0", "eggs@0"]);
        check("\"\" milk \"!\"", &["milk@0"]);
        check("'; DROP TABLE notes; --", &["drop@0", "table@0", "notes@0"]);
        check("a\0b", &["a@0 b@1"]);
    }

    #[test]
    fn a_query_has_a_word_and_is_not_overlong() {
        for nothing in ["", " \t\n", "*", "-", "\"", "\"\"", "-\"*\"", "-- - * \" \"", "title:*", "tag:\"\"", "🦀"] {
            assert_eq!(clauses(nothing), Err(QueryError::NoWord), "{nothing}");
        }
        assert!(Query::parse(&"a".repeat(512)).is_ok());
        assert!(Query::parse(&"e\u{301}".repeat(512)).is_ok(), "counted after NFC");
        assert_eq!(Query::parse(&"a".repeat(513)), Err(QueryError::TooLong));
        assert_eq!(Query::parse(&"word ".repeat(10_000)), Err(QueryError::TooLong));
        assert_eq!(Query::parse(&"*".repeat(513)), Err(QueryError::TooLong));
    }

    #[test]
    fn a_query_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", Query::parse("canary")).contains("canary"));
    }
}
