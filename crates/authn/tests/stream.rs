//! Following a trust stream: what is refused at once, what stays when the stream is cut, and how it comes back.

mod trust_server;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authn::claims::Claims;
use authn::testing::TestIssuer;
use authn::{
    JwksConfig, ManualClock, Rejection, StreamConfig, StreamCredential, Trust, TrustStatus, Verifier, VerifierConfig,
};
use proto::auth::internal::v1::revocation::Tokens;
use proto::auth::internal::v1::{Revocation, SubjectCutoff};
use uuid::Uuid;

use self::trust_server::{CREDENTIAL, TrustServer};

/// How long a test waits for what must come, before it says that it did not.
const PATIENCE: Duration = Duration::from_secs(30);

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn issuer() -> TestIssuer {
    TestIssuer::new("https://login.example", "notes-service")
}

fn revocation(tokens: Tokens) -> Revocation {
    let after = |seconds| Some((start() + Duration::from_secs(seconds)).into());
    Revocation { tokens: Some(tokens), revoke_time: after(1), expire_time: after(600) }
}

fn session(claims: &Claims) -> Revocation {
    revocation(Tokens::Session(claims.sid.expect("a session").as_bytes().to_vec()))
}

/// A verifier that follows a server, and what is kept of it.
struct Follower {
    trust: Trust,
    verifier: Verifier,
    clock: ManualClock,
}

impl Follower {
    fn of(server: &TrustServer) -> Self {
        Self::with(server.config())
    }

    fn with(config: StreamConfig) -> Self {
        Self::at(config, ManualClock::starting_at(start()), |_| {})
    }

    fn at(config: StreamConfig, clock: ManualClock, change: impl FnOnce(&mut VerifierConfig)) -> Self {
        let trust = Trust::follow_stream_by(config, clock.clock()).expect("a configuration that works");
        let mut expected = VerifierConfig::new("https://login.example", "notes-service");
        change(&mut expected);
        let verifier = Verifier::new(expected, trust.clone(), clock.clock());
        Self { trust, verifier, clock }
    }

    async fn live(server: &TrustServer) -> Self {
        let follower = Self::of(server);
        follower.when(|status| status.is_live).await;
        follower
    }

    async fn when(&self, condition: impl FnMut(&TrustStatus) -> bool) -> TrustStatus {
        let awaited = tokio::time::timeout(PATIENCE, self.trust.when(condition)).await;
        awaited.unwrap_or_else(|_| panic!("in vain: {:?}", self.trust.status()))
    }

    fn verify(&self, claims: &Claims) -> Result<(), Rejection> {
        self.verifier.verify(&issuer().sign(claims)).map(drop)
    }
}

fn somebody() -> Claims {
    issuer().claims(start())
}

#[tokio::test]
async fn what_is_revoked_is_refused_as_soon_as_it_is_told_though_the_token_was_seen_before() {
    let server = TrustServer::start(&issuer()).await;
    let follower = Follower::live(&server).await;
    let (alice, bob, carol) = (somebody(), somebody(), somebody());
    for claims in [&alice, &bob, &carol] {
        follower.verify(claims).expect("good");
    }

    server.revoke(session(&alice));
    let subject = bob.sub.as_bytes().to_vec();
    server.revoke(revocation(Tokens::Subject(SubjectCutoff { subject, minimum_version: 2 })));
    follower.when(|status| status.revocations == 2).await;

    assert_eq!(follower.verify(&alice), Err(Rejection::TokenRevoked));
    assert_eq!(follower.verify(&bob), Err(Rejection::TokenRevoked));
    follower.verify(&carol).expect("nobody else is refused");
    follower.verify(&Claims { sid: Some(Uuid::new_v4()), ..alice }).expect("nor another session of hers");
    follower.verify(&Claims { account_version: Some(2), ..bob }).expect("nor a newer token of his");
}

#[tokio::test]
async fn the_tokens_of_a_revoked_key_are_refused_with_a_reason_of_their_own() {
    let server = TrustServer::start(&issuer()).await;
    server.add_key(&issuer().with_another_key());
    let follower = Follower::live(&server).await;
    let claims = somebody();
    follower.verify(&claims).expect("good");

    server.revoke(revocation(Tokens::Kid(issuer().key_id().to_owned())));
    follower.when(|status| status.revocations == 1).await;
    assert_eq!(follower.verify(&claims), Err(Rejection::TokenKeyRevoked));
    let other = follower.verifier.verify(&issuer().with_another_key().sign(&claims));
    other.expect("the other key is good");

    server.revoke_key(issuer().with_another_key().key_id());
    follower.when(|status| status.keys == 1).await;
    let other = follower.verifier.verify(&issuer().with_another_key().sign(&claims));
    assert_eq!(other.map(drop), Err(Rejection::TokenKeyRevoked), "by its state alone, too");
}

#[tokio::test]
async fn everything_that_was_issued_before_a_moment_can_be_refused_and_then_clients_refresh() {
    let server = TrustServer::start(&issuer()).await;
    let follower = Follower::live(&server).await;
    server.revoke(revocation(Tokens::All(true)));
    follower.when(|status| status.revocations == 1).await;
    assert_eq!(follower.verify(&somebody()), Err(Rejection::TokenExpired));
    follower.clock.advance(Duration::from_secs(1));
    follower.verify(&issuer().claims(start() + Duration::from_secs(1))).expect("issued since");
}

#[tokio::test]
async fn a_kind_of_revocation_that_is_not_known_yet_is_taken_for_everything() {
    let server = TrustServer::start(&issuer()).await;
    let follower = Follower::live(&server).await;
    server.revoke(Revocation { tokens: None, ..session(&somebody()) });
    follower.when(|status| status.revocations == 1).await;
    assert_eq!(follower.verify(&somebody()), Err(Rejection::TokenExpired));
}

#[tokio::test]
async fn a_stream_that_is_cut_comes_back_where_it_was_and_nothing_is_lost() {
    let server = TrustServer::start(&issuer()).await;
    let follower = Follower::live(&server).await;
    let (alice, bob) = (somebody(), somebody());
    server.revoke(session(&alice));
    follower.when(|status| status.revocations == 1).await;

    server.pause();
    follower.when(|status| status.cuts > 0 && !status.is_live).await;
    assert_eq!(follower.verify(&alice), Err(Rejection::TokenRevoked), "what is in force stays");
    server.revoke(session(&bob));
    follower.verify(&bob).expect("nobody has told");
    server.resume();

    follower.when(|status| status.is_live && status.revocations == 2).await;
    assert_eq!(follower.verify(&bob), Err(Rejection::TokenRevoked));
    assert_eq!(follower.trust.status().snapshots, 1, "the gap was enough");
}

#[tokio::test]
async fn a_cursor_that_the_server_does_not_know_yields_a_fresh_snapshot() {
    let server = TrustServer::start(&issuer()).await;
    let follower = Follower::live(&server).await;
    let (alice, bob) = (somebody(), somebody());
    server.revoke(session(&alice));
    follower.when(|status| status.revocations == 1).await;

    server.pause();
    follower.when(|status| !status.is_live).await;
    server.forget_cursors();
    server.replace_revocations(vec![session(&bob)]);
    server.resume();

    follower.when(|status| status.is_live && status.snapshots == 2).await;
    assert_eq!(follower.verify(&bob), Err(Rejection::TokenRevoked));
    follower.verify(&alice).expect("a snapshot takes the place of everything");
}

#[tokio::test]
async fn a_snapshot_that_breaks_off_changes_nothing() {
    let server = TrustServer::start(&issuer()).await;
    let follower = Follower::live(&server).await;
    let alice = somebody();
    server.revoke(session(&alice));
    follower.when(|status| status.revocations == 1).await;

    server.pause();
    follower.when(|status| !status.is_live).await;
    server.forget_cursors();
    server.break_snapshots_off(true);
    server.resume();
    let cuts = follower.trust.status().cuts;
    follower.when(|status| status.cuts > cuts + 2).await;
    assert_eq!(follower.verify(&alice), Err(Rejection::TokenRevoked));
    assert_eq!(follower.trust.status().snapshots, 1);

    server.break_snapshots_off(false);
    follower.when(|status| status.snapshots == 2).await;
}

#[tokio::test]
async fn keys_come_from_the_key_set_while_the_stream_is_away_and_what_was_revoked_stays_so() {
    let server = TrustServer::start(&issuer()).await;
    let jwks = trust_server::serve_jwks(issuer().with_another_key().jwks()).await;
    let config = StreamConfig { fallback: Some(JwksConfig::new(jwks)), ..server.config() };
    let follower = Follower::with(config);
    follower.when(|status| status.is_live && status.keys == 1).await;
    let alice = somebody();
    server.revoke(session(&alice));
    follower.when(|status| status.revocations == 1).await;
    let fetched = follower.trust.status().fetched;

    server.pause();
    follower.when(|status| !status.is_live).await;
    follower.clock.advance(Duration::from_secs(10));
    follower.when(|status| status.fetched > fetched).await;
    let by_key_set = issuer().with_another_key();
    let sign = |claims: &Claims| by_key_set.sign(claims);
    follower.verifier.verify(&sign(&somebody())).expect("a key of the key set");
    assert_eq!(follower.verifier.verify(&sign(&alice)).map(drop), Err(Rejection::TokenRevoked));
}

#[tokio::test]
async fn a_verifier_that_has_only_the_key_set_at_its_start_is_ready_and_takes_the_stream_when_it_comes() {
    let server = TrustServer::start(&issuer()).await;
    let alice = somebody();
    server.revoke(session(&alice));
    server.pause();
    let jwks = trust_server::serve_jwks(issuer().jwks()).await;
    let follower = Follower::with(StreamConfig { fallback: Some(JwksConfig::new(jwks)), ..server.config() });
    follower.when(|status| status.keys > 0).await;
    follower.verify(&alice).expect("nobody has told what is revoked");
    server.resume();
    follower.when(|status| status.is_live).await;
    assert_eq!(follower.verify(&alice), Err(Rejection::TokenRevoked));
}

#[tokio::test]
async fn an_outage_is_survived_for_as_long_as_tokens_live_unless_the_settings_say_otherwise() {
    const MOST: Duration = Duration::from_secs(30);
    let server = TrustServer::start(&issuer()).await;
    let open = Follower::live(&server).await;
    let closed = Follower::at(server.config(), open.clock.clone(), |expected| expected.max_staleness = Some(MOST));
    closed.when(|status| status.is_live).await;
    server.pause();
    open.when(|status| !status.is_live).await;
    closed.when(|status| !status.is_live).await;

    let claims = somebody();
    open.clock.advance(MOST);
    closed.verify(&claims).expect("not too old yet");
    open.clock.advance(Duration::from_micros(1));
    assert_eq!(closed.verify(&claims), Err(Rejection::Stale));
    assert!(closed.verifier.staleness().expect("it follows a stream") > MOST);
    open.verify(&claims).expect("open by default");
    open.clock.advance(Duration::from_secs(600));
    assert_eq!(open.verify(&claims), Err(Rejection::TokenExpired), "and bounded by the life of the token");

    server.resume();
    closed.when(|status| status.is_live).await;
    closed.verify(&issuer().claims(start() + Duration::from_secs(630))).expect("heard of again");
}

#[tokio::test]
async fn a_verifier_that_never_heard_of_revocations_is_as_stale_as_can_be() {
    let server = TrustServer::start(&issuer()).await;
    server.pause();
    let jwks = trust_server::serve_jwks(issuer().jwks()).await;
    let config = StreamConfig { fallback: Some(JwksConfig::new(jwks)), ..server.config() };
    let closed = Follower::at(config, ManualClock::starting_at(start()), |expected| {
        expected.max_staleness = Some(Duration::from_secs(86_400));
    });
    closed.when(|status| status.keys > 0).await;
    assert_eq!(closed.verify(&somebody()), Err(Rejection::Stale));
}

#[tokio::test]
async fn a_restart_while_the_server_is_away_begins_with_the_snapshot_that_was_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trust");
    let server = TrustServer::start(&issuer()).await;
    let kept = StreamConfig { snapshot_file: Some(file.clone()), ..server.config() };
    let alice = somebody();
    server.revoke(session(&alice));
    let first = Follower::with(kept.clone());
    first.when(|status| status.is_live).await;
    written(&file).await;
    assert!(!std::fs::read(&file).expect("readable").windows(16).any(|part| CREDENTIAL.as_bytes().starts_with(part)));
    drop(first);
    server.pause();

    let second = Follower::with(kept.clone());
    assert!(second.verifier.is_ready(), "at once");
    assert_eq!(second.verify(&alice), Err(Rejection::TokenRevoked));
    second.verify(&somebody()).expect("good");
    server.resume();
    second.when(|status| status.is_live).await;
    assert_eq!(second.trust.status().snapshots, 1, "it goes on where the first was");
    drop(second);

    // Another file, for the second may still be writing to its own.
    let damaged = folder.path().join("damaged");
    std::fs::write(&damaged, "rubbish").expect("written");
    server.pause();
    let third = Follower::with(StreamConfig { snapshot_file: Some(damaged), ..kept });
    assert!(!third.verifier.is_ready(), "what is damaged is not used");
    server.resume();
    third.when(|status| status.is_live).await;
}

/// Waits until the file is there: it is put into place whole.
async fn written(file: &Path) {
    tokio::time::timeout(PATIENCE, async {
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the snapshot is kept");
}

#[tokio::test]
async fn without_the_credential_nothing_is_told() {
    let server = TrustServer::start(&issuer()).await;
    let wrong = StreamCredential::new("another-credential-of-nobody").expect("visible ASCII");
    let refused = Follower::with(StreamConfig { credential: wrong, ..server.config() });
    refused.when(|status| status.cuts > 0).await;
    assert!(!refused.verifier.is_ready());
    assert_eq!(refused.verify(&somebody()), Err(Rejection::NotReady));
    Follower::live(&server).await;
}

#[tokio::test]
async fn a_stream_over_tls_is_of_the_authority_that_was_given_or_of_nobody() {
    let (server, authority) = TrustServer::start_with_tls(&issuer()).await;
    let trusting = Follower::with(StreamConfig { ca_pem: Some(authority), ..server.config() });
    trusting.when(|status| status.is_live).await;
    let (_other, another) = TrustServer::start_with_tls(&issuer()).await;
    let refusing = Follower::with(StreamConfig { ca_pem: Some(another), ..server.config() });
    refusing.when(|status| status.cuts > 0).await;
    assert!(!refusing.verifier.is_ready());
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let credential = || StreamCredential::new(CREDENTIAL).expect("good");
    for url in ["", "internal:50071", "ftp://internal:50071", "http://", "http://me@internal:50071", "https://internal"]
    {
        let refused = Trust::follow_stream(StreamConfig::new(url, credential()));
        assert!(refused.is_err(), "{url}");
    }
    let config = StreamConfig::new("http://127.0.0.1:1", credential());
    assert!(Trust::follow_stream(StreamConfig { ca_pem: Some(Vec::new()), ..config.clone() }).is_err());
    assert!(Trust::follow_stream(config).is_ok());
    for text in ["", " ", "naïve", "two\nlines"] {
        assert!(StreamCredential::new(text).is_err(), "{text:?}");
    }
    assert!(!format!("{:?}", credential()).contains("credential-of"));
}
