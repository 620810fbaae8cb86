use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::query::{Clause, Field, Query};
use super::token::{Token, tokens};
use crate::domain::SNIPPET_CODE_POINTS;

/// Most places that are highlighted in one text.
pub const HIGHLIGHTS_MAX: usize = 32;

/// How many code points of a snippet stand before the first place that was found.
const BEFORE: usize = 40;

/// A place in a text, in code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Highlight {
    /// The first code point.
    pub start: usize,
    /// The code point after the last one.
    pub end: usize,
}

/// A piece of a text, with what was found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The piece.
    pub text: String,
    /// What was found, in its order and without overlaps, counted from the beginning of the piece.
    pub highlights: Vec<Highlight>,
}

impl Query {
    /// Whether a note with these texts fits.
    #[must_use]
    pub fn fits(&self, title: &str, content: &str) -> bool {
        let clauses: Vec<_> = self.required.iter().chain(&self.excluded).collect();
        let mut met = vec![false; clauses.len()];
        for (field, text) in [(Field::Title, title), (Field::Any, content)] {
            find(&clauses, field, text, |clause, _| {
                met[clause] = true;
                // Nothing can heal that something excluded is there.
                if clause >= self.required.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        }
        let (required, excluded) = met.split_at(self.required.len());
        required.iter().all(|met| *met) && !excluded.contains(&true)
    }

    /// What is found in a title.
    #[must_use]
    pub fn highlights(&self, title: &str) -> Vec<Highlight> {
        self.places(Field::Title, title, |_| usize::MAX)
    }

    /// The piece of a content around what is found first, or its beginning.
    #[must_use]
    pub fn excerpt(&self, content: &str) -> Excerpt {
        let places = self.places(Field::Any, content, |first| first.saturating_sub(BEFORE) + SNIPPET_CODE_POINTS);
        let begin = places.first().map_or(0, |first| first.start.saturating_sub(BEFORE));
        let text: String = content.chars().skip(begin).take(SNIPPET_CODE_POINTS).collect();
        let end = begin + SNIPPET_CODE_POINTS;
        let inside = places.into_iter().filter(|place| place.start < end);
        let highlights = inside.map(|place| Highlight { start: place.start - begin, end: place.end.min(end) - begin });
        Excerpt { text, highlights: highlights.collect() }
    }

    /// The places of everything required, merged, up to the code point that `until` makes of the first one.
    fn places(&self, field: Field, text: &str, until: impl Fn(usize) -> usize) -> Vec<Highlight> {
        let clauses: Vec<_> = self.required.iter().collect();
        let mut places: Vec<Highlight> = Vec::new();
        find(&clauses, field, text, |_, place| {
            let end = places.first().map_or(usize::MAX, |first| until(first.start));
            // A phrase is found at its last word, so some of the text after the piece may have to be read.
            if place.start >= end || places.len() >= HIGHLIGHTS_MAX * 2 {
                return ControlFlow::Break(());
            }
            places.push(place);
            ControlFlow::Continue(())
        });
        places.sort_unstable_by_key(|place| (place.start, place.end));
        let mut merged: Vec<Highlight> = Vec::new();
        for place in places {
            match merged.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                _ => merged.push(place),
            }
        }
        merged.truncate(HIGHLIGHTS_MAX);
        merged
    }
}

/// Finds the clauses in a text, each time at its last word.
fn find(clauses: &[&Clause], field: Field, text: &str, mut found: impl FnMut(usize, Highlight) -> ControlFlow<()>) {
    let mut begun: Vec<Begun> = clauses.iter().map(|_| Begun::default()).collect();
    tokens(text, |token| {
        for (number, (clause, begun)) in clauses.iter().zip(&mut begun).enumerate() {
            if clause.field == Field::Title && field != Field::Title {
                continue;
            }
            if let Some(place) = begun.go_on(clause, &token) {
                found(number, place)?;
            }
        }
        ControlFlow::Continue(())
    });
}

/// Places where a clause may be: where it would begin, how many of its terms were there, and its first code point.
#[derive(Default)]
struct Begun(VecDeque<(usize, usize, usize)>);

impl Begun {
    fn go_on(&mut self, clause: &Clause, token: &Token<'_>) -> Option<Highlight> {
        let mut found = None;
        for (number, pattern) in clause.patterns.iter().enumerate() {
            let hit = if pattern.prefix { token.term.starts_with(&pattern.term) } else { token.term == pattern.term };
            let Some(begin) = token.position.checked_sub(pattern.offset).filter(|_| hit) else { continue };
            if number == 0 {
                self.0.push_back((begin, 0, token.start));
            }
            // Every term before this one must have been there.
            if let Some(place) = self.0.iter_mut().find(|place| place.0 == begin && place.1 == number) {
                place.1 += 1;
                if place.1 == clause.patterns.len() {
                    found = Some(Highlight { start: place.2, end: token.end });
                }
            }
        }
        let reach = clause.patterns.last().map_or(0, |last| last.offset);
        while self.0.front().is_some_and(|(begin, ..)| begin + reach <= token.position) {
            self.0.pop_front();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, title: &str, content: &str, expected: bool) {
        assert_eq!(Query::parse(query).unwrap().fits(title, content), expected, "{query}: {title} / {content}");
    }

    #[test]
    fn a_note_fits_by_its_words() {
        check("milk", "", "Milk!", true);
        check("milk", "MILK", "", true);
        check("milk", "", "milky", false);
        check("milk*", "", "milky", true);
        check("milk eggs", "eggs", "milk", true);
        check("milk eggs", "eggs", "", false);
        check("milk -eggs", "", "milk", true);
        check("milk -eggs", "eggs", "milk", false);
        check("-eggs", "", "milk", true);
        check("title:milk", "", "milk", false);
        check("title:milk", "milk", "", true);
        check("milk -title:milk", "", "milk", true);
        check("milk -title:milk", "milk", "milk", false);
    }

    #[test]
    fn a_note_fits_by_words_that_follow_each_other_in_one_text() {
        check("\"oat milk\"", "", "some oat, milk", true);
        check("\"oat milk\"", "", "milk oat", false);
        check("\"oat milk\"", "oat", "milk", false);
        check("\"oat milk\"", "", "oat oat milk", true);
        check("\"a a b\"", "", "a a a b", true);
        check("\"a b a c\"", "", "a b a b a c", true);
        check("-\"oat milk\" oat", "", "oat and milk", true);
        check("-\"oat milk\" oat", "", "oat milk", false);
        check("well-known", "", "a well known man", true);
        check("well-known", "", "known well", false);
        check("title:\"oat milk\"", "", "oat milk", false);
    }

    #[test]
    fn a_part_of_a_compound_is_found_in_scripts_without_spaces() {
        check("東京", "", "私は東京都に住む", true);
        check("京都", "", "私は東京都に住む", true);
        check("東都", "", "私は東京都に住む", false);
        check("東京都", "", "東京と京都", false);
        check("都", "", "東京都", true);
        check("大", "", "東京都", false);
        check("서울", "", "서울에서", true);
        check("\"東京 大阪\"", "", "東京、大阪", true);
        check("สวัสดี", "", "กล่าวสวัสดีครับ", true);
    }

    fn excerpt(query: &str, content: &str) -> (String, Vec<(usize, usize)>) {
        let Excerpt { text, highlights } = Query::parse(query).unwrap().excerpt(content);
        (text, highlights.into_iter().map(|place| (place.start, place.end)).collect())
    }

    #[test]
    fn highlights_are_code_points_of_the_piece() {
        assert_eq!(excerpt("milk", "😀 Mílk MILK"), ("😀 Mílk MILK".to_owned(), vec![(7, 11)]));
        assert_eq!(
            excerpt("\"oat milk\" oat", "oat, milk; oat"),
            ("oat, milk; oat".to_owned(), vec![(0, 9), (11, 14)])
        );
        assert_eq!(excerpt("東京都", "私は東京都に"), ("私は東京都に".to_owned(), vec![(2, 5)]));
        assert_eq!(excerpt("milk", "nothing of it"), ("nothing of it".to_owned(), vec![]));
        assert_eq!(excerpt("milk -eggs", "eggs milk").1, [(5, 9)], "what is excluded is not shown");
        assert_eq!(excerpt("title:milk", "milk").1, []);
        assert_eq!(Query::parse("milk").unwrap().highlights("Oat milk"), [Highlight { start: 4, end: 8 }]);
    }

    #[test]
    fn a_piece_begins_a_little_before_what_was_found_first() {
        let content = format!("{} needle {}", "é ".repeat(500), "hay needle ".repeat(100));
        let (text, highlights) = excerpt("needle", &content);
        assert_eq!(text.chars().count(), SNIPPET_CODE_POINTS);
        assert_eq!(highlights[0], (40, 46));
        let shown: Vec<String> =
            highlights.iter().map(|(start, end)| text.chars().skip(*start).take(end - start).collect()).collect();
        let (last, whole) = shown.split_last().unwrap();
        assert!(whole.len() > 10 && whole.iter().all(|word| word == "needle") && "needle".starts_with(last.as_str()));
        assert_eq!(excerpt("hay", &"hay ".repeat(1_000)).1.len(), HIGHLIGHTS_MAX);
    }
}
