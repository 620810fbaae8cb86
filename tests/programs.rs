//! The programs as a user starts them: standalone on a data folder, both services as processes of their own, restarts,
//! crashes, signals.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use authn::testing::TestIssuer;
use proto::notes::v1::{CreateNoteRequest, Note};
use runtime::testing::Store;

use crate::harness::actor::Person;
use crate::harness::assert::assert_refused;
use crate::harness::process::{Program, program};
use crate::harness::stack::{await_ready, connect, write_secret};

const ANY_PORTS: [(&str, &str); 4] = [
    ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
    ("AUTH_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0"),
    ("NOTES_SERVICE_LISTEN", "127.0.0.1:0"),
    ("NOTES_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0"),
];

/// `cargo run` on this data folder.
fn standalone(folder: &Path) -> Program {
    Program::start("standalone", folder, &ANY_PORTS, 4)
}

fn auth(program: &Program) -> SocketAddr {
    program.listeners["auth"]
}

fn notes(program: &Program) -> SocketAddr {
    program.listeners["notes"]
}

async fn alice_at(program: &Program) -> Person {
    Person::register("alice", connect(auth(program)).await, connect(notes(program)).await).await
}

async fn again_at(alice: &Person, program: &Program) -> Person {
    alice.clone().at(connect(auth(program)).await, connect(notes(program)).await).await
}

#[tokio::test]
async fn standalone_keeps_accounts_notes_and_keys_in_its_data_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = standalone(folder.path());
    let mut alice = alice_at(&first).await;
    let made = alice.write("kept", "text").await;
    let tokens = alice.tokens.clone();
    first.signal("TERM");
    assert!(first.wait().success(), "{:#?}", first.log);

    let second = standalone(folder.path());
    let again = again_at(&alice, &second).await;
    assert_eq!(again.get(&made.name).await.expect("read"), made);
    alice = again;
    alice.tokens = tokens;
    alice.get(&made.name).await.expect("the key is the same, so tokens live on");
    alice.refresh().await.expect("and so does the session");
}

#[tokio::test]
async fn in_standalone_a_logout_acts_at_the_notes_service_without_any_setting() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = standalone(folder.path());
    let mut alice = alice_at(&program).await;
    alice.usage().await.expect("good");
    alice.logout().await.expect("ended");
    let refused = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        loop {
            if let Err(status) = alice.usage().await {
                return status;
            }
        }
    });
    assert_refused::<()>(Err(refused.await.expect("refused at last")), "UNAUTHENTICATED TOKEN_REVOKED");
}

#[cfg(unix)]
#[tokio::test]
async fn secrets_in_the_data_folder_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let program = standalone(folder.path());
    let data = folder.path().join("data");
    let mode = |path: &Path| std::fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for secret in ["key-encryption-key", "refresh-secret", "page-token-secret", "auth.db", "notes.db"] {
        assert_eq!(mode(&data.join(secret)), 0o600, "{secret}");
    }
    drop(program);

    let key = data.join("key-encryption-key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let mut refused = Program::spawn("standalone", folder.path(), &ANY_PORTS);
    assert!(!refused.wait().success(), "a key that others can read is refused");
    assert!(refused.log.iter().any(|line| line.contains("key-encryption-key")), "{:#?}", refused.log);
}

#[tokio::test]
async fn a_second_process_on_the_same_data_folder_is_refused_with_a_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = standalone(folder.path());
    let mut second = Program::spawn("standalone", folder.path(), &ANY_PORTS);
    assert!(!second.wait().success());
    assert!(second.log.iter().any(|line| line.contains("another process")), "{:#?}", second.log);
    alice_at(&first).await.write("the first goes on", "").await;
}

#[tokio::test]
async fn no_acknowledged_note_is_lost_to_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let (accounts, notes) = (Store::fresh().await, Store::fresh().await);
    let (accounts_url, notes_url) = (accounts.url(), notes.url());
    let key = folder.path().join("key.pem");
    write_secret(&key, &TestIssuer::new("http://127.0.0.1:50051", "notes-service").private_pem());
    let key = key.display().to_string();
    let mut settings = ANY_PORTS.to_vec();
    settings.extend([
        ("AUTH_SERVICE_DATABASE_URL", accounts_url.as_str()),
        ("AUTH_SERVICE_SIGNING_KEY_FILE", &key),
        ("AUTH_SERVICE_REFRESH_SECRET", "a refresh secret that only the tests use"),
        ("NOTES_SERVICE_DATABASE_URL", &notes_url),
        ("NOTES_SERVICE_PAGE_TOKEN_SECRET", "a page token secret that only the tests use"),
    ]);
    let standalone = async || {
        let program = Program::start("standalone", folder.path(), &settings, 4);
        await_ready(program.listeners["auth"], "auth.v1.AuthService").await;
        await_ready(program.listeners["notes"], "notes.v1.NotesService").await;
        program
    };
    let mut program = standalone().await;
    let mut alice = alice_at(&program).await;
    let mut acknowledged = BTreeSet::new();
    for round in 0..5 {
        let writers: Vec<_> = (0..8)
            .map(|n| {
                let alice = alice.clone();
                tokio::spawn(async move {
                    let mut names = Vec::new();
                    loop {
                        let note = Note { title: format!("{round}-{n}"), ..Note::default() };
                        let request = CreateNoteRequest { note: Some(note), ..Default::default() };
                        let Ok(made) = alice.create(request).await else { return names };
                        names.push(made.name);
                    }
                })
            })
            .collect();
        for n in 0..50 * (round + 1) {
            acknowledged.insert(alice.write("witness", &n.to_string()).await.name);
        }
        program.kill();
        for writer in writers {
            acknowledged.extend(writer.await.expect("a writer"));
        }
        program = standalone().await;
        alice = again_at(&alice, &program).await;
        let kept: BTreeSet<_> = alice.list_all(Default::default()).await.into_iter().map(|note| note.name).collect();
        let lost: Vec<_> = acknowledged.difference(&kept).collect();
        assert!(lost.is_empty(), "round {round}: {} of {} are lost", lost.len(), acknowledged.len());
    }
}

#[tokio::test]
async fn the_services_run_as_two_processes_that_share_only_the_issuer_and_the_keys() {
    let (auth_folder, notes_folder) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let private = auth_folder.path().join("key.pem");
    write_secret(&private, &TestIssuer::new("http://127.0.0.1:50051", "notes-service").private_pem());
    let key = private.display().to_string();
    let settings = [&ANY_PORTS[..2], &[("AUTH_SERVICE_SIGNING_KEY_FILE", key.as_str())]].concat();
    let auth = Program::start("auth-service", auth_folder.path(), &settings, 2);
    let jwks = format!("http://{}/.well-known/jwks.json", auth.listeners["auth"]);
    let mut settings = ANY_PORTS[2..].to_vec();
    settings.push(("NOTES_SERVICE_TRUST_JWKS_URL", &jwks));
    let by_url = Program::start("notes-service", notes_folder.path(), &settings, 2);
    let (auth_address, notes_address) = (auth.listeners["auth"], by_url.listeners["notes"]);
    await_ready(notes_address, "notes.v1.NotesService").await;
    let alice = Person::register("alice", connect(auth_address).await, connect(notes_address).await).await;
    let made = alice.write("by URL", "").await;
    drop(by_url);

    // The same store, the keys from a file: the public half of the auth service's key, which takes no turns.
    let public = notes_folder.path().join("auth-public.pem");
    let done = Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(private).arg("-out").arg(&public).status();
    assert!(done.expect("openssl runs").success());
    let public = public.display().to_string();
    let mut settings = ANY_PORTS[2..].to_vec();
    settings.push(("NOTES_SERVICE_TRUST_KEY_FILE", &public));
    let by_file = Program::start("notes-service", notes_folder.path(), &settings, 2);
    drop(auth);
    let mut moved = alice.clone();
    moved.notes_at(connect(by_file.listeners["notes"]).await);
    assert_eq!(moved.get(&made.name).await.expect("read"), made);
}

#[tokio::test]
async fn no_secret_and_no_text_of_a_person_is_in_the_log_at_any_level() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = ANY_PORTS.to_vec();
    settings.push(("STANDALONE_LOG_LEVEL", "trace"));
    let mut program = Program::start("standalone", folder.path(), &settings, 4);
    let mut alice = alice_at(&program).await;
    let made = alice.write("canary-title", "canary-content").await;
    alice.get(&made.name).await.expect("read");
    alice.list(Default::default()).await.expect("listed");
    let spent = alice.tokens.clone();
    let fresh = alice.refresh().await.expect("refreshed");
    alice.visitor.refresh(&format!("{}x", spent.refresh_token)).await.expect_err("mangled");
    alice.visitor.register("alice@example.com", "another canary password").await.expect_err("taken");
    alice.visitor.login("canary@example.com", "another canary password").await.expect_err("unknown");
    alice.tokens.access_token = format!("{}x", fresh.access_token);
    alice.get(&made.name).await.expect_err("mangled");
    program.signal("TERM");
    program.wait();

    assert!(program.log.iter().any(|line| line.contains("CreateNote")), "calls are logged");
    let log = program.log.join("\n").to_lowercase();
    for secret in [
        "canary",
        "alice@",
        "green boats",
        &spent.refresh_token,
        &spent.access_token,
        &fresh.refresh_token,
        &fresh.access_token,
    ] {
        let secret = secret.to_lowercase();
        let found = log.find(&secret).map(|at| log[at.saturating_sub(200)..].chars().take(400).collect::<String>());
        assert_eq!(found, None, "{secret} is in the log");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_flood_of_logins_leaves_no_memory_behind() {
    const MIB: u64 = 1_048_576;
    let folder = tempfile::tempdir().expect("a folder");
    let program = standalone(folder.path());
    let alice = alice_at(&program).await;
    let before = program.resident_bytes();
    for _ in 0..6 {
        let logins = (0..32).map(|_| {
            let mut visitor = alice.visitor.clone();
            async move { visitor.login("alice@example.com", "a wrong password, but long enough").await }
        });
        for login in futures_util::future::join_all(logins).await {
            login.expect_err("it is wrong");
        }
    }
    let left = program.resident_bytes().saturating_sub(before);
    // One hash takes 19 MiB; connections and tasks take a little.
    assert!(left < 32 * MIB, "{} MiB are left", left / MIB);
}

/// Runs a program to its end and tells whether it succeeded and what it said.
fn finish(name: &str, folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(program(name));
    command.current_dir(folder).env_clear().envs(environment.iter().copied()).args(arguments);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[test]
fn migrate_succeeds_only_when_the_schema_is_in_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key.pem");
    write_secret(&key, &TestIssuer::new("http://127.0.0.1:50051", "notes-service").private_pem());
    let key = key.display().to_string();
    // Nobody listens at port 1.
    let nowhere = "postgres://nobody@127.0.0.1:1/nowhere";
    let on_server = [
        ("AUTH_SERVICE_DATABASE_URL", nowhere),
        ("AUTH_SERVICE_SIGNING_KEY_FILE", &key),
        ("AUTH_SERVICE_REFRESH_SECRET", "a refresh secret that only the tests use"),
        ("NOTES_SERVICE_DATABASE_URL", nowhere),
        ("NOTES_SERVICE_PAGE_TOKEN_SECRET", "a page token secret that only the tests use"),
    ];
    let in_folder =
        [("AUTH_SERVICE_DATABASE_MIGRATE_ON_START", "false"), ("NOTES_SERVICE_DATABASE_MIGRATE_ON_START", "false")];
    for (name, variables, store) in
        [("auth-service", 0..3, "data/auth.db"), ("notes-service", 3..5, "data/notes.db"), ("standalone", 0..5, "data")]
    {
        let (done, said) = finish(name, folder.path(), &on_server[variables], &["migrate"]);
        assert!(!done, "{name} says that it migrated a server that is not there: {said}");
        assert!(said.contains("refused"), "{name} does not say why: {said}");
        let (done, said) = finish(name, folder.path(), &in_folder, &["migrate"]);
        assert!(done, "{name}: {said}");
        assert!(folder.path().join(store).exists(), "{name}");
    }
}

#[test]
fn the_log_says_why_the_database_cannot_be_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = ANY_PORTS[2..].to_vec();
    settings.extend([
        ("NOTES_SERVICE_DATABASE_URL", "postgres://nobody:canary@127.0.0.1:1/nowhere"),
        ("NOTES_SERVICE_PAGE_TOKEN_SECRET", "a page token secret that only the tests use"),
    ]);
    let program = Program::start("notes-service", folder.path(), &settings, 2);
    let line = program.log.iter().find(|line| line.contains("the database cannot be used yet"));
    let line = line.unwrap_or_else(|| panic!("it says nothing: {:#?}", program.log));
    assert!(line.contains("refused") && !line.contains("canary"), "{line}");
}

#[test]
fn the_descriptors_name_the_types_of_error_details_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("contracts.binpb");
    let (done, said) = finish("notes-service", folder.path(), &[], &["descriptors", &file.display().to_string()]);
    assert!(done, "{said}");
    let pool = prost_reflect::DescriptorPool::decode(&*std::fs::read(&file).expect("written")).expect("descriptors");
    for message in ["notes.v1.Note", "google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"] {
        assert!(pool.get_message_by_name(message).is_some(), "{message}");
    }
}

#[test]
fn mistakes_in_the_settings_are_all_named_at_once_and_nothing_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(program("notes-service"))
        .current_dir(folder.path())
        .env_clear()
        .env("NOTES_SERVICE_LISTEN", "nowhere")
        .env("NOTES_SERVICE_LIMITS_CONNECTIONS", "-1")
        .env("NOTES_SERVICE_NO_SUCH_SETTING", "1")
        .arg("--check-config")
        .output()
        .expect("it runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    for name in ["NOTES_SERVICE_LISTEN", "NOTES_SERVICE_LIMITS_CONNECTIONS", "NOTES_SERVICE_NO_SUCH_SETTING"] {
        let key = name.trim_start_matches("NOTES_SERVICE_").to_lowercase().replace('_', ".");
        assert!(said.contains(name) || said.contains(&key), "{name} is not named:\n{said}");
    }
    assert!(!folder.path().join("data").exists(), "nothing was made");
}

#[test]
fn the_settings_are_printed_with_secrets_masked() {
    for (name, secret) in
        [("auth-service", "AUTH_SERVICE_REFRESH_SECRET"), ("notes-service", "NOTES_SERVICE_PAGE_TOKEN_SECRET")]
    {
        let output = Command::new(program(name))
            .env_clear()
            .env(secret, "do-not-print-this-secret-anywhere")
            .arg("--print-config")
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).expect("text");
        assert!(printed.parse::<toml::Table>().is_ok(), "it can be read back as a file:\n{printed}");
        assert!(!printed.contains("do-not-print"), "{printed}");
        assert!(printed.contains("[database]"), "{printed}");
    }
}
