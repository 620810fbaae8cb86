//! How sorted terms and numbers are written small.

use std::collections::BTreeMap;

/// Where a term occurs in a note: bits.
pub(super) mod marks {
    pub(in super::super) const TITLE: u8 = 1;
    pub(in super::super) const CONTENT: u8 = 2;
    /// At least [`MANY`] times.
    pub(in super::super) const OFTEN: u8 = 4;
    pub(in super::super) const MANY: u32 = 3;
}

/// Appends a number, seven bits a byte, the low ones first.
pub(super) fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7F).expect("seven bits") | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).expect("seven bits"));
}

/// Takes a number off the beginning; none if there is none.
pub(super) fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes so many bytes off the beginning.
pub(super) fn read_bytes<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// A term of a sorted sequence, written as what it has more than the beginning of the one before.
pub(super) fn write_term(bytes: &mut Vec<u8>, before: &[u8], term: &[u8]) {
    let shared = before.iter().zip(term).take_while(|(a, b)| a == b).count();
    bytes.push(u8::try_from(shared).expect("a term has at most 64 bytes"));
    bytes.push(u8::try_from(term.len() - shared).expect("a term has at most 64 bytes"));
    bytes.extend(&term[shared..]);
}

/// Reads a term in the place of the one before; none at the end.
pub(super) fn read_term(bytes: &mut &[u8], term: &mut Vec<u8>) -> Option<()> {
    let &[shared, more] = read_bytes(bytes, 2)? else { return None };
    let more = read_bytes(bytes, more.into())?;
    term.truncate(shared.into());
    term.extend(more);
    Some(())
}

/// Sequence numbers that ascend.
pub(super) fn write_sequence(numbers: &[i64]) -> Vec<u8> {
    let (mut bytes, mut before) = (Vec::with_capacity(numbers.len() * 2), 0);
    for number in numbers {
        write_number(&mut bytes, number.abs_diff(before));
        before = *number;
    }
    bytes
}

pub(super) fn read_sequence(mut bytes: &[u8]) -> Vec<i64> {
    let (mut numbers, mut before) = (Vec::new(), 0_i64);
    while let Some(distance) = read_number(&mut bytes) {
        before = before.saturating_add_unsigned(distance);
        numbers.push(before);
    }
    numbers
}

/// The notes that have a term: their places in the segment, and where in each it occurs.
pub(super) type Postings = Vec<(u16, u8)>;

const BITMAP: u8 = 0x80;

/// Appends postings: marks once if all are alike, places as distances or as bits, whichever is shorter.
pub(super) fn write_postings(bytes: &mut Vec<u8>, postings: &[(u16, u8)], documents: usize) {
    let alike =
        postings.first().map(|(_, marks)| *marks).filter(|first| postings.iter().all(|(_, marks)| marks == first));
    let bitmap = postings.len() > documents.div_ceil(8);
    bytes.push(alike.unwrap_or(0) | if bitmap { BITMAP } else { 0 });
    write_number(bytes, u64::try_from(postings.len()).expect("few"));
    if bitmap {
        let mut bits = vec![0_u8; documents.div_ceil(8)];
        for (place, _) in postings {
            bits[usize::from(place / 8)] |= 1 << (place % 8);
        }
        bytes.extend(bits);
    } else {
        let mut before = 0;
        for (place, _) in postings {
            write_number(bytes, u64::from(place - before));
            before = *place;
        }
    }
    if alike.is_none() {
        bytes.extend(postings.chunks(2).map(|pair| pair[0].1 | pair.get(1).map_or(0, |(_, marks)| marks << 4)));
    }
}

pub(super) fn read_postings(bytes: &mut &[u8], documents: usize) -> Option<Postings> {
    let header = read_bytes(bytes, 1)?[0];
    let count = usize::try_from(read_number(bytes)?).ok()?;
    let mut postings = Postings::with_capacity(count.min(documents));
    if header & BITMAP == 0 {
        let mut place = 0_u16;
        for _ in 0..count {
            place = place.checked_add(u16::try_from(read_number(bytes)?).ok()?)?;
            postings.push((place, header));
        }
    } else {
        let bits = read_bytes(bytes, documents.div_ceil(8))?;
        let places = (0..documents).filter(|place| bits[place / 8] >> (place % 8) & 1 == 1);
        postings.extend(places.map(|place| (u16::try_from(place).expect("few documents"), header & !BITMAP)));
    }
    if header & !BITMAP == 0 {
        let pairs = read_bytes(bytes, postings.len().div_ceil(2))?;
        for (index, (_, marks)) in postings.iter_mut().enumerate() {
            *marks = pairs[index / 2] >> (index % 2 * 4) & 0x0F;
        }
    }
    Some(postings)
}

/// Passes over postings.
pub(super) fn skip_postings(bytes: &mut &[u8], documents: usize) -> Option<()> {
    let header = read_bytes(bytes, 1)?[0];
    let count = usize::try_from(read_number(bytes)?).ok()?;
    if header & BITMAP == 0 {
        for _ in 0..count {
            read_number(bytes)?;
        }
    } else {
        read_bytes(bytes, documents.div_ceil(8))?;
    }
    if header & !BITMAP == 0 {
        read_bytes(bytes, count.div_ceil(2))?;
    }
    Some(())
}

/// Terms with their postings, sorted.
pub(super) type TermPostings = BTreeMap<Vec<u8>, Postings>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Dice;

    #[test]
    fn numbers_come_back() {
        let mut bytes = Vec::new();
        let numbers = [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX];
        numbers.iter().for_each(|number| write_number(&mut bytes, *number));
        let mut rest = bytes.as_slice();
        assert_eq!(numbers.map(|_| read_number(&mut rest)), numbers.map(Some));
        assert_eq!(read_number(&mut rest), None);
        assert_eq!(read_sequence(&write_sequence(&[1, 2, 700, 100_000_000_000])), [1, 2, 700, 100_000_000_000]);
    }

    #[test]
    fn postings_come_back_however_many_there_are() {
        let mut dice = Dice::new(3);
        for documents in [1, 7, 8, 9, 512] {
            for round in 0..200 {
                let share = 1 + dice.roll(20);
                let places: Vec<u16> = (0..documents).filter(|_| dice.roll(share) == 0).collect();
                let mut marks = || if round % 2 == 0 { 2 } else { 1 + u8::try_from(dice.roll(7)).unwrap() };
                let postings: Postings = places.into_iter().map(|place| (place, marks())).collect();
                if postings.is_empty() {
                    continue;
                }
                let mut bytes = Vec::new();
                write_postings(&mut bytes, &postings, documents.into());
                let mut rest = bytes.as_slice();
                assert_eq!(read_postings(&mut rest, documents.into()), Some(postings));
                assert!(rest.is_empty());
                let mut rest = bytes.as_slice();
                assert_eq!((skip_postings(&mut rest, documents.into()), rest.len()), (Some(()), 0));
                for cut in 0..bytes.len() {
                    assert_eq!(read_postings(&mut &bytes[..cut], documents.into()), None, "cut to {cut}");
                }
            }
        }
    }
}
