use std::ops::ControlFlow;

use unicode_normalization::UnicodeNormalization as _;
use unicode_segmentation::UnicodeSegmentation as _;

/// Longest term, in bytes; what is longer is cut between code points, in texts and in queries alike.
pub const TERM_BYTES_MAX: usize = 64;

/// A term with its place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What is looked up: NFKC and full case folding of a word, or of two neighbouring characters where a script does not
    /// divide its words.
    pub term: &'a str,
    /// Its number in the text.
    pub position: usize,
    /// Its first code point.
    pub start: usize,
    /// The code point after its last one.
    pub end: usize,
    /// Whether it only is the end of the run that the tokens before cover already.
    pub tail: bool,
}

/// Finds the terms of a text, in their order.
///
/// Words are those of UAX #29, divided further at apostrophes, dots and colons that are not between digits: so `homme` is
/// found in `l'homme`, and `can’t` is what `can't` is, two terms that follow each other. Scripts that do not divide their words (Chinese, Japanese, Thai, …), and Korean, whose
/// words carry endings, yield each two neighbouring characters, and the last one alone: so every character begins a
/// term, and a part of a compound is found. Ends early if `found` breaks off.
pub fn tokens(text: &str, mut found: impl FnMut(Token<'_>) -> ControlFlow<()>) {
    // Breaking off is no failure, so that nobody need know of it.
    let _: ControlFlow<()> = walk(text, &mut found);
}

fn walk(text: &str, found: &mut impl FnMut(Token<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
    let mut tokenizer = Tokenizer { position: 0, run: Vec::new(), buffer: String::new() };
    let (mut start, mut at, mut run_end) = (0, 0, 0);
    for (index, word) in text.unicode_word_indices() {
        start += code_points(&text[at..index]);
        at = index;
        if index != run_end {
            tokenizer.end_run(found)?;
        }
        let mut part_start = start;
        for (part, gap) in parts(word) {
            let end = part_start + code_points(part);
            if part.is_ascii() {
                tokenizer.end_run(found)?;
                tokenizer.word(part.chars().map(|char| char.to_ascii_lowercase()), part_start, end, found)?;
            } else {
                tokenizer.folded(part, part_start, end, found)?;
            }
            part_start = end + gap;
        }
        run_end = index + word.len();
    }
    tokenizer.end_run(found)
}

struct Tokenizer {
    position: usize,
    /// Neighbouring characters of scripts that do not divide their words, with their places.
    run: Vec<(char, usize, usize)>,
    buffer: String,
}

impl Tokenizer {
    /// A word that is not ASCII; one that touches it before may go on in it.
    fn folded(
        &mut self,
        word: &str,
        start: usize,
        end: usize,
        found: &mut impl FnMut(Token<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let folded: Vec<char> = fold(word).chars().collect();
        let same_length = folded.len() == end - start;
        let mut from = 0;
        while from < folded.len() {
            let run = is_undivided(folded[from]);
            let to = from + folded[from..].iter().take_while(|char| is_undivided(**char) == run).count();
            if run {
                // A character of the text, if folding kept their number; else the whole word.
                let place = |index| if same_length { (start + index, start + index + 1) } else { (start, end) };
                self.run.extend((from..to).map(|index| (folded[index], place(index).0, place(index).1)));
            } else {
                self.end_run(found)?;
                let (start, end) = if same_length { (start + from, start + to) } else { (start, end) };
                self.word(folded[from..to].iter().copied(), start, end, found)?;
            }
            from = to;
        }
        ControlFlow::Continue(())
    }

    fn word(
        &mut self,
        chars: impl Iterator<Item = char>,
        start: usize,
        end: usize,
        found: &mut impl FnMut(Token<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.buffer.clear();
        for char in chars {
            if self.buffer.len() + char.len_utf8() > TERM_BYTES_MAX {
                break;
            }
            self.buffer.push(char);
        }
        let position = self.position;
        self.position += 1;
        found(Token { term: &self.buffer, position, start, end, tail: false })
    }

    fn end_run(&mut self, found: &mut impl FnMut(Token<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        for index in 0..self.run.len() {
            let (first, start, mut end) = self.run[index];
            self.buffer.clear();
            self.buffer.push(first);
            let second = self.run.get(index + 1);
            if let Some((second, _, second_end)) = second {
                self.buffer.push(*second);
                end = *second_end;
            }
            let tail = second.is_none() && index > 0;
            let position = self.position;
            self.position += 1;
            found(Token { term: &self.buffer, position, start, end, tail })?;
        }
        self.run.clear();
        ControlFlow::Continue(())
    }
}

/// The parts of a word, each with how many code points follow it that belong to none.
fn parts(word: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut rest = word;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut before = ' ';
        let cut = rest.char_indices().find(|(index, char)| {
            let between_digits =
                || before.is_numeric() && rest[index + char.len_utf8()..].starts_with(char::is_numeric);
            let divides = *index > 0 && is_divider(*char) && !between_digits();
            before = *char;
            divides
        });
        let (part, gap) = match cut {
            Some((index, char)) => {
                let part = &rest[..index];
                rest = &rest[index + char.len_utf8()..];
                (part, 1)
            }
            None => (std::mem::take(&mut rest), 0),
        };
        Some((part, gap))
    })
}

/// What UAX #29 leaves inside a word between letters, and their full-width forms.
const fn is_divider(char: char) -> bool {
    matches!(char, '\'' | '.' | ':' | '‘' | '’' | '․' | '﹒' | '﹕' | '＇' | '．' | '：')
}

/// `toNFKC_Casefold` of Unicode.
fn fold(text: &str) -> String {
    let compatible: String = text.nfkc().filter(|char| !is_ignorable(*char)).collect();
    caseless::default_case_fold_str(&compatible).nfkc().collect()
}

/// Whether a code point shows nothing: joiners, direction marks, variation selectors and the like.
const fn is_ignorable(char: char) -> bool {
    matches!(char,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

fn code_points(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// Whether a character is of a script that does not divide its words, or Korean.
pub(super) fn is_undivided(char: char) -> bool {
    matches!(u32::from(char),
        0x0E00..=0x0EFF // Thai, Lao
        | 0x1000..=0x109F | 0xA9E0..=0xA9FF | 0xAA60..=0xAA7F // Myanmar
        | 0x1100..=0x11FF | 0x3130..=0x318F | 0xA960..=0xA97F | 0xAC00..=0xD7FF // Hangul
        | 0x1780..=0x17FF // Khmer
        | 0x2E80..=0x2FDF | 0x3005..=0x3007 | 0x3021..=0x3029 | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF
        | 0x2_0000..=0x3_FFFF // Han
        | 0x3040..=0x30FF | 0x31F0..=0x31FF | 0x1_B000..=0x1_B16F // Hiragana, Katakana
        | 0x3100..=0x312F | 0x31A0..=0x31BF // Bopomofo
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        tokens(text, |token| {
            terms.push(token.term.to_owned());
            ControlFlow::Continue(())
        });
        terms
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(terms(text), expected, "{text}");
    }

    #[test]
    fn words_are_those_of_unicode_folded() {
        check("", &[]);
        check(" - … !? 🦀 \u{0} ", &[]);
        check(
            "The quick (\"brown\") fox can't jump 32.3 feet, right?",
            &["the", "quick", "brown", "fox", "can", "t", "jump", "32.3", "feet", "right"],
        );
        check("Straße STRASSE ﬁle Ａｂｃ", &["strasse", "strasse", "file", "abc"]);
        check("Καλημέρα ΣΟΦΟΣ σοφος", &["καλημέρα", "σοφοσ", "σοφοσ"]);
        check("Привет, мир-труд", &["привет", "мир", "труд"]);
        check("مرحبا بالعالم", &["مرحبا", "بالعالم"]);
        check("שלום עולם", &["שלום", "עולם"]);
        check("नमस्ते दुनिया", &["नमस्ते", "दुनिया"]);
        check("snake_case bob@example.com", &["snake_case", "bob", "example", "com"]);
        check(
            "l'homme L’Homme end.Next todo:milk 1.2.3 v1.a 12:30",
            &["l", "homme", "l", "homme", "end", "next", "todo", "milk", "1.2.3", "v1", "a", "12", "30"],
        );
        check("می\u{200c}خواهم co\u{ad}operate", &["میخواهم", "cooperate"]);
        check("Cafe\u{301} CAFÉ", &["café", "café"]);
    }

    #[test]
    fn scripts_without_spaces_yield_pairs_and_the_last_character() {
        check("東京都", &["東京", "京都", "都"]);
        check("東", &["東"]);
        check("東 京", &["東", "京"]);
        check("東京、大阪", &["東京", "京", "大阪", "阪"]);
        check("ひらがなカタ", &["ひら", "らが", "がな", "なカ", "カタ", "タ"]);
        check("ｶﾞｷﾞ", &["ガギ", "ギ"]);
        check("서울에서 만나", &["서울", "울에", "에서", "서", "만나", "나"]);
        check("iPhone用ケース x", &["iphone", "用ケ", "ケー", "ース", "ス", "x"]);
        assert_eq!(terms("สวัสดี").len(), "สวัสดี".chars().count());
        check("𠮷野家", &["𠮷野", "野家", "家"]);
    }

    #[test]
    fn places_are_code_points_of_the_text_as_it_was_written() {
        let mut places = Vec::new();
        tokens("é ﬁx 😀 東京x Straße", |token| {
            places.push((token.term.to_owned(), token.position, token.start, token.end, token.tail));
            ControlFlow::Continue(())
        });
        let place = |term: &str, position, start, end, tail| (term.to_owned(), position, start, end, tail);
        assert_eq!(
            places,
            [
                place("é", 0, 0, 1, false),
                place("fix", 1, 2, 4, false),
                place("東京", 2, 7, 9, false),
                place("京", 3, 8, 9, true),
                place("x", 4, 9, 10, false),
                place("strasse", 5, 11, 17, false),
            ]
        );
    }

    #[test]
    fn a_term_is_cut_at_64_bytes_between_code_points() {
        check(&"a".repeat(100), &[&"a".repeat(64)]);
        check(&format!("a{}", "é".repeat(100)), &[&format!("a{}", "é".repeat(31))]);
    }

    #[test]
    fn every_term_of_any_text_is_short_and_lies_in_the_text() {
        let alphabet: Vec<char> = "aB'.-_ 1½éß\u{301}ﬁ東京カﾞ가ᄀัย🦀\u{200d}\u{0}ΣİǅㄅⅫ㍿\u{fdfa}".chars().collect();
        let mut dice = crate::testing::Dice::new(7);
        for _ in 0..2_000 {
            let text: String = (0..dice.roll(30)).map(|_| alphabet[dice.roll(alphabet.len())]).collect();
            let (length, mut next, mut last_start) = (text.chars().count(), 0, 0);
            tokens(&text, |token| {
                assert!(!token.term.is_empty() && token.term.len() <= TERM_BYTES_MAX, "{text:?} {token:?}");
                assert!(token.start < token.end && token.end <= length, "{text:?} {token:?}");
                assert!(token.start >= last_start && token.position == next, "{text:?} {token:?}");
                (next, last_start) = (next + 1, token.start);
                ControlFlow::Continue(())
            });
        }
    }
}
