use std::time::UNIX_EPOCH;

use super::*;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
const RULES: KeyRules =
    KeyRules { rotation_interval: Duration::from_secs(30 * DAY), publish_ahead: Duration::from_secs(HOUR) };

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn key(letter: char) -> PublicHalf {
    let id = KeyId::parse(&letter.to_string().repeat(ID_CHARACTERS)).expect("an id");
    PublicHalf { id, n: format!("modulus of {letter}"), e: "AQAB".to_owned() }
}

fn id(letter: char) -> KeyId {
    key(letter).id
}

/// The keys in the order of the alphabet, each with the first letter of its state but `v` for revoked.
fn shape(set: &KeySet) -> String {
    let mut keys: Vec<_> = set
        .records()
        .iter()
        .map(|record| {
            let state = match record.state {
                KeyState::Standby => 's',
                KeyState::Current => 'c',
                KeyState::Retired => 'r',
                KeyState::Revoked => 'v',
            };
            format!("{}{state}", &record.id().as_str()[..1])
        })
        .collect();
    keys.sort();
    keys.join(" ")
}

fn keep(set: &KeySet, spare: Option<char>, seconds: u64) -> Result<KeySet, KeyRefusal> {
    set.decide(KeyWish::Keep, &RULES, spare.map(key).as_ref(), at(seconds))
}

/// `a` signs since 0, `b` stands by since 0.
fn whole() -> KeySet {
    let first = keep(&KeySet::default(), Some('a'), 0).expect("a first key");
    keep(&first, Some('b'), 0).expect("a second one")
}

#[track_caller]
fn check(before: &KeySet, wish: KeyWish, spare: Option<char>, seconds: u64, expected: Result<&str, KeyRefusal>) {
    let after = before.decide(wish, &RULES, spare.map(key).as_ref(), at(seconds));
    assert_eq!(
        after.map(|after| shape(&after)),
        expected.map(str::to_owned),
        "{} {wish:?} at {seconds}",
        shape(before)
    );
}

#[test]
fn the_schedule_has_one_key_sign_and_one_stand_by() {
    let empty = KeySet::default();
    let alone = keep(&empty, Some('a'), 0).expect("a first key");
    let whole = whole();
    let rotated = keep(&whole, None, 30 * DAY).expect("its turn");
    let full = keep(&rotated, Some('d'), 30 * DAY).expect("another one stands by");
    let gone = 30 * DAY + KeySet::RETIRED_FOR.as_secs();
    for (before, spare, seconds, expected) in [
        (&empty, None, 0, Err(KeyRefusal::KeyWanted)),
        (&empty, Some('a'), 0, Ok("ac")),
        (&alone, None, 0, Err(KeyRefusal::KeyWanted)),
        (&alone, Some('b'), 0, Ok("ac bs")),
        (&whole, None, 0, Ok("ac bs")),
        (&whole, Some('d'), 0, Ok("ac bs")),
        (&whole, None, 30 * DAY - 1, Ok("ac bs")),
        (&whole, None, 30 * DAY, Ok("ar bc")),
        (&whole, Some('d'), 30 * DAY, Ok("ar bc ds")),
        (&rotated, None, 30 * DAY, Err(KeyRefusal::KeyWanted)),
        (&full, None, gone - 1, Ok("ar bc ds")),
        (&full, None, gone, Ok("bc ds")),
        (&full, None, 60 * DAY, Ok("br dc")),
    ] {
        check(before, KeyWish::Keep, spare, seconds, expected);
    }
}

#[test]
fn no_key_signs_before_it_was_published_for_long_enough() {
    let alone = keep(&KeySet::default(), Some('a'), 0).expect("a first key");
    let late = 30 * DAY + 5;
    let whole = keep(&alone, Some('b'), late).expect("it stands by since a moment");
    assert_eq!(shape(&whole), "ac bs", "though its turn has come");
    check(&whole, KeyWish::Keep, None, late + HOUR - 1, Ok("ac bs"));
    check(&whole, KeyWish::Keep, None, late + HOUR, Ok("ar bc"));
    check(&whole, KeyWish::Rotate, None, late + HOUR - 1, Ok("ac bs"));
    check(&whole, KeyWish::Rotate, None, late + HOUR, Ok("ar bc"));
}

#[test]
fn a_rotation_that_is_wanted_comes_as_soon_as_the_next_key_may_sign() {
    let whole = whole();
    let asked = whole.decide(KeyWish::Rotate, &RULES, None, at(60)).expect("taken note of");
    assert_eq!(shape(&asked), "ac bs");
    assert_eq!(asked.standby().and_then(|standby| standby.due_at), Some(at(HOUR)));
    let again = asked.decide(KeyWish::Rotate, &RULES, None, at(120)).expect("taken note of before");
    assert_eq!(again, asked);
    check(&asked, KeyWish::Keep, None, HOUR - 1, Ok("ac bs"));
    check(&asked, KeyWish::Keep, None, HOUR, Ok("ar bc"));
    check(&whole, KeyWish::Rotate, None, HOUR, Ok("ar bc"));

    let alone = keep(&KeySet::default(), Some('a'), 0).expect("a first key");
    check(&alone, KeyWish::Rotate, None, 5, Err(KeyRefusal::KeyWanted));
    let asked = alone.decide(KeyWish::Rotate, &RULES, Some(&key('b')), at(5)).expect("with a new key");
    assert_eq!(asked.standby().and_then(|standby| standby.due_at), Some(at(5 + HOUR)));
}

#[test]
fn a_revoked_key_is_replaced_at_once_if_it_signs() {
    let (whole, empty) = (whole(), KeySet::default());
    let alone = keep(&empty, Some('a'), 0).expect("a first key");
    let rotated = keep(&whole, Some('d'), 30 * DAY).expect("its turn");
    let revoked = rotated.decide(KeyWish::Revoke(id('b')), &RULES, None, at(31 * DAY)).expect("revoked");
    for (before, which, spare, expected) in [
        (&whole, 'a', None, Ok("av bc")),
        (&whole, 'b', None, Ok("ac bv")),
        (&whole, 'x', None, Err(KeyRefusal::Unknown)),
        (&empty, 'a', Some('b'), Err(KeyRefusal::Unknown)),
        (&alone, 'a', None, Err(KeyRefusal::KeyWanted)),
        (&alone, 'a', Some('b'), Ok("av bc")),
        (&rotated, 'a', None, Ok("av bc ds")),
        (&rotated, 'b', None, Ok("ar bv dc")),
        (&revoked, 'b', None, Ok("ar bv dc")),
    ] {
        check(before, KeyWish::Revoke(id(which)), spare, 5, expected);
    }
    assert_eq!(revoked.revoked_since(&rotated), [Revocation::Key { kid: id('b').to_string() }]);
    let again = revoked.decide(KeyWish::Revoke(id('b')), &RULES, None, at(32 * DAY)).expect("it is already");
    assert_eq!(again, revoked, "not even the time of it changes");
}

#[test]
fn a_revoked_key_is_told_of_long_after_its_last_token_has_expired() {
    let revoked = whole().decide(KeyWish::Revoke(id('a')), &RULES, None, at(0)).expect("revoked");
    let whole = keep(&revoked, Some('d'), 5).expect("another one stands by");
    check(&whole, KeyWish::Keep, None, 30 * DAY - 1, Ok("av bc ds"));
    check(&whole, KeyWish::Keep, None, 30 * DAY, Ok("br dc"));
    assert_eq!(whole.published().map(KeyRecord::id).collect::<Vec<_>>(), [id('b'), id('d')]);
    assert_eq!(whole.told().len(), 3);
}

#[test]
fn only_keys_that_sign_or_will_have_a_private_half() {
    let rotated = keep(&whole(), Some('d'), 30 * DAY).expect("its turn");
    let revoked = rotated.decide(KeyWish::Revoke(id('b')), &RULES, None, at(31 * DAY)).expect("revoked");
    let private: Vec<_> = revoked.records().iter().filter(|key| key.has_private_half()).map(KeyRecord::id).collect();
    assert_eq!(private, [id('d')]);
}

#[test]
fn each_fact_is_told_once() {
    use SecurityEvent::{KeyActivated, KeyCreated, KeyRetired, KeyRevoked};
    let (empty, whole) = (KeySet::default(), whole());
    let rotated = keep(&whole, Some('d'), 30 * DAY).expect("its turn");
    let revoked = rotated.decide(KeyWish::Revoke(id('b')), &RULES, None, at(31 * DAY)).expect("revoked");
    let gone = keep(&rotated, None, 31 * DAY).expect("one is forgotten");
    for (before, after, expected) in [
        (&empty, &whole, vec![KeyCreated(id('a')), KeyActivated(id('a')), KeyCreated(id('b'))]),
        (&whole, &whole, vec![]),
        (&whole, &rotated, vec![KeyRetired(id('a')), KeyActivated(id('b')), KeyCreated(id('d'))]),
        (&rotated, &revoked, vec![KeyRevoked(id('b')), KeyActivated(id('d'))]),
        (&rotated, &gone, vec![]),
    ] {
        assert_eq!(after.facts_since(before), expected, "{} to {}", shape(before), shape(after));
    }
}

#[test]
fn what_comes_next_is_known_beforehand() {
    let next = |set: &KeySet| {
        let name = |next: Upcoming| (next.at, next.id, next.becomes.map(KeyState::name));
        set.upcoming(&RULES).into_iter().map(name).collect::<Vec<_>>()
    };
    let (turn, whole) = (at(30 * DAY), whole());
    assert_eq!(next(&whole), [(turn, id('a'), Some("retired")), (turn, id('b'), Some("current"))]);
    let rotated = keep(&whole, None, 30 * DAY).expect("its turn");
    assert_eq!(next(&rotated), [(turn + KeySet::RETIRED_FOR, id('a'), None)]);
    let asked = whole.decide(KeyWish::Rotate, &RULES, None, at(5)).expect("taken note of");
    assert_eq!(asked.upcoming(&RULES)[0].at, at(HOUR));
}

/// Whatever is wished in whatever order, at whatever time, also backwards.
#[test]
fn one_key_signs_whatever_is_wished_and_whatever_the_clock_does() {
    let mut dice: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut roll = move |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    let names: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    for _ in 0..500 {
        let (mut set, mut seconds, mut unused) = (KeySet::default(), 400 * DAY, names.iter().copied());
        while unused.len() > 1 {
            seconds = match roll(8) {
                0 => seconds + 31 * DAY,
                1 => seconds + HOUR,
                2 => seconds.saturating_sub(HOUR),
                _ => seconds + roll(3_000),
            };
            let records = set.records();
            let wish = match roll(6) {
                0 => KeyWish::Rotate,
                1 if !records.is_empty() => {
                    let which = usize::try_from(roll(records.len() as u64)).expect("few");
                    KeyWish::Revoke(records[which].id())
                }
                _ => KeyWish::Keep,
            };
            let spare = (roll(2) == 0).then(|| key(unused.next().expect("there are more")));
            let Ok(after) = set.decide(wish, &RULES, spare.as_ref(), at(seconds)) else { continue };
            check_invariants(&set, &after, wish, at(seconds));
            set = after;
        }
    }
}

#[track_caller]
fn check_invariants(before: &KeySet, after: &KeySet, wish: KeyWish, now: SystemTime) {
    let count = |state| after.records().iter().filter(|record| record.state == state).count();
    assert!(count(KeyState::Current) == 1, "one signs: {after:?}");
    assert!(count(KeyState::Standby) <= 1, "one stands by: {after:?}");
    for record in before.records() {
        let Some(then) = after.get(record.id()) else {
            assert!(!record.has_private_half(), "forgotten: {record:?}");
            continue;
        };
        assert!(then.state >= record.state, "{record:?} became {then:?}");
        let is_emergency = matches!(wish, KeyWish::Revoke(_)) || before.current().is_none();
        if record.state == KeyState::Standby && then.state == KeyState::Current && !is_emergency {
            assert!(record.created_at + RULES.publish_ahead <= now, "{record:?} signs at {now:?}");
        }
    }
}

#[test]
fn an_id_is_a_thumbprint() {
    let thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    assert_eq!(KeyId::parse(thumbprint).expect("an id").to_string(), thumbprint);
    for text in
        ["", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9X", &format!("{thumbprint}A"), &"é".repeat(21), &" ".repeat(43)]
    {
        assert_eq!(KeyId::parse(text), None, "{text:?}");
    }
}
