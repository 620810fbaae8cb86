//! What is revoked at the auth service is refused at the notes service, soon, and whatever happens in between nothing
//! that was revoked comes back.

use std::process::Command;
use std::time::Duration;

use proto::auth::v1::SignOutScope;

use crate::harness::actor::{PASSWORD, Person};
use crate::harness::assert::{PATIENCE, assert_refused, comes_to};
use crate::harness::process::{Program, program};
use crate::harness::raw;
use crate::harness::stack::{INTERNAL_CREDENTIAL, Stack, await_ready, connect, write_secret};

const MINUTE: Duration = Duration::from_secs(60);
const REVOKED: &str = "UNAUTHENTICATED TOKEN_REVOKED";
/// A line of the metrics of the notes service.
async fn metric(stack: &Stack, name: &str) -> f64 {
    let url = format!("http://{}/metrics", stack.notes.operations());
    let text = reqwest::get(url).await.expect("an answer").text().await.expect("text");
    let line = text.lines().find(|line| line.split(' ').next() == Some(name));
    let value = line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().expect("a value");
    value.parse().expect("a number")
}

#[tokio::test]
async fn whatever_ends_a_session_ends_its_access_tokens_at_the_notes_service() {
    let stack = Stack::start().await;
    let bob = stack.register("bob").await;
    for (number, act) in ["logout", "revoke", "others", "everywhere", "password", "delete", "reuse"].iter().enumerate()
    {
        let own = stack.register(&format!("alice-{number}")).await;
        let mut other = own.on_another_device().await;
        for person in [&own, &other] {
            person.usage().await.expect("good, and remembered as such");
        }
        let mut acting = own.clone();
        let (own_ends, other_ends) = match *act {
            "logout" => acting.logout().await.map(|()| (true, false)),
            "revoke" => acting.revoke_session(&other.session).await.map(|()| (false, true)),
            "others" => acting.sign_out(SignOutScope::Others).await.map(|()| (false, true)),
            "everywhere" => acting.sign_out(SignOutScope::Global).await.map(|()| (true, true)),
            "password" => {
                acting.change_password(PASSWORD, "eight blue kites above a hill").await.map(|()| (true, true))
            }
            "delete" => acting.delete_account(PASSWORD).await.map(|()| (true, true)),
            _ => {
                // A token of an older generation comes back: a theft.
                let stolen = other.tokens.refresh_token.clone();
                for _ in 0..2 {
                    other.refresh().await.expect("the owner rotates it");
                }
                stack.clock.advance(Duration::from_secs(11));
                let refused = other.visitor.refresh(&stolen).await;
                assert_refused(refused, "UNAUTHENTICATED REFRESH_TOKEN_REUSED");
                Ok((false, true))
            }
        }
        .unwrap_or_else(|status| panic!("{act}: {status}"));
        for (person, ends) in [(&own, own_ends), (&other, other_ends)] {
            match ends {
                true => comes_to(person, REVOKED).await,
                false => comes_to(person, "OK").await,
            }
        }
        if *act == "password" {
            comes_to(&acting, "OK").await;
        }
    }
    bob.usage().await.expect("nobody else is refused");
}

#[tokio::test]
async fn what_an_operator_disables_is_refused_by_another_process_that_follows_the_stream() {
    let folder = tempfile::tempdir().expect("a folder");
    let credential = folder.path().join("credential");
    write_secret(&credential, INTERNAL_CREDENTIAL);
    let credential = credential.display().to_string();
    let auth_settings = [
        ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
        ("AUTH_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0"),
        ("AUTH_SERVICE_INTERNAL_LISTEN", "127.0.0.1:0"),
        ("AUTH_SERVICE_INTERNAL_CREDENTIAL_FILE", &credential),
    ];
    let auth = Program::start("auth-service", folder.path(), &auth_settings, 3);
    let stream = format!("http://{}", auth.listeners["auth-internal"]);
    let notes_settings = [
        ("NOTES_SERVICE_LISTEN", "127.0.0.1:0"),
        ("NOTES_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0"),
        ("NOTES_SERVICE_TRUST_STREAM_URL", &stream),
        ("NOTES_SERVICE_TRUST_STREAM_CREDENTIAL_FILE", &credential),
    ];
    let notes = Program::start("notes-service", folder.path(), &notes_settings, 2);
    let (auth_at, notes_at) = (auth.listeners["auth"], notes.listeners["notes"]);
    await_ready(auth_at, "auth.v1.AuthService").await;
    await_ready(notes_at, "notes.v1.NotesService").await;
    let alice = Person::register("alice", connect(auth_at).await, connect(notes_at).await).await;
    let bob = Person::register("bob", connect(auth_at).await, connect(notes_at).await).await;
    alice.usage().await.expect("good");

    let mut authctl = Command::new(program("authctl"));
    authctl.current_dir(folder.path()).env_clear().envs(auth_settings).args(["accounts", "disable", &alice.email]);
    let said = authctl.output().expect("it runs");
    assert!(said.status.success(), "{said:?}");
    comes_to(&alice, REVOKED).await;
    bob.usage().await.expect("nobody else is refused");
}

#[tokio::test]
async fn notes_are_served_while_the_auth_service_is_away_and_nothing_revoked_comes_back() {
    let stack = Stack::start().await;
    let (mut alice, mut bob) = (stack.register("alice").await, stack.register("bob").await);
    let note = bob.write("kept", "").await;
    alice.usage().await.expect("good");
    alice.logout().await.expect("ended");
    comes_to(&alice, REVOKED).await;

    let stack = stack.stop_auth().await;
    comes_to(&alice, REVOKED).await;
    stack.clock.advance(10 * MINUTE);
    let mut claims = stack.claims_of(&bob);
    (claims.iat, claims.nbf, claims.exp) = (claims.iat + 600, None, claims.iat + 900);
    bob.tokens.access_token = stack.issuer.sign(&claims);
    bob.get(&note.name).await.expect("served");
    assert!(metric(&stack, "trust_staleness_seconds").await >= 600.0, "and how old it is can be seen");
    assert_eq!(metric(&stack, "trust_live").await, 0.0);

    let stack = stack.start_auth_again().await;
    comes_to(&bob, "OK").await;
    let carol = stack.register("carol").await;
    let mut her_session = carol.clone();
    her_session.logout().await.expect("ended");
    comes_to(&carol, REVOKED).await;
    assert_eq!(metric(&stack, "trust_live").await, 1.0);
    assert!(metric(&stack, "trust_staleness_seconds").await < 600.0);
}

#[tokio::test]
async fn a_notes_service_that_may_not_be_stale_refuses_and_goes_on_when_it_hears_again() {
    let stack = Stack::start_with(&[], &[("NOTES_SERVICE_TRUST_MAX_STALENESS", "30s")]).await;
    let alice = stack.register("alice").await;
    alice.usage().await.expect("good");
    let stack = stack.stop_auth().await;
    stack.clock.advance(MINUTE);
    comes_to(&alice, "UNAVAILABLE VERIFIER_STALE").await;
    let stack = stack.start_auth_again().await;
    comes_to(&alice, "OK").await;
    drop(stack);
}

#[tokio::test]
async fn a_notes_service_that_restarts_while_the_auth_service_is_away_remembers_what_is_revoked() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trust").display().to_string();
    let stack = Stack::start_with(&[], &[("NOTES_SERVICE_TRUST_SNAPSHOT_FILE", &file)]).await;
    let (mut alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    alice.logout().await.expect("ended");
    comes_to(&alice, REVOKED).await;
    // It is kept soon after it is known: by the 16 bytes of its id.
    let session = stack.claims_of(&alice).sid.expect("a session");
    tokio::time::timeout(PATIENCE, async {
        let is_kept = |bytes: Vec<u8>| bytes.windows(16).any(|part| part == session.as_bytes());
        while !std::fs::read(&file).is_ok_and(is_kept) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the snapshot is kept");

    let stack = stack.stop_auth().await.restart_notes_alone().await;
    let (mut alice, mut bob) = (alice, bob);
    for person in [&mut alice, &mut bob] {
        person.notes_at(connect(stack.notes.address()).await);
    }
    comes_to(&alice, REVOKED).await;
    comes_to(&bob, "OK").await;
}

#[tokio::test]
async fn the_internal_listener_serves_services_and_neither_health_nor_key_sets() {
    let stack = Stack::start().await;
    let internal = stack.auth.listener("auth-internal");
    for path in ["/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"] {
        let answer = raw::grpc(internal, path, Some(INTERNAL_CREDENTIAL), &[]).await;
        assert_eq!(answer.outcome(), "UNIMPLEMENTED METHOD_UNKNOWN", "{path}");
    }
    let answer = reqwest::get(format!("http://{internal}/.well-known/jwks.json")).await.expect("an answer");
    assert_eq!(answer.status(), 404);
    let watch = "/auth.internal.v1.TrustService/WatchTrust";
    assert_eq!(raw::grpc_stream(internal, watch, Some(INTERNAL_CREDENTIAL), &[]).await, "OK");
}

/// On PostgreSQL two auth services share a store; on SQLite one process has it.
#[tokio::test]
async fn what_one_auth_service_revokes_is_refused_by_those_who_follow_another() {
    let stack = Stack::start().await;
    let Some(second) = stack.second_auth().await else { return };
    let mut alice = stack.register("alice").await;
    let bob = stack.register("bob").await;
    alice.usage().await.expect("good");
    alice.auth_at(connect(second.address()).await);
    alice.logout().await.expect("ended at the second");
    comes_to(&alice, REVOKED).await;
    bob.usage().await.expect("nobody else is refused");
    second.stop().await;
}
