//! What a verifier accepts, what it refuses, and what it says about it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authn::claims::Claims;
use authn::testing::TestIssuer;
use authn::{Clock, ManualClock, PublicKey, Rejection, Trust, Verifier, VerifierConfig};
use serde_json::{Value, json};

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "notes-service";
const LEEWAY: Duration = Duration::from_secs(5);

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn issuer() -> TestIssuer {
    TestIssuer::new(ISSUER, AUDIENCE)
}

/// A verifier that stands at the start, and its clock.
fn verifier() -> (Verifier, ManualClock) {
    let clock = ManualClock::starting_at(start());
    (issuer().verifier(clock.clock()), clock)
}

fn verifier_of(config: VerifierConfig) -> (Verifier, ManualClock) {
    let clock = ManualClock::starting_at(start());
    (Verifier::new(config, Trust::fixed(vec![issuer().public_key()]), clock.clock()), clock)
}

/// The token of the usual claims after `change`.
fn token(change: impl FnOnce(&mut Claims)) -> String {
    let mut claims = issuer().claims(start());
    change(&mut claims);
    issuer().sign(&claims)
}

/// The token of the usual header and claims with one member of each set or added.
fn token_with(header: (&str, Value), claim: (&str, Value)) -> String {
    let set = |text: &str, (name, value): (&str, Value)| {
        let mut object: Value = serde_json::from_str(text).expect("JSON");
        object[name] = value;
        object.to_string()
    };
    let claims = serde_json::to_string(&issuer().claims(start())).expect("JSON");
    issuer().sign_json(&set(&issuer().header(), header), &set(&claims, claim))
}

#[test]
fn a_good_token_says_who_calls_and_what_they_may_do() {
    let (verifier, _) = verifier();
    let mut claims = issuer().claims(start());
    claims.scope = "notes.read notes.write".to_owned();
    claims.roles = vec!["editor".to_owned()];

    let principal = verifier.verify(&issuer().sign(&claims)).expect("a good token");

    assert_eq!(principal.subject().as_uuid(), claims.sub);
    assert_eq!(principal.session().map(authn::SessionId::as_uuid), claims.sid);
    assert_eq!((principal.generation(), principal.account_version()), (Some(1), Some(1)));
    assert_eq!(principal.token_id(), claims.jti.as_deref());
    assert_eq!(principal.scopes(), ["notes.read", "notes.write"]);
    assert!(principal.has_scope("notes.write") && !principal.has_scope("notes") && !principal.has_scope(""));
    assert_eq!(principal.roles(), ["editor"]);
    assert_eq!(principal.expires_at(), start() + Duration::from_secs(300));
}

#[test]
fn every_broken_token_is_refused_for_its_reason() {
    let (verifier, _) = verifier();
    let good = issuer().claims(start());
    verifier.verify(&issuer().sign(&good)).expect("the token that is broken is good");

    let broken = issuer().broken_tokens(&good);

    assert!(broken.len() > 300, "only {} cases", broken.len());
    for case in broken {
        for attempt in ["at first sight", "again"] {
            assert_eq!(verifier.verify(&case.token), Err(case.rejection.clone()), "{} {attempt}", case.name);
        }
    }
}

#[test]
fn what_is_allowed_beside_the_usual_is_accepted() {
    let (verifier, _) = verifier();
    let good = ("iss", json!(ISSUER));
    for header in [
        ("typ", json!("at+jwt")),
        ("typ", json!("AT+JWT")),
        ("typ", json!("application/at+jwt")),
        ("typ", json!("Application/At+Jwt")),
        ("cty", json!("json")),
        // Not looked at: the signature is that of the key which the trust source has under our kid.
        ("jku", json!("http://127.0.0.1:9/jwks.json")),
        ("x5u", json!("http://127.0.0.1:9/chain.pem")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("abc")),
        ("jwk", issuer().with_another_key().jwk()),
    ] {
        let name = format!("{header:?}");
        assert!(verifier.verify(&token_with(header, good.clone())).is_ok(), "{name}");
    }
    for claim in [
        ("aud", json!(AUDIENCE)),
        ("aud", json!(["another", AUDIENCE])),
        ("scope", json!("")),
        ("scope", json!("notes.read")),
        ("email", json!("alice@example.org")),
        ("cnf", json!({"jkt": "abc"})),
        ("groups", json!([{"name": "a"}, null, 1.5, -1, true])),
        ("sub", json!("0190A6B0-7C3F-7000-8000-0123456789AB")),
    ] {
        let name = format!("{claim:?}");
        assert!(verifier.verify(&token_with(("cty", json!("json")), claim)).is_ok(), "{name}");
    }
    let least =
        json!({"iss": ISSUER, "aud": AUDIENCE, "sub": uuid::Uuid::nil(), "iat": 1_800_000_000, "exp": 1_800_000_300});
    let principal = verifier.verify(&issuer().sign_json(&issuer().header(), &least.to_string())).expect("enough");
    assert_eq!((principal.session(), principal.token_id(), principal.scopes().len()), (None, None, 0));
}

#[test]
fn a_token_that_jsonwebtoken_signed_is_accepted() {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    let (verifier, _) = verifier();
    let mut header = Header::new(Algorithm::RS256);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some(issuer().key_id().to_owned());
    let key = EncodingKey::from_rsa_pem(issuer().private_pem().as_bytes()).expect("a key");

    let token = encode(&header, &issuer().claims(start()), &key).expect("signed");

    assert!(verifier.verify(&token).is_ok());
}

#[test]
fn a_token_of_4_kib_is_accepted_and_one_byte_more_is_not() {
    let (verifier, _) = verifier();
    let padded = |bytes: usize| token_with(("cty", json!("json")), ("padding", json!("x".repeat(bytes))));
    let length = |bytes: usize| padded(bytes).len();
    let most = (0..4096).rev().find(|bytes| length(*bytes) <= 4096).expect("some fit");
    assert!(length(most) > 4090, "{}", length(most));
    assert!(verifier.verify(&padded(most)).is_ok());
    assert_eq!(verifier.verify(&padded(most + 2)), Err(Rejection::TokenInvalid));
}

#[test]
fn a_token_expires_when_its_leeway_has_passed_to_the_microsecond() {
    let (verifier, clock) = verifier();
    let token = token(|_| {});
    let end = start() + Duration::from_secs(300) + LEEWAY;
    for remembered in [false, true] {
        clock.set(end - Duration::from_micros(1));
        assert!(verifier.verify(&token).is_ok(), "remembered: {remembered}");
        clock.set(end);
        assert_eq!(verifier.verify(&token), Err(Rejection::TokenExpired), "remembered: {remembered}");
    }
}

#[test]
fn a_token_is_not_good_before_its_time() {
    for claim in ["nbf", "iat"] {
        let early = token_with(("cty", json!("json")), (claim, json!(1_800_000_100)));
        let begin = start() + Duration::from_secs(100) - LEEWAY;
        let (verifier, clock) = verifier();
        clock.set(begin - Duration::from_micros(1));
        assert_eq!(verifier.verify(&early), Err(Rejection::TokenInvalid), "{claim}");
        clock.set(begin);
        assert!(verifier.verify(&early).is_ok(), "{claim}");
        clock.set(begin - Duration::from_micros(1));
        assert_eq!(verifier.verify(&early), Err(Rejection::TokenInvalid), "{claim}, remembered");
    }
}

#[test]
fn a_token_that_would_live_longer_than_the_cap_is_refused() {
    let (verifier, _) = verifier();
    assert!(verifier.verify(&token(|claims| claims.exp = claims.iat + 600)).is_ok());
    assert_eq!(verifier.verify(&token(|claims| claims.exp = claims.iat + 601)), Err(Rejection::TokenInvalid));
    // Within the leeway a token can be issued after it has expired: its life would be negative.
    let negative = |claims: &mut Claims| (claims.iat, claims.nbf, claims.exp) = (claims.iat + 3, None, claims.iat - 2);
    assert_eq!(verifier.verify(&token(negative)), Err(Rejection::TokenInvalid));
}

#[test]
fn no_more_than_30_seconds_of_leeway_are_given() {
    let mut config = VerifierConfig::new(ISSUER, AUDIENCE);
    config.leeway = Duration::from_secs(3600);
    let (verifier, clock) = verifier_of(config);
    let token = token(|_| {});
    clock.advance(Duration::from_secs(329));
    assert!(verifier.verify(&token).is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(verifier.verify(&token), Err(Rejection::TokenExpired));
}

#[test]
fn a_clock_before_1970_or_far_away_refuses_and_does_not_panic() {
    let (verifier, clock) = verifier();
    let token = token(|_| {});
    clock.set(UNIX_EPOCH - Duration::from_secs(1));
    assert_eq!(verifier.verify(&token), Err(Rejection::TokenInvalid));
    clock.advance(Duration::MAX);
    assert_eq!(verifier.verify(&token), Err(Rejection::TokenExpired));
}

#[test]
fn any_change_of_one_byte_is_refused() {
    let (verifier, _) = verifier();
    let token = token(|_| {});
    verifier.verify(&token).expect("the token is good, and remembered");
    let mut changed = token.clone().into_bytes();
    for position in 0..token.len() {
        for byte in (0..128).filter(|byte| *byte != token.as_bytes()[position]) {
            changed[position] = byte;
            let changed = std::str::from_utf8(&changed).expect("ASCII");
            assert_eq!(verifier.verify(changed), Err(Rejection::TokenInvalid), "byte {position} as {byte}");
        }
        changed[position] = token.as_bytes()[position];
    }
    assert!(verifier.verify(&token).is_ok());
}

#[test]
fn any_byte_less_or_more_is_refused() {
    let (verifier, _) = verifier();
    let token = token(|_| {});
    for position in 0..token.len() {
        let (before, after) = token.split_at(position);
        assert_eq!(verifier.verify(before), Err(Rejection::TokenInvalid), "cut at {position}");
        assert_eq!(
            verifier.verify(&format!("{before}{}", &after[1..])),
            Err(Rejection::TokenInvalid),
            "less {position}"
        );
        for more in ['A', '.', '=', ' ', '_', 'é'] {
            let longer = format!("{before}{more}{after}");
            assert_eq!(verifier.verify(&longer), Err(Rejection::TokenInvalid), "{more} at {position}");
        }
    }
}

#[test]
fn a_token_is_verified_once_and_then_remembered() {
    let (verifier, _) = verifier();
    let token = token(|_| {});
    let first = verifier.verify(&token).expect("good");
    let second = verifier.verify(&token).expect("good");
    assert!(Arc::ptr_eq(&first, &second), "the same principal, not made again");
}

#[test]
fn the_memory_is_bounded_and_forgetting_changes_no_answer() {
    for remembered_tokens in [0, 1, 32] {
        let mut config = VerifierConfig::new(ISSUER, AUDIENCE);
        config.remembered_tokens = remembered_tokens;
        let (verifier, clock) = verifier_of(config);
        let tokens: Vec<String> = (0..100).map(|_| token(|_| {})).collect();
        let first: Vec<_> = tokens.iter().map(|token| verifier.verify(token).expect("good")).collect();
        let again: Vec<_> = tokens.iter().map(|token| verifier.verify(token).expect("still good")).collect();
        let kept = first.iter().zip(&again).filter(|(first, again)| Arc::ptr_eq(first, again)).count();
        assert!(kept <= remembered_tokens, "{kept} of {remembered_tokens}");
        clock.advance(Duration::from_secs(305));
        assert!(tokens.iter().all(|token| verifier.verify(token) == Err(Rejection::TokenExpired)));
    }
}

#[test]
fn a_verifier_without_keys_is_not_ready_and_lets_nobody_in() {
    let verifier = Verifier::new(VerifierConfig::new(ISSUER, AUDIENCE), Trust::fixed(Vec::new()), Clock::system());
    assert!(!verifier.is_ready());
    assert_eq!(verifier.verify(&token(|_| {})), Err(Rejection::NotReady));
    assert!(self::verifier().0.is_ready());
}

#[test]
fn keys_that_share_an_id_are_not_trusted() {
    let (one, other) = (issuer(), issuer().with_another_key());
    let same_id = |key: PublicKey| key.with_key_id("same").expect("an id");
    let header = one.header().replace(one.key_id(), "same");
    let claims = serde_json::to_string(&one.claims(start())).expect("JSON");
    let token = one.sign_json(&header, &claims);
    let verifier = |keys| {
        let clock = ManualClock::starting_at(start());
        Verifier::new(VerifierConfig::new(ISSUER, AUDIENCE), Trust::fixed(keys), clock.clock())
    };

    let ambiguous = verifier(vec![same_id(one.public_key()), same_id(other.public_key()), other.public_key()]);
    assert_eq!(ambiguous.verify(&token), Err(Rejection::TokenInvalid));
    assert!(verifier(vec![same_id(one.public_key())]).verify(&token).is_ok());
}

#[test]
fn debug_output_has_no_token_and_no_key() {
    let (verifier, _) = verifier();
    let token = token(|_| {});
    verifier.verify(&token).expect("good");
    let modulus = issuer().jwk()["n"].as_str().unwrap().to_owned();
    let shown = format!("{verifier:?} {:?} {:?}", issuer(), issuer().public_key());
    let signature = token.rsplit_once('.').unwrap().1;
    assert!(!shown.contains(signature) && !shown.contains(&modulus), "{shown}");
    assert!(shown.contains(issuer().key_id()), "{shown}");
}
