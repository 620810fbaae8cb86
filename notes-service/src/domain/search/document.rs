use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;

use super::codec::{marks, read_bytes, read_term, write_term};
use super::token::tokens;

/// Most different terms of a note that can be found; those of the title, and the first ones of the content.
pub const TERMS_MAX: usize = 20_000;

/// The terms of one note, sorted, each with where it occurs.
#[derive(Clone, PartialEq, Eq)]
pub struct Document(Vec<u8>);

impl Document {
    /// The terms of a note with these texts.
    #[must_use]
    pub fn of(title: &str, content: &str) -> Self {
        let mut terms: BTreeMap<String, (u8, u32)> = BTreeMap::new();
        for (text, mark) in [(title, marks::TITLE), (content, marks::CONTENT)] {
            tokens(text, |token| {
                if let Some((marks, times)) = terms.get_mut(token.term) {
                    (*marks, *times) = (*marks | mark, *times + 1);
                } else if terms.len() < TERMS_MAX {
                    terms.insert(token.term.to_owned(), (mark, 1));
                }
                ControlFlow::Continue(())
            });
        }
        let (mut bytes, mut before) = (Vec::with_capacity(terms.len() * 8), "");
        for (term, (marks, times)) in &terms {
            write_term(&mut bytes, before.as_bytes(), term.as_bytes());
            bytes.push(if *times >= marks::MANY { marks | marks::OFTEN } else { *marks });
            before = term;
        }
        Self(bytes)
    }

    /// A document as it was stored.
    #[must_use]
    pub const fn stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Visits every term in its order. Bytes that are no document end early.
    pub(super) fn visit(&self, mut term_and_marks: impl FnMut(&[u8], u8)) {
        let (mut rest, mut term) = (self.0.as_slice(), Vec::new());
        while read_term(&mut rest, &mut term).is_some() {
            let Some(&[marks]) = read_bytes(&mut rest, 1) else { return };
            term_and_marks(&term, marks);
        }
    }
}

// It holds the words of the note.
impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Document").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(document: &Document) -> Vec<(String, u8)> {
        let mut terms = Vec::new();
        document.visit(|term, marks| terms.push((String::from_utf8(term.to_vec()).unwrap(), marks)));
        terms
    }

    #[test]
    fn a_document_has_each_term_once_with_where_it_occurs() {
        let document = Document::of("Milk list", "milk, Milky and eggs; eggs, EGGS. 東京");
        let expected = [
            ("and", marks::CONTENT),
            ("eggs", marks::CONTENT | marks::OFTEN),
            ("list", marks::TITLE),
            ("milk", marks::TITLE | marks::CONTENT),
            ("milky", marks::CONTENT),
            ("京", marks::CONTENT),
            ("東京", marks::CONTENT),
        ];
        assert_eq!(terms(&document), expected.map(|(term, marks)| (term.to_owned(), marks)));
        assert_eq!(terms(&Document::of("", "")), []);
    }

    #[test]
    fn a_document_is_bounded_in_terms() {
        let words = |count: usize| (0..count).map(|index| format!("w{index} ")).collect::<String>();
        assert_eq!(terms(&Document::of("", &words(TERMS_MAX))).len(), TERMS_MAX);
        let over = terms(&Document::of("title", &words(TERMS_MAX)));
        assert_eq!(over.len(), TERMS_MAX);
        assert!(over.contains(&("title".to_owned(), marks::TITLE)) && !over.iter().any(|(term, _)| term == "w19999"));
    }

    #[test]
    fn damaged_bytes_and_debug_output_do_no_harm() {
        let document = Document::of("canary", "some words");
        for cut in 0..document.as_bytes().len() {
            assert!(terms(&Document::stored(document.as_bytes()[..cut].to_vec())).len() <= 3);
        }
        assert!(!format!("{document:?}").contains("canary"));
    }
}
