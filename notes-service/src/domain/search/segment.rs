use std::fmt;

use super::codec::{
    Postings, TermPostings, read_postings, read_sequence, read_term, skip_postings, write_postings, write_sequence,
    write_term,
};
use super::{Document, Lookup};

/// Most notes of a segment.
pub const SEGMENT_DOCUMENTS: usize = 512;

/// About how large a block becomes, in bytes: two fill a page of SQLite.
const BLOCK_BYTES: usize = 1_800;

/// The terms of many notes of one owner: which notes there are, and in blocks of terms, in their order, which notes have
/// each. Notes go by the number of their last change, so that later ones have higher numbers.
#[derive(Clone)]
pub struct Segment {
    sequence: Vec<i64>,
    blocks: Vec<Block>,
}

/// Some terms of a segment, with the notes that have them.
#[derive(Clone)]
pub struct Block {
    /// Not after the first term of the block, and after the last one of the block before.
    pub first_term: Vec<u8>,
    /// The terms.
    pub data: Vec<u8>,
}

/// What a segment is made of.
#[derive(Default)]
pub struct SegmentBuilder {
    sequence: Vec<i64>,
    terms: TermPostings,
}

impl SegmentBuilder {
    /// Adds a note, which changed after those before.
    ///
    /// # Panics
    /// If there are too many already.
    pub fn add(&mut self, change_seq: i64, document: &Document) {
        let place = self.place(change_seq);
        document.visit(|term, marks| self.posting(term, (place, marks)));
    }

    /// Adds what is kept of a stored segment, whose notes changed after those before.
    ///
    /// # Panics
    /// If there are too many already.
    pub fn merge(&mut self, sequence: &[i64], blocks: &[Vec<u8>], keep: impl Fn(i64) -> bool) {
        let places: Vec<_> = sequence.iter().map(|seq| keep(*seq).then(|| self.place(*seq))).collect();
        for block in blocks {
            visit(block, sequence.len(), |term, postings| {
                for (place, marks) in postings {
                    if let Some(Some(place)) = places.get(usize::from(place)) {
                        self.posting(term, (*place, marks));
                    }
                }
            });
        }
    }

    /// The segment; none if nothing was added.
    #[must_use]
    pub fn build(self) -> Option<Segment> {
        self.sequence.first()?;
        let mut blocks = Vec::new();
        // The first block also is where terms before all others are looked for.
        let mut block = Block { first_term: Vec::new(), data: Vec::new() };
        let mut before: &[u8] = &[];
        for (term, postings) in &self.terms {
            if block.data.len() >= BLOCK_BYTES {
                blocks.push(std::mem::replace(&mut block, Block { first_term: term.clone(), data: Vec::new() }));
                before = &[];
            }
            write_term(&mut block.data, before, term);
            write_postings(&mut block.data, postings, self.sequence.len());
            before = term;
        }
        blocks.push(block);
        Some(Segment { sequence: self.sequence, blocks })
    }

    fn place(&mut self, change_seq: i64) -> u16 {
        assert!(self.sequence.len() < SEGMENT_DOCUMENTS, "a segment is full");
        self.sequence.push(change_seq);
        u16::try_from(self.sequence.len() - 1).expect("few")
    }

    fn posting(&mut self, term: &[u8], posting: (u16, u8)) {
        match self.terms.get_mut(term) {
            Some(postings) => postings.push(posting),
            None => drop(self.terms.insert(term.to_vec(), vec![posting])),
        }
    }
}

impl Segment {
    /// The change number of its first note.
    ///
    /// # Panics
    /// Never: a segment has a note.
    #[must_use]
    pub fn first_seq(&self) -> i64 {
        *self.sequence.first().expect("a segment has a note")
    }

    /// The change number of its last note.
    ///
    /// # Panics
    /// Never: a segment has a note.
    #[must_use]
    pub fn last_seq(&self) -> i64 {
        *self.sequence.last().expect("a segment has a note")
    }

    /// How many notes it has.
    #[must_use]
    pub const fn note_count(&self) -> usize {
        self.sequence.len()
    }

    /// The change numbers of its notes, to be stored.
    #[must_use]
    pub fn sequence(&self) -> Vec<u8> {
        write_sequence(&self.sequence)
    }

    /// Its blocks, in the order of their terms.
    #[must_use]
    pub fn into_blocks(self) -> Vec<Block> {
        self.blocks
    }
}

/// The change numbers of the notes of a stored segment.
#[must_use]
pub fn stored_sequence(bytes: &[u8]) -> Vec<i64> {
    read_sequence(bytes)
}

/// Marks which notes of a segment have what is looked up, as far as this block knows.
pub(super) fn look_up(mut block: &[u8], lookup: &Lookup, hits: &mut [u8]) {
    let mut term = Vec::new();
    while read_term(&mut block, &mut term).is_some() {
        if lookup.finds(&term) {
            for (place, marks) in read_postings(&mut block, hits.len()).unwrap_or_default() {
                if let Some(hit) = hits.get_mut(usize::from(place)) {
                    *hit |= marks;
                }
            }
        } else if term.as_slice() > lookup.term.as_bytes() || skip_postings(&mut block, hits.len()).is_none() {
            return;
        }
    }
}

/// Visits every term. Bytes that are no block end early.
fn visit(mut block: &[u8], documents: usize, mut term_and_postings: impl FnMut(&[u8], Postings)) {
    let mut term = Vec::new();
    while read_term(&mut block, &mut term).is_some() {
        let Some(postings) = read_postings(&mut block, documents) else { return };
        term_and_postings(&term, postings);
    }
}

// They hold the words of notes.
impl fmt::Debug for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Segment").field("notes", &self.sequence.len()).finish_non_exhaustive()
    }
}
impl fmt::Debug for Block {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Block").finish_non_exhaustive()
    }
}
impl fmt::Debug for SegmentBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SegmentBuilder").field("notes", &self.sequence.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Dice;

    fn notes(count: usize) -> Vec<(i64, Document)> {
        let mut dice = Dice::new(5);
        let note = |index: usize| {
            let words: String = (0..20).map(|_| format!("w{} ", dice.roll(300))).collect();
            (i64::try_from(index * 3 + 1).unwrap(), Document::of(&format!("note {index}"), &format!("{words} every")))
        };
        (0..count).map(note).collect()
    }

    fn segment(notes: &[(i64, Document)]) -> Segment {
        let mut builder = SegmentBuilder::default();
        notes.iter().for_each(|(seq, document)| builder.add(*seq, document));
        builder.build().expect("there are notes")
    }

    fn found(segment: &Segment, lookup: &Lookup) -> Vec<(i64, u8)> {
        let mut hits = vec![0; segment.note_count()];
        segment.blocks.iter().for_each(|block| look_up(&block.data, lookup, &mut hits));
        segment.sequence.iter().copied().zip(hits).filter(|(_, marks)| *marks != 0).collect()
    }

    fn expected(notes: &[(i64, Document)], lookup: &Lookup) -> Vec<(i64, u8)> {
        let marks = |document: &Document| {
            let mut all = 0;
            document.visit(|term, marks| all |= if lookup.finds(term) { marks } else { 0 });
            all
        };
        notes.iter().map(|(seq, document)| (*seq, marks(document))).filter(|(_, marks)| *marks != 0).collect()
    }

    fn lookups() -> impl Iterator<Item = Lookup> {
        let exact = (0..300).map(|word| Lookup { term: format!("w{word}"), prefix: false });
        let others =
            [("every", false), ("note", false), ("w", true), ("w1", true), ("7", true), ("zzz", false), ("", true)];
        exact.chain(others.map(|(term, prefix)| Lookup { term: term.to_owned(), prefix }))
    }

    #[test]
    fn a_segment_finds_what_its_documents_have() {
        for count in [1, 9, 512] {
            let notes = notes(count);
            let segment = segment(&notes);
            for lookup in lookups() {
                assert_eq!(found(&segment, &lookup), expected(&notes, &lookup), "{}", lookup.term);
            }
        }
    }

    #[test]
    fn a_term_is_in_the_last_block_that_does_not_begin_after_it() {
        let segment = segment(&notes(512));
        assert!(segment.blocks.len() > 3 && segment.blocks[0].first_term.is_empty());
        assert!(segment.blocks.iter().all(|block| block.data.len() < BLOCK_BYTES * 2));
        for lookup in lookups().filter(|lookup| !lookup.prefix) {
            let place = segment.blocks.iter().rposition(|block| block.first_term.as_slice() <= lookup.term.as_bytes());
            let mut hits = vec![0; segment.note_count()];
            look_up(&segment.blocks[place.unwrap()].data, &lookup, &mut hits);
            assert_eq!(hits.iter().filter(|marks| **marks != 0).count(), found(&segment, &lookup).len());
        }
    }

    #[test]
    fn merged_segments_keep_what_is_kept_of_them() {
        let all = notes(400);
        let (one, other) = all.split_at(150);
        let keep = |seq: i64| seq % 2 == 0;
        let mut builder = SegmentBuilder::default();
        for part in [one, other].map(segment) {
            let blocks: Vec<_> = part.blocks.iter().map(|block| block.data.clone()).collect();
            builder.merge(&stored_sequence(&part.sequence()), &blocks, keep);
        }
        let merged = builder.build().unwrap();
        let kept: Vec<_> = all.into_iter().filter(|(seq, _)| keep(*seq)).collect();
        assert_eq!((merged.note_count(), merged.first_seq()), (kept.len(), kept[0].0));
        for lookup in lookups() {
            assert_eq!(found(&merged, &lookup), expected(&kept, &lookup), "{}", lookup.term);
        }
        assert!(SegmentBuilder::default().build().is_none());
    }
}
