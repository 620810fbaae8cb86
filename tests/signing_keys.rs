//! Signing keys that take turns and are revoked, as the services and their callers meet it: two auth services on one
//! PostgreSQL store and two notes services that follow one of them each; one of either on SQLite.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use authn::claims::Claims;
use authn::testing::TestIssuer;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use proto::auth::v1::ListSigningKeysRequest;
use proto::auth::v1::auth_service_client::AuthServiceClient;
use runtime::database::Engine;
use runtime::testing::Store;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::actor::{PASSWORD, Person, Visitor};
use crate::harness::assert::{PATIENCE, comes_to};
use crate::harness::process::{Program, program};
use crate::harness::raw::outcome;
use crate::harness::stack::{INTERNAL_CREDENTIAL, await_ready, connect, write_secret};

const KEY_REVOKED: &str = "UNAUTHENTICATED TOKEN_KEY_REVOKED";

/// The settings of auth services that share a store.
struct Settings {
    environment: Vec<(String, String)>,
    folder: TempDir,
    store: Store,
}

/// Everything that runs.
struct Site {
    auth: Vec<Program>,
    notes: Vec<Program>,
    settings: Arc<Settings>,
}

impl Settings {
    async fn new() -> Self {
        let (folder, store) = (tempfile::tempdir().expect("a folder"), Store::fresh().await);
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            write_secret(&path, content);
            path.display().to_string()
        };
        let environment = [
            ("LISTEN", "127.0.0.1:0".to_owned()),
            ("OPERATIONS_LISTEN", "127.0.0.1:0".to_owned()),
            ("INTERNAL_LISTEN", "127.0.0.1:0".to_owned()),
            ("INTERNAL_CREDENTIAL_FILE", file("credential", INTERNAL_CREDENTIAL)),
            ("DATABASE_URL", store.url()),
            ("REFRESH_SECRET", "a refresh secret that only the tests use".to_owned()),
            ("SIGNING_KEYS_ENCRYPTION_KEY_FILE", file("kek", "a key encryption key that only the tests use")),
            // So that keys follow each other within a test.
            ("SIGNING_KEYS_PUBLISH_AHEAD", "1s".to_owned()),
            ("JWKS_MAX_AGE", "0s".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (format!("AUTH_SERVICE_{name}"), value)).to_vec();
        Self { environment, folder, store }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn spawn_auth(&self) -> Program {
        Program::spawn("auth-service", self.folder.path(), &self.variables())
    }

    async fn start_auth(&self) -> Program {
        let auth = Program::start("auth-service", self.folder.path(), &self.variables(), 3);
        await_ready(auth.listeners["auth"], "auth.v1.AuthService").await;
        auth
    }

    fn authctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("authctl"));
        command.current_dir(self.folder.path()).env_clear().arg("--json").args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The rows that `authctl` prints.
    #[track_caller]
    fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.authctl(arguments).output().expect("it runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The ids of the keys in this state.
    fn keys(&self, state: &str) -> Vec<String> {
        let rows = self.rows(&["keys", "list"]);
        let of_state = rows.iter().filter(|row| row["state"] == state);
        of_state.map(|row| row["kid"].as_str().expect("an id").to_owned()).collect()
    }

    fn current(&self) -> String {
        let keys = self.keys("current");
        assert_eq!(keys.len(), 1, "one key signs");
        keys[0].clone()
    }

    /// Waits until a key stands by.
    fn await_standby(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.keys("standby").is_empty() {
            assert!(Instant::now() < deadline, "no key stands by");
        }
    }

    /// Has the next key sign, and waits until it does.
    fn rotate(&self) {
        self.await_standby();
        let before = self.current();
        self.rows(&["keys", "rotate"]);
        let deadline = Instant::now() + PATIENCE;
        while self.current() == before {
            assert!(Instant::now() < deadline, "no other key signs");
        }
    }
}

impl Site {
    async fn start() -> Self {
        let settings = Settings::new().await;
        let replicas = if settings.store.engine() == Engine::Sqlite { 1 } else { 2 };
        let (mut auth, mut notes) = (Vec::new(), Vec::new());
        for number in 0..replicas {
            let service = settings.start_auth().await;
            let follower = start_notes(&settings, &service, number);
            await_ready(follower.listeners["notes"], "notes.v1.NotesService").await;
            auth.push(service);
            notes.push(follower);
        }
        Self { auth, notes, settings: Arc::new(settings) }
    }

    /// Somebody with an account, who speaks with the services of these numbers.
    async fn register(&self, name: &str, auth: usize, notes: usize) -> Person {
        let auth = connect(self.auth[auth % self.auth.len()].listeners["auth"]).await;
        let notes = connect(self.notes[notes % self.notes.len()].listeners["notes"]).await;
        Person::register(name, auth, notes).await
    }
}

fn start_notes(settings: &Settings, auth: &Program, number: usize) -> Program {
    let folder = settings.folder.path().join(format!("notes-{number}"));
    std::fs::create_dir(&folder).expect("made");
    let stream = format!("http://{}", auth.listeners["auth-internal"]);
    let environment = [
        ("NOTES_SERVICE_LISTEN", "127.0.0.1:0"),
        ("NOTES_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0"),
        ("NOTES_SERVICE_TRUST_STREAM_URL", &stream),
        ("NOTES_SERVICE_TRUST_STREAM_CREDENTIAL", INTERNAL_CREDENTIAL),
    ];
    Program::start("notes-service", &folder, &environment, 2)
}

/// The id of the key that signed a token.
fn kid(token: &str) -> String {
    let header = BASE64URL.decode(token.split('.').next().expect("three parts")).expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    header["kid"].as_str().expect("a key id").to_owned()
}

/// The ids of the keys that an auth service publishes.
async fn published(auth: &Program) -> BTreeSet<String> {
    let mut auth = AuthServiceClient::new(connect(auth.listeners["auth"]).await);
    let listed = auth.list_signing_keys(ListSigningKeysRequest {}).await.expect("listed").into_inner();
    listed.keys.into_iter().map(|key| key.kid).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_take_turns_under_load_cost_no_good_token() {
    const ROTATIONS: usize = 4;
    const PEOPLE: usize = 6;
    let site = Site::start().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        let mut person = site.register(&format!("person-{number}"), number, number / 2).await;
        let is_over = Arc::clone(&is_over);
        people.push(tokio::spawn(async move {
            let (mut calls, mut signed_by) = (0, BTreeSet::new());
            let mut oldest = person.clone();
            while !is_over.load(Ordering::Relaxed) {
                // Four rotations within 10 s are as many as a session may have: a login is another session.
                person = person.on_another_device().await;
                signed_by.insert(kid(&person.tokens.access_token));
                for _ in 0..20 {
                    person.usage().await.unwrap_or_else(|status| panic!("a new token: {}", outcome(&status)));
                    oldest.usage().await.unwrap_or_else(|status| panic!("an old token: {}", outcome(&status)));
                    calls += 2;
                }
                if calls % 200 == 0 {
                    oldest = person.clone();
                }
            }
            (calls, signed_by)
        }));
    }
    let settings = Arc::clone(&site.settings);
    tokio::task::spawn_blocking(move || (0..ROTATIONS).for_each(|_| settings.rotate())).await.expect("rotated");
    is_over.store(true, Ordering::Relaxed);
    let (mut calls, mut signed_by) = (0, BTreeSet::new());
    for person in people {
        let (of_one, keys) = person.await.expect("no good token was refused");
        calls += of_one;
        signed_by.extend(keys);
    }
    assert!(calls > 100, "{calls} calls");
    assert!(signed_by.len() >= 2, "tokens of {} keys", signed_by.len());
    let known = site.settings.rows(&["keys", "list"]).len();
    assert!(known > ROTATIONS, "{known} keys");
}

#[tokio::test]
async fn what_a_revoked_key_signed_is_refused_by_every_verifier_and_a_refresh_mends_it() {
    let site = Site::start().await;
    site.settings.await_standby();
    let mut people = Vec::new();
    for number in 0..4 {
        let person = site.register(&format!("person-{number}"), number, number / 2).await;
        person.usage().await.expect("good, and remembered as such");
        people.push(person);
    }
    let stolen = site.settings.current();
    let outcome = site.settings.rows(&["keys", "revoke", &stolen]);
    assert_eq!((&outcome[0]["outcome"], &outcome[1]["outcome"]), (&"revoked".into(), &"signs now".into()));
    for person in &people {
        comes_to(person, KEY_REVOKED).await;
    }
    for person in &mut people {
        let signs_with_another = tokio::time::timeout(PATIENCE, async {
            while kid(&person.refresh().await.expect("the session goes on").access_token) == stolen {}
        });
        signs_with_another.await.expect("every replica signs with another key");
        comes_to(person, "OK").await;
    }
    for auth in &site.auth {
        assert!(!published(auth).await.contains(&stolen), "it is published no more");
    }
    let again = site.settings.rows(&["keys", "revoke", &stolen]);
    assert_eq!((again.len(), &again[0]["outcome"]), (1, &"was revoked before".into()));
    site.settings.await_standby();
    let told = site.settings.rows(&["audit", "--event", "signing_key_revoked"]);
    assert_eq!((told.len(), &told[0]["kid"]), (1, &stolen.as_str().into()));
}

#[tokio::test]
async fn five_auth_services_that_start_at_once_on_an_empty_store_have_one_set_of_keys() {
    const ROUNDS: usize = 2;
    for _ in 0..ROUNDS {
        let settings = Settings::new().await;
        if settings.store.engine() == Engine::Sqlite {
            return;
        }
        let mut started: Vec<_> = (0..5).map(|_| settings.spawn_auth()).collect();
        for auth in &mut started {
            auth.await_listeners(3);
            await_ready(auth.listeners["auth"], "auth.v1.AuthService").await;
        }
        settings.await_standby();
        assert_eq!(settings.rows(&["keys", "list"]).len(), 2);
        let addresses: Vec<_> = started.iter().map(|auth| auth.listeners["auth"]).collect();
        for (number, signer) in addresses.iter().enumerate() {
            let signer = connect(*signer).await;
            let person = Person::register(&format!("person-{number}"), signer.clone(), signer).await;
            for verifier in &addresses {
                let mut visitor = Visitor { auth: AuthServiceClient::new(connect(*verifier).await) };
                let answer = visitor.verify(&person.tokens.access_token).await.expect("an answer");
                assert!(answer.active, "a token of one replica at another");
            }
        }
    }
}

/// Kills a program after it has run for so long; it may have ended before.
fn kill_after(mut child: Child, patience: Duration) {
    let start = Instant::now();
    while start.elapsed() < patience && child.try_wait().expect("a child of ours").is_none() {
        std::hint::spin_loop();
    }
    let _ = child.kill();
    child.wait().expect("it ends");
}

#[tokio::test]
async fn a_kill_at_any_step_of_a_change_leaves_keys_that_sign_and_verify() {
    const STEPS: u32 = 12;
    let settings = Settings::new().await;
    let mut auth = settings.start_auth().await;
    let notes_at = connect(auth.listeners["auth"]).await;
    let mut alice = Person::register("alice", notes_at.clone(), notes_at).await;
    for step in 0..STEPS {
        let act: &[&str] = if step % 2 == 0 { &["keys", "rotate"] } else { &["keys", "revoke", &settings.current()] };
        let operator = settings.authctl(act).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        // The operator's program dies at this moment, and the service, busy with the next key, a moment later.
        kill_after(operator, Duration::from_millis(8) * step);
        auth.kill();
        let (current, standby) = (settings.keys("current"), settings.keys("standby"));
        assert!(current.len() == 1 && standby.len() <= 1, "step {step}: {current:?} sign, {standby:?} stand by");
        auth = settings.start_auth().await;
        let at = connect(auth.listeners["auth"]).await;
        alice.auth_at(at);
        let login = alice.visitor.login("alice@example.com", PASSWORD).await.expect("the service signs");
        let token = login.tokens.expect("tokens").access_token;
        assert!(alice.visitor.verify(&token).await.expect("an answer").active, "step {step}");
        assert!(published(&auth).await.contains(&kid(&token)), "step {step}");
    }
    let audit = settings.rows(&["audit", "--limit", "1000"]);
    let told = |name: &str| audit.iter().filter(|row| row["event"] == format!("signing_key_{name}")).count();
    let known = settings.rows(&["keys", "list"]);
    let in_state = |state: &str| known.iter().filter(|row| row["state"] == state).count();
    assert_eq!(told("created"), known.len(), "each key was told of once");
    assert_eq!(told("revoked"), in_state("revoked"));
    assert_eq!(told("activated"), known.iter().filter(|row| !row["activated_at"].is_null()).count());
}

#[tokio::test]
async fn keys_that_were_encrypted_under_another_secret_are_refused_at_start_with_a_clear_line() {
    let settings = Settings::new().await;
    drop(settings.start_auth().await);
    let kept = settings.rows(&["keys", "list"]);
    let settings = settings
        .with("AUTH_SERVICE_SIGNING_KEYS_ENCRYPTION_KEY_FILE", "")
        .with("AUTH_SERVICE_SIGNING_KEYS_ENCRYPTION_KEY", "another key encryption key, longer than thirty-two bytes");
    let environment: Vec<_> =
        settings.environment.iter().filter(|(_, value)| !value.is_empty()).cloned().collect::<Vec<_>>();
    let settings = Settings { environment, ..settings };
    let mut refused = settings.spawn_auth();
    assert!(!refused.wait().success());
    assert!(refused.log.iter().any(|line| line.contains("signing_keys.encryption_key")), "{:#?}", refused.log);
    assert_eq!(settings.rows(&["keys", "list"])[..kept.len()], kept[..], "nothing was made in their place");
}

#[tokio::test]
async fn a_data_folder_whose_key_was_a_file_goes_on_with_that_key_in_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("made");
    let file = data.join("signing-key.pem");
    let issuer = TestIssuer::new("http://127.0.0.1:50051", "notes-service");
    write_secret(&file, &issuer.private_pem());
    let ports = [("AUTH_SERVICE_LISTEN", "127.0.0.1:0"), ("AUTH_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0")];
    let auth = Program::start("auth-service", folder.path(), &ports, 2);
    await_ready(auth.listeners["auth"], "auth.v1.AuthService").await;
    let at = connect(auth.listeners["auth"]).await;
    let mut alice = Person::register("alice", at.clone(), at).await;
    let claims: Claims = {
        let claims = alice.tokens.access_token.split('.').nth(1).expect("three parts");
        serde_json::from_slice(&BASE64URL.decode(claims).expect("base64url")).expect("claims")
    };
    let token = issuer.sign(&claims);
    assert_eq!(kid(&token), kid(&alice.tokens.access_token), "the key is the same");
    assert!(alice.visitor.verify(&token).await.expect("an answer").active, "tokens that it signed before are good");
    assert!(!file.exists(), "the store has it, encrypted");
    assert!(data.join("key-encryption-key").exists());
    drop(auth);
    let auth = Program::start("auth-service", folder.path(), &ports, 2);
    await_ready(auth.listeners["auth"], "auth.v1.AuthService").await;
    assert!(published(&auth).await.contains(&kid(&token)), "and still at the next start");
}

#[tokio::test]
async fn a_key_of_the_operators_own_takes_no_turns() {
    let settings = Settings::new().await;
    let key = settings.folder.path().join("key.pem");
    let issuer = TestIssuer::new("http://127.0.0.1:50051", "notes-service");
    write_secret(&key, &issuer.private_pem());
    let mut environment = settings.environment.clone();
    environment.retain(|(name, _)| !name.contains("ENCRYPTION_KEY"));
    environment.push(("AUTH_SERVICE_SIGNING_KEY_FILE".to_owned(), key.display().to_string()));
    let settings = Settings { environment, ..settings };
    let auth = settings.start_auth().await;
    assert_eq!(published(&auth).await, BTreeSet::from([issuer.key_id().to_owned()]));
    for act in [&["keys", "list"][..], &["keys", "rotate"], &["keys", "revoke", issuer.key_id()]] {
        let refused = settings.authctl(act).output().expect("it runs");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && said.contains("signing_key"), "{act:?}: {said}");
    }
}
