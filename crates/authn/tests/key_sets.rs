//! Following a key set over HTTP: when it is asked for, what is believed, and what stays when it fails.

mod key_server;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authn::testing::TestIssuer;
use authn::{JwksConfig, ManualClock, Rejection, Trust, TrustError, TrustStatus, Verifier, VerifierConfig};
use serde_json::json;

use self::key_server::{Answer, Certificate, KeyServer};

const COOLDOWN: Duration = Duration::from_secs(10);
/// How long a test waits for what must come, before it says that it did not.
const PATIENCE: Duration = Duration::from_secs(30);
const REFRESH: Duration = Duration::from_secs(300);

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn issuer() -> TestIssuer {
    TestIssuer::new("https://login.example", "notes-service")
}

/// A verifier that follows a server, with a clock for both.
struct Follower {
    server: KeyServer,
    trust: Trust,
    verifier: Verifier,
    clock: ManualClock,
}

impl Follower {
    async fn of(answer: Answer) -> Self {
        let clock = ManualClock::starting_at(start());
        let server = KeyServer::start(clock.clock(), answer).await;
        let config = JwksConfig { timeout: Duration::from_secs(1), ..JwksConfig::new(server.url()) };
        let trust = Trust::follow_jwks_by(config, clock.clock()).expect("a configuration that works");
        let mut expected = VerifierConfig::new("https://login.example", "notes-service");
        expected.max_lifetime = Duration::from_secs(100_000);
        let verifier = Verifier::new(expected, trust.clone(), clock.clock());
        Self { server, trust, verifier, clock }
    }

    /// One that has the issuer's key, and has cooled down.
    async fn ready() -> Self {
        let follower = Self::of(Answer::Set(issuer().jwks())).await;
        follower.fetched(1).await;
        follower.clock.advance(COOLDOWN);
        follower
    }

    async fn fetched(&self, times: u64) {
        self.when(|status| status.fetched >= times).await;
    }

    async fn failed(&self, times: u64) {
        self.when(|status| status.failed >= times).await;
    }

    async fn when(&self, condition: impl FnMut(&TrustStatus) -> bool) -> TrustStatus {
        let awaited = tokio::time::timeout(PATIENCE, self.trust.when(condition)).await;
        awaited.unwrap_or_else(|_| panic!("in vain: {:?}", self.trust.status()))
    }

    /// Nobody asks the server meanwhile, though another verifier asks another server and has its answer: time enough
    /// for everything that is due.
    async fn nobody_asks(&self) {
        let before = self.server.requests().len();
        for _ in 0..3 {
            drop(Self::ready().await);
        }
        assert_eq!(self.server.requests().len(), before, "asked too early");
    }

    fn accepts(&self, issuer: &TestIssuer) -> bool {
        self.verifier.verify(&token_of(issuer)).is_ok()
    }
}

/// A token that lives through every test.
fn token_of(issuer: &TestIssuer) -> String {
    let mut claims = issuer.claims(start());
    claims.exp = claims.iat + 100_000;
    issuer.sign(&claims)
}

/// Tokens with key ids that nobody has.
fn tokens_of_strangers(count: usize) -> impl Iterator<Item = String> {
    let claims = serde_json::to_string(&issuer().claims(start())).expect("JSON");
    (0..count).map(move |number| {
        let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": format!("stranger-{number}")}).to_string();
        issuer().sign_json(&header, &claims)
    })
}

#[tokio::test]
async fn a_verifier_waits_for_its_first_key_set_not_ready_and_becomes_ready_by_itself() {
    let follower = Follower::of(Answer::Status("503 Service Unavailable", String::new())).await;
    assert!(!follower.verifier.is_ready() && !follower.trust.is_ready());
    assert_eq!(follower.verifier.verify(&token_of(&issuer())), Err(Rejection::NotReady));
    follower.failed(1).await;
    assert_eq!(follower.trust.status().last_fetched_at, None);

    follower.server.answer(Answer::Set(issuer().jwks()));
    follower.clock.advance(Duration::from_millis(100));

    let status = follower.when(|status| status.keys > 0).await;
    assert_eq!((status.keys, status.failed), (1, 1));
    assert_eq!(follower.trust.status().last_fetched_at, Some(start() + Duration::from_millis(100)));
    assert!(follower.verifier.is_ready() && follower.accepts(&issuer()));
}

#[tokio::test]
async fn the_first_key_set_is_asked_for_at_once_and_then_ever_less_often() {
    let follower = Follower::of(Answer::Close).await;
    for attempt in 1..=12 {
        follower.failed(attempt).await;
        follower.clock.advance(Duration::from_secs(5));
    }
    assert_eq!(follower.server.requests()[0], start());
}

#[tokio::test]
async fn a_key_set_is_fetched_again_after_its_interval_and_a_key_that_is_gone_is_not_trusted() {
    let (old, new) = (issuer(), issuer().with_another_key());
    let follower = Follower::ready().await;
    assert!(follower.accepts(&old) && !follower.accepts(&new));
    let remembered = token_of(&old);
    follower.verifier.verify(&remembered).expect("good, and remembered");
    follower.server.answer(Answer::Set(new.jwks()));

    follower.clock.advance(REFRESH);
    follower.fetched(2).await;

    assert!(!follower.accepts(&old) && follower.accepts(&new));
    assert_eq!(follower.verifier.verify(&remembered), Err(Rejection::TokenInvalid), "its key is gone");
}

#[tokio::test]
async fn a_key_set_that_stays_the_same_keeps_what_is_remembered() {
    let follower = Follower::ready().await;
    let token = token_of(&issuer());
    let first = follower.verifier.verify(&token).expect("good");
    follower.clock.advance(REFRESH);
    follower.fetched(2).await;
    let again = follower.verifier.verify(&token).expect("still good");
    assert!(std::sync::Arc::ptr_eq(&first, &again), "not verified again");
}

#[tokio::test]
async fn a_new_key_under_an_old_id_ends_the_old_keys_tokens() {
    let (old, new) = (issuer(), issuer().with_another_key());
    let mut imposter = new.jwk();
    imposter["kid"] = json!(old.key_id());
    let follower = Follower::ready().await;
    let remembered = token_of(&old);
    follower.verifier.verify(&remembered).expect("good, and remembered");
    follower.server.answer(Answer::Set(json!({ "keys": [imposter] }).to_string()));
    follower.clock.advance(REFRESH);
    follower.fetched(2).await;
    assert_eq!(follower.verifier.verify(&remembered), Err(Rejection::TokenInvalid));
}

#[tokio::test]
async fn an_unknown_key_id_brings_the_new_key_without_waiting_for_the_interval() {
    let new = issuer().with_another_key();
    let follower = Follower::ready().await;
    follower.server.answer(Answer::Set(json!({ "keys": [issuer().jwk(), new.jwk()] }).to_string()));
    assert!(!follower.accepts(&new), "unknown as yet, and no other key is tried");
    follower.fetched(2).await;
    assert!(follower.accepts(&new) && follower.accepts(&issuer()));
    assert_eq!(follower.trust.status().keys, 2);
}

#[tokio::test]
async fn unknown_key_ids_cost_one_fetch_per_cooldown_in_total_whatever_is_answered() {
    let follower = Follower::ready().await;
    let mut answers = 1;
    for answer in [
        Answer::Set(issuer().jwks()),
        Answer::Set(r#"{"keys":[]}"#.to_owned()),
        Answer::Status("500 Internal Server Error", String::new()),
        Answer::Close,
        Answer::Set(issuer().jwks()),
    ] {
        follower.server.answer(answer.clone());
        for token in tokens_of_strangers(200) {
            assert_eq!(follower.verifier.verify(&token), Err(Rejection::TokenInvalid));
        }
        answers += 1;
        follower.when(|status| status.fetched + status.failed >= answers).await;
        // They keep coming while the fetch is done and the cooldown runs: asked for again, and not before its end.
        for token in tokens_of_strangers(200) {
            assert_eq!(follower.verifier.verify(&token), Err(Rejection::TokenInvalid));
        }
        follower.clock.advance(COOLDOWN - Duration::from_micros(1));
        follower.nobody_asks().await;
        follower.clock.advance(Duration::from_micros(1));
        answers += 1;
        follower.when(|status| status.fetched + status.failed >= answers).await;
        follower.clock.advance(COOLDOWN);
        assert!(follower.accepts(&issuer()), "the good key stays, {answer:?}");
    }
    let requests = follower.server.requests();
    assert_eq!(requests.len() as u64, answers);
    for pair in requests.windows(2) {
        let gap = pair[1].duration_since(pair[0]).expect("in order");
        assert!(gap >= COOLDOWN, "{gap:?} between two requests");
    }
}

#[tokio::test]
async fn a_known_key_id_never_causes_a_fetch() {
    let follower = Follower::ready().await;
    let good = issuer().claims(start());
    for case in issuer().broken_tokens(&good) {
        if !case.name.starts_with("kid") && !case.name.contains("and kid") && !case.name.contains("its own kid") {
            let _ = follower.verifier.verify(&case.token);
        }
    }
    follower.nobody_asks().await;
}

#[tokio::test]
async fn what_is_no_good_key_set_is_refused_and_the_last_good_one_kept() {
    let follower = Follower::ready().await;
    let elsewhere = KeyServer::start(follower.clock.clock(), Answer::Set(issuer().with_another_key().jwks())).await;
    let redirect = format!("location: {}\r\n", elsewhere.url());
    let set = |keys: serde_json::Value| Answer::Set(json!({ "keys": keys }).to_string());
    let jwk = issuer().jwk();
    let jwk_with = |name: &str, value: serde_json::Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    let answers = [
        Answer::Close,
        Answer::Silence,
        Answer::Stuck,
        Answer::Endless,
        Answer::Status("301 Moved Permanently", redirect.clone()),
        Answer::Status("302 Found", redirect.clone()),
        Answer::Status("307 Temporary Redirect", redirect.clone()),
        Answer::Status("308 Permanent Redirect", redirect),
        Answer::Status("201 Created", String::new()),
        Answer::Status("404 Not Found", String::new()),
        Answer::Status("500 Internal Server Error", String::new()),
        Answer::Set(String::new()),
        Answer::Set("<html>".to_owned()),
        Answer::Set("[]".to_owned()),
        Answer::Set("{}".to_owned()),
        Answer::Set(r#"{"keys":{}}"#.to_owned()),
        Answer::Set(r#"{"keys":[7]}"#.to_owned()),
        Answer::Set(r#"{"keys":[]}"#.to_owned()),
        Answer::Set(format!("{}x", issuer().jwks())),
        Answer::Set(format!(r#"{{"keys":[],"keys":[{jwk}]}}"#)),
        Answer::Set(format!(r#"{{"keys":[{jwk}],"padding":"{}"}}"#, "x".repeat(64 * 1024))),
        set(json!([jwk, jwk])),
        set(json!([jwk, {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}])),
        set(json!([jwk_with("d", json!("AQAB"))])),
        set(json!([jwk_with("n", json!("AQAB"))])),
        set(json!([jwk_with("use", json!("enc"))])),
    ];
    for (failures, answer) in (1..).zip(answers) {
        follower.server.answer(answer.clone());
        follower.clock.advance(REFRESH);
        follower.failed(failures).await;
        assert!(follower.accepts(&issuer()), "{answer:?}");
        assert!(!follower.accepts(&issuer().with_another_key()), "{answer:?}");
    }
    assert_eq!(elsewhere.requests().len(), 0, "no redirect was followed");
    assert_eq!(follower.trust.status().fetched, 1);

    follower.server.answer(Answer::Set(issuer().with_another_key().jwks()));
    follower.clock.advance(REFRESH);
    follower.fetched(2).await;
    assert!(follower.accepts(&issuer().with_another_key()), "a good set is taken again");
}

#[tokio::test]
async fn keys_for_other_purposes_are_skipped() {
    let mut encryption = issuer().with_another_key().jwk();
    encryption["use"] = json!("enc");
    encryption["alg"] = json!("RSA-OAEP");
    let others = json!([
        {"kty": "EC", "crv": "P-256", "kid": issuer().key_id(), "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "NEW", "what": [{"ever": null}]},
        encryption,
        issuer().jwk(),
    ]);
    let follower = Follower::of(Answer::Set(json!({ "keys": others }).to_string())).await;
    follower.fetched(1).await;
    assert_eq!(follower.trust.status().keys, 1);
    assert!(follower.accepts(&issuer()) && !follower.accepts(&issuer().with_another_key()));
}

#[tokio::test]
async fn following_ends_with_the_last_clone() {
    let mut follower = Follower::of(Answer::Silence).await;
    follower.server.client_asked().await;
    follower.clock.advance(REFRESH); // whatever is waited for is due
    let (server, trust) = (&mut follower.server, follower.trust.clone());
    drop((follower.trust, follower.verifier));
    assert!(futures_util::poll!(std::pin::pin!(server.client_hung_up())).is_pending(), "a clone is left");
    drop(trust);
    server.client_hung_up().await;
    drop(Follower::ready().await);
    assert_eq!(server.requests().len(), 1, "not asked again");
}

#[tokio::test]
async fn the_addresses_in_a_token_are_never_asked() {
    let follower = Follower::ready().await;
    let tempting = KeyServer::start(follower.clock.clock(), Answer::Set(issuer().with_another_key().jwks())).await;
    let claims = serde_json::to_string(&issuer().claims(start())).expect("JSON");
    for name in ["jku", "x5u", "iss"] {
        let mut header: serde_json::Value = serde_json::from_str(&issuer().header()).expect("JSON");
        header[name] = json!(tempting.url());
        follower.verifier.verify(&issuer().sign_json(&header.to_string(), &claims)).expect("ignored");
        header["kid"] = json!("another");
        let _ = follower.verifier.verify(&issuer().with_another_key().sign_json(&header.to_string(), &claims));
    }
    follower.fetched(2).await;
    assert_eq!(tempting.requests().len(), 0);
}

#[tokio::test]
async fn over_tls_the_server_must_have_a_certificate_of_the_pinned_authority_for_its_name() {
    let certificate = Certificate::for_name("localhost");
    let follow = |server: &KeyServer, pem: Option<&str>| {
        let mut config = JwksConfig::new(server.url());
        config.ca_pem = pem.map(|pem| pem.as_bytes().to_vec());
        Trust::follow_jwks(config).expect("a configuration that works")
    };
    let clock = ManualClock::starting_at(start());
    let answer = Answer::Set(issuer().jwks());
    let server = KeyServer::start_with_tls(clock.clock(), answer.clone(), &certificate).await;

    let pinned = follow(&server, Some(&certificate.authority_pem));
    pinned.when(|status| status.fetched + status.failed > 0).await;
    assert!(pinned.is_ready());

    let another = follow(&server, Some(&Certificate::for_name("localhost").authority_pem));
    another.when(|status| status.fetched + status.failed > 0).await;
    assert!(!another.is_ready());

    let misnamed = Certificate::for_name("example.org");
    let server_misnamed = KeyServer::start_with_tls(clock.clock(), answer, &misnamed).await;
    let strict = follow(&server_misnamed, Some(&misnamed.authority_pem));
    strict.when(|status| status.fetched + status.failed > 0).await;
    assert!(!strict.is_ready());
    assert_eq!((server.requests().len(), server_misnamed.requests().len()), (1, 0));
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    let good = || JwksConfig::new("http://127.0.0.1:9/jwks.json");
    assert!(Trust::follow_jwks(good()).is_ok());
    for config in [
        JwksConfig { url: String::new(), ..good() },
        JwksConfig { url: "/jwks.json".to_owned(), ..good() },
        JwksConfig { url: "file:///etc/passwd".to_owned(), ..good() },
        JwksConfig { url: "ftp://127.0.0.1/jwks.json".to_owned(), ..good() },
        JwksConfig { url: "http://user:password@127.0.0.1:9/jwks.json".to_owned(), ..good() },
        JwksConfig { cooldown: Duration::from_millis(9_999), ..good() },
        JwksConfig { refresh_interval: Duration::from_secs(9), ..good() },
        JwksConfig { timeout: Duration::ZERO, ..good() },
        JwksConfig { timeout: Duration::from_millis(3_001), ..good() },
        JwksConfig { ca_pem: Some(b"no certificate".to_vec()), ..good() },
        JwksConfig { url: "https://127.0.0.1:9/".to_owned(), ca_pem: Some(b"no certificate".to_vec()), ..good() },
    ] {
        let refused = Trust::follow_jwks(config.clone());
        assert!(matches!(refused, Err(TrustError::Setting(_) | TrustError::Client(_))), "{config:?}: {refused:?}");
    }
}

#[test]
fn outside_of_a_runtime_following_is_refused() {
    let refused = Trust::follow_jwks(JwksConfig::new("http://127.0.0.1:9/jwks.json"));
    assert!(matches!(refused, Err(TrustError::Setting(_))), "{refused:?}");
}
