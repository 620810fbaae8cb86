//! The auth service killed in the middle of its work: nobody is signed out by it.

use authn::testing::TestIssuer;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use proto::auth::v1::TokenPair;
use proto::auth::v1::auth_service_client::AuthServiceClient;
use runtime::testing::Store;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::harness::actor::{PASSWORD, Visitor};
use crate::harness::process::Program;
use crate::harness::stack::{await_ready, connect, write_secret};

/// How many refresh at once: when the process dies, each of them is at another step.
const CLIENTS: usize = 12;

/// The generation of the session that an access token is of.
fn generation(tokens: &TokenPair) -> u64 {
    let payload = tokens.access_token.split('.').nth(1).expect("three parts");
    let claims: Value = serde_json::from_slice(&BASE64URL.decode(payload).expect("base64url")).expect("JSON");
    claims["gen"].as_u64().expect("a generation")
}

#[tokio::test]
async fn a_kill_at_any_step_of_a_rotation_signs_nobody_out_and_rotates_nothing_twice() {
    let (folder, store) = (tempfile::tempdir().expect("a folder"), Store::fresh().await);
    let key = folder.path().join("key.pem");
    write_secret(&key, &TestIssuer::new("http://127.0.0.1:50051", "notes-service").private_pem());
    let (key, url) = (key.display().to_string(), store.url());
    let settings = [
        ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
        ("AUTH_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0"),
        ("AUTH_SERVICE_DATABASE_URL", url.as_str()),
        ("AUTH_SERVICE_SIGNING_KEY_FILE", &key),
        ("AUTH_SERVICE_REFRESH_SECRET", "a refresh secret that only the tests use"),
        // So that a repetition is judged by what was seen of the child, and not by the hour.
        ("AUTH_SERVICE_SESSION_REUSE_GRACE", "0s"),
    ];
    let start = async || {
        let program = Program::start("auth-service", folder.path(), &settings, 2);
        await_ready(program.listeners["auth"], "auth.v1.AuthService").await;
        let auth = AuthServiceClient::new(connect(program.listeners["auth"]).await);
        (program, Visitor { auth })
    };
    let (mut program, mut visitor) = start().await;
    visitor.register("alice@example.com", PASSWORD).await.expect("registered");
    let mut held = Vec::new();
    for _ in 0..CLIENTS {
        let login = visitor.login("alice@example.com", PASSWORD).await.expect("logged in");
        held.push(login.tokens.expect("tokens"));
    }

    let (mut answered, mut lost) = (0, 0);
    for (round, answers_before_the_end) in [0, 1, CLIENTS / 3, CLIENTS / 2, CLIENTS - 1].into_iter().enumerate() {
        let mut calls = JoinSet::new();
        for (client, tokens) in held.iter().enumerate() {
            let (mut visitor, token) = (visitor.clone(), tokens.refresh_token.clone());
            calls.spawn(async move { (client, visitor.refresh(&token).await) });
        }
        let mut waiting: Vec<_> = (0..CLIENTS).collect();
        let mut is_killed = false;
        while !calls.is_empty() {
            if !is_killed && CLIENTS - waiting.len() >= answers_before_the_end {
                program.kill();
                is_killed = true;
            }
            let Some(Ok((client, answer))) = calls.join_next().await else { panic!("a call panicked") };
            if let Ok(tokens) = answer {
                waiting.retain(|other| *other != client);
                held[client] = tokens;
            }
        }
        (program, visitor) = start().await;
        answered += CLIENTS - waiting.len();
        lost += waiting.len();
        for client in waiting {
            held[client] = visitor.refresh(&held[client].refresh_token).await.expect("nobody is signed out");
        }
        for tokens in &held {
            let expected = u64::try_from(round).expect("few") + 2;
            assert_eq!(generation(tokens), expected, "one call, one rotation, however often it was repeated");
        }
    }
    assert!(answered > 0 && lost > 0, "{answered} answers came and {lost} did not");
}
