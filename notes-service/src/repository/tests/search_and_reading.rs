//! What a search finds, against what reading every note finds.

use std::collections::BTreeSet;

use super::search::{ids, newest, note};
use super::*;
use crate::domain::View;
use crate::domain::search::{SearchOrder, SearchQuery};

/// Words of several scripts, and characters of one that does not divide its words.
const WORDS: [&str; 14] = [
    "milk",
    "Milky",
    "MILKSHAKE",
    "oat",
    "Straße",
    "straps",
    "привет",
    "Приветствие",
    "мир",
    "مرحبا",
    "नमस्ते",
    "नमक",
    "café",
    "7up",
];
const CHARACTERS: [char; 5] = ['東', '京', '都', '大', 'ガ'];

fn random_text(dice: &mut Dice) -> Vec<String> {
    let part = |dice: &mut Dice| match dice.roll(3) {
        0 => (0..=dice.roll(4)).map(|_| CHARACTERS[dice.roll(CHARACTERS.len())]).collect(),
        _ => WORDS[dice.roll(WORDS.len())].to_owned(),
    };
    (0..dice.roll(7)).map(|_| part(dice)).collect()
}

/// A condition, written as a query and decided without any index.
enum Wanted {
    Word(String),
    Prefix(String),
    Phrase(String, String),
    Part(String),
}

struct Term {
    excluded: bool,
    in_title: bool,
    wanted: Wanted,
}

fn random_term(dice: &mut Dice) -> Term {
    let word = |dice: &mut Dice| WORDS[dice.roll(WORDS.len())].to_owned();
    let wanted = match dice.roll(5) {
        0 => Wanted::Prefix(word(dice).chars().take(1 + dice.roll(3)).collect()),
        1 => Wanted::Phrase(word(dice), word(dice)),
        2 => Wanted::Part((0..=dice.roll(3)).map(|_| CHARACTERS[dice.roll(CHARACTERS.len())]).collect()),
        _ => Wanted::Word(word(dice)),
    };
    Term { excluded: dice.roll(4) == 0, in_title: dice.roll(4) == 0, wanted }
}

impl Term {
    fn spelled(&self) -> String {
        let (sign, field) = (if self.excluded { "-" } else { "" }, if self.in_title { "title:" } else { "" });
        match &self.wanted {
            Wanted::Word(text) | Wanted::Part(text) => format!("{sign}{field}{text}"),
            Wanted::Prefix(text) => format!("{sign}{field}{text}*"),
            Wanted::Phrase(first, second) => format!("{sign}{field}\"{first} {second}\""),
        }
    }

    fn fits(&self, title: &[String], content: &[String]) -> bool {
        let fold = |text: &str| text.to_lowercase().replace('ß', "ss");
        let is_in = |parts: &[String]| match &self.wanted {
            Wanted::Word(word) => parts.iter().any(|part| fold(part) == fold(word)),
            Wanted::Prefix(prefix) => parts.iter().any(|part| fold(part).starts_with(&fold(prefix))),
            Wanted::Part(part) => parts.iter().any(|run| run.contains(part.as_str())),
            Wanted::Phrase(first, second) => {
                parts.windows(2).any(|pair| fold(&pair[0]) == fold(first) && fold(&pair[1]) == fold(second))
            }
        };
        (is_in(title) || (!self.in_title && is_in(content))) != self.excluded
    }
}

#[tokio::test]
async fn a_search_finds_what_reading_every_note_finds() {
    let fixture = Fixture::fresh().await;
    let (alice, mut dice) = (somebody(), Dice::new(11));
    let mut texts: BTreeMap<NoteId, (Vec<String>, Vec<String>)> = BTreeMap::new();
    let mut notes: Vec<Note> = Vec::new();
    for round in 0..6 {
        for _ in 0..2 {
            let fields: Vec<_> = (0..100).map(|_| (random_text(&mut dice), random_text(&mut dice))).collect();
            let made = fields.iter().map(|(title, content)| note(&title.join(" "), &content.join(" "))).collect();
            for (made, text) in fixture.create_together(alice, made).await.into_iter().zip(fields) {
                texts.insert(made.id, text);
                notes.push(made);
            }
        }
        for _ in 0..40 {
            let index = dice.roll(notes.len());
            let (id, trashed) = (notes[index].id, notes[index].trashed.is_some());
            notes[index] = match (dice.roll(4), trashed) {
                (0, false) => done(fixture.trash(alice, id).await),
                (_, true) => done(fixture.restore(alice, id).await),
                (1, false) => {
                    let pinned = NotePatch { pinned: Some(!notes[index].pinned), ..NotePatch::default() };
                    done(fixture.update(alice, id, pinned, None).await)
                }
                (_, false) => {
                    let text = random_text(&mut dice);
                    let changed = done(fixture.update(alice, id, content(&text.join(" ")), None).await);
                    texts.get_mut(&id).unwrap().1 = text;
                    changed
                }
            };
        }
        if round == 3 {
            fixture.empty_trash(alice).await;
            fixture.purge(Duration::ZERO, 50).await;
            notes.retain(|note| note.trashed.is_none());
        }
        notes.sort_by_key(|note| std::cmp::Reverse(note.update_time));
        for _ in 0..16 {
            let terms: Vec<_> = (0..=dice.roll(3)).map(|_| random_term(&mut dice)).collect();
            let text = terms.iter().map(Term::spelled).collect::<Vec<_>>().join(" ");
            let show_deleted = dice.roll(3) == 0;
            let expected: Vec<_> = notes
                .iter()
                .filter(|note| show_deleted || note.trashed.is_none())
                .filter(|note| terms.iter().all(|term| term.fits(&texts[&note.id].0, &texts[&note.id].1)))
                .map(|note| note.id)
                .collect();
            let size = if expected.len() > 30 { 100 } else { [3, 8, 100][dice.roll(3)] };
            let query = SearchQuery { show_deleted, ..newest(&text, size) };
            assert_eq!(ids(&fixture.search(alice, query.clone()).await.0), expected, "round {round}: {text}");
            let ranked = SearchQuery { order: SearchOrder::Relevance, ..query };
            let ranked: BTreeSet<_> = ids(&fixture.search(alice, ranked).await.0).into_iter().collect();
            assert!(
                expected.len() > 1_000 || ranked == expected.into_iter().collect(),
                "ranked, round {round}: {text}"
            );
        }
    }
    assert!(fixture.index_rows(alice).await[1] > 0, "some are in segments");
    for note in &notes {
        assert!(fixture.repository.for_owner(alice).find(note.id, View::Basic).await.unwrap().is_some());
    }
}
