use super::codec::marks;
use super::query::{Clause, Field};
use super::segment::look_up;
use super::{Document, Query};

/// Most terms of a query that are looked up in the index; the others are looked for in the texts.
pub const LOOKUPS_MAX: usize = 16;

/// A term to look up in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The term.
    pub term: String,
    /// Whether terms that begin with it are found too.
    pub prefix: bool,
}

/// What the index is asked, so that few notes are left to be read.
#[derive(Clone, Debug)]
pub struct Plan {
    lookups: Vec<Lookup>,
    /// Of each lookup that must hit, its number and where.
    required: Vec<(usize, u8)>,
    /// Of each lookup that must not hit.
    excluded: Vec<(usize, u8)>,
    reads_texts: bool,
}

/// How well a note fits a query; more is better.
pub type Score = u32;

impl Lookup {
    pub(super) fn finds(&self, term: &[u8]) -> bool {
        if self.prefix { term.starts_with(self.term.as_bytes()) } else { term == self.term.as_bytes() }
    }
}

impl Plan {
    /// The plan for a query.
    #[must_use]
    pub fn of(query: &Query) -> Self {
        let mut plan = Self { lookups: Vec::new(), required: Vec::new(), excluded: Vec::new(), reads_texts: false };
        let single = |clause: &&Clause| clause.patterns.len() == 1;
        // Words before phrases, so that what the index can answer alone it does.
        for clause in query.required.iter().filter(single).chain(query.required.iter().filter(|clause| !single(clause)))
        {
            plan.reads_texts |= !single(&clause);
            for pattern in &clause.patterns {
                match plan.lookup(&pattern.term, pattern.prefix) {
                    Some(lookup) => plan.required.push((lookup, where_in(clause.field))),
                    None => plan.reads_texts = true,
                }
            }
        }
        for clause in &query.excluded {
            match clause.patterns.as_slice() {
                [pattern] => match plan.lookup(&pattern.term, pattern.prefix) {
                    Some(lookup) => plan.excluded.push((lookup, where_in(clause.field))),
                    None => plan.reads_texts = true,
                },
                _ => plan.reads_texts = true,
            }
        }
        plan
    }

    /// What to look up.
    #[must_use]
    pub fn lookups(&self) -> &[Lookup] {
        &self.lookups
    }

    /// Whether a note that the index found must be read to know whether it fits.
    #[must_use]
    pub const fn reads_texts(&self) -> bool {
        self.reads_texts
    }

    /// How well a note fits, as far as its terms tell; none if it does not.
    #[must_use]
    pub fn judge(&self, document: &Document) -> Option<Score> {
        let mut hits = vec![0; self.lookups.len()];
        document.visit(|term, marks| {
            for (hit, lookup) in hits.iter_mut().zip(&self.lookups) {
                if lookup.finds(term) {
                    *hit |= marks;
                }
            }
        });
        self.score(|lookup| hits[lookup])
    }

    /// Which notes of a segment fit, the last one first, and how well, as far as their terms tell. `blocks` are those in
    /// which each lookup may be found, by its number.
    #[must_use]
    pub fn judge_segment(&self, sequence: &[i64], blocks: &[(usize, Vec<u8>)]) -> Vec<(i64, Score)> {
        let mut hits = vec![vec![0; sequence.len()]; self.lookups.len()];
        for (number, block) in blocks {
            if let (Some(lookup), Some(hits)) = (self.lookups.get(*number), hits.get_mut(*number)) {
                look_up(block, lookup, hits);
            }
        }
        let scores = sequence.iter().enumerate().rev();
        scores.filter_map(|(place, seq)| Some((*seq, self.score(|lookup| hits[lookup][place])?))).collect()
    }

    fn score(&self, marks_of: impl Fn(usize) -> u8) -> Option<Score> {
        if self.excluded.iter().any(|(lookup, places)| marks_of(*lookup) & places != 0) {
            return None;
        }
        let mut score = 0;
        for (lookup, places) in &self.required {
            let marks = marks_of(*lookup);
            if marks & places == 0 {
                return None;
            }
            score += worth(marks);
        }
        Some(score)
    }

    fn lookup(&mut self, term: &str, prefix: bool) -> Option<usize> {
        let lookup = Lookup { term: term.to_owned(), prefix };
        if let Some(number) = self.lookups.iter().position(|known| *known == lookup) {
            return Some(number);
        }
        (self.lookups.len() < LOOKUPS_MAX).then(|| {
            self.lookups.push(lookup);
            self.lookups.len() - 1
        })
    }
}

const fn where_in(field: Field) -> u8 {
    match field {
        Field::Any => marks::TITLE | marks::CONTENT,
        Field::Title => marks::TITLE,
    }
}

/// A word in the title says more of a note than one that it repeats, and that more than one that it has.
const fn worth(hit: u8) -> Score {
    match (hit & marks::TITLE != 0, hit & marks::OFTEN != 0) {
        (true, true) => 9,
        (true, false) => 8,
        (false, true) => 2,
        (false, false) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::search::SegmentBuilder;

    fn plan(query: &str) -> Plan {
        Plan::of(&Query::parse(query).unwrap())
    }

    #[test]
    fn words_are_answered_by_the_index_and_phrases_by_the_texts() {
        for query in ["milk", "milk eggs -sugar", "choc* title:plan -title:o*", "-milk", "東京", "都"] {
            assert!(!plan(query).reads_texts(), "{query}");
        }
        for query in ["\"oat milk\"", "-\"oat milk\"", "well-known", "東京都", "title:\"big plan\""] {
            assert!(plan(query).reads_texts(), "{query}");
        }
    }

    #[test]
    fn a_query_of_many_words_looks_up_some_of_them_and_reads_for_the_rest() {
        let words = |count: usize| (0..count).map(|word| format!("w{word} ")).collect::<String>();
        let (all, some) = (plan(&words(LOOKUPS_MAX)), plan(&words(LOOKUPS_MAX + 1)));
        assert_eq!((all.lookups().len(), all.reads_texts()), (LOOKUPS_MAX, false));
        assert_eq!((some.lookups().len(), some.reads_texts()), (LOOKUPS_MAX, true));
        assert_eq!(plan("milk milk -milk title:milk").lookups().len(), 1);
    }

    #[test]
    fn a_segment_is_judged_as_its_documents_are() {
        let texts = [("milk", "eggs"), ("", "milk milk milk"), ("eggs", ""), ("eggs milk", "milk"), ("", "sugar milk")];
        let documents: [Document; 5] = texts.map(|(title, content)| Document::of(title, content));
        let mut builder = SegmentBuilder::default();
        (1..).zip(&documents).for_each(|(seq, document)| builder.add(seq, document));
        let segment = builder.build().unwrap();
        let sequence: Vec<i64> = (1..=5).collect();
        let blocks: Vec<_> = segment.into_blocks().into_iter().map(|block| block.data).collect();
        for query in ["milk", "milk -eggs", "title:milk", "-title:eggs", "egg* milk", "m*", "nothing", "milk -sugar"] {
            let plan = plan(query);
            let each =
                (0..plan.lookups().len()).flat_map(|lookup| blocks.iter().map(move |block| (lookup, block.clone())));
            let expected = (1..).zip(&documents).filter_map(|(seq, document)| Some((seq, plan.judge(document)?)));
            let mut expected: Vec<_> = expected.collect();
            expected.reverse();
            assert_eq!(plan.judge_segment(&sequence, &each.collect::<Vec<_>>()), expected, "{query}");
        }
        assert_eq!(documents.map(|document| plan("milk").judge(&document)), [Some(8), Some(2), None, Some(8), Some(1)]);
    }
}
