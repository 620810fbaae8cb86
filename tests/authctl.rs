//! The operator's program, beside a service that runs: on SQLite as a second process on the same file.

use std::path::{Path, PathBuf};
use std::process::Command;

use authn::testing::TestIssuer;
use runtime::testing::Store;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::actor::{PASSWORD, Person, Visitor};
use crate::harness::assert::assert_refused;
use crate::harness::process::{Program, program};
use crate::harness::stack::{await_ready, connect, write_secret};

/// A running auth service and what its operator has: its settings.
struct Site {
    service: Program,
    environment: Vec<(String, String)>,
    folder: TempDir,
    _store: Store,
}

/// What `authctl` said, and how it ended.
struct Said {
    code: i32,
    output: String,
    complaint: String,
}

impl Site {
    async fn start() -> Self {
        let (folder, store) = (tempfile::tempdir().expect("a folder"), Store::fresh().await);
        let mut environment = vec![
            ("AUTH_SERVICE_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("AUTH_SERVICE_OPERATIONS_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("AUTH_SERVICE_DATABASE_URL".to_owned(), store.url()),
            ("AUTH_SERVICE_REFRESH_SECRET".to_owned(), "a refresh secret that only the tests use".to_owned()),
        ];
        environment.extend(key_settings(folder.path()));
        let variables: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let service = Program::start("auth-service", folder.path(), &variables, 2);
        await_ready(service.listeners["auth"], "auth.v1.AuthService").await;
        Self { service, environment, folder, _store: store }
    }

    fn authctl(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(program("authctl"));
        command.current_dir(self.folder.path()).env_clear().args(arguments);
        let output = command.envs(self.environment.iter().map(|(name, value)| (name, value))).output();
        let output = output.expect("it runs");
        Said {
            code: output.status.code().expect("an exit code"),
            output: String::from_utf8(output.stdout).expect("text"),
            complaint: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The rows that a command prints as JSON.
    #[track_caller]
    fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let said = self.authctl(&[&["--json"], arguments].concat());
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.complaint);
        serde_json::from_str(&said.output).expect("JSON")
    }

    /// Somebody with an account. There is no notes service here; what stands in its place is never called.
    async fn register(&self, name: &str) -> Person {
        let auth = connect(self.service.listeners["auth"]).await;
        Person::register(name, auth.clone(), auth).await
    }
}

/// What two replicas must have in common.
fn key_settings(folder: &Path) -> Vec<(String, String)> {
    let key: PathBuf = folder.join("key.pem");
    let issuer = TestIssuer::new("http://127.0.0.1:50051", "auth-service");
    write_secret(&key, &issuer.private_pem());
    vec![("AUTH_SERVICE_SIGNING_KEY_FILE".to_owned(), key.display().to_string())]
}

#[tokio::test]
async fn an_operator_ends_a_session_of_a_running_service() {
    let site = Site::start().await;
    let mut alice = site.register("alice").await;
    let sessions = site.rows(&["sessions", "list", "alice@example.com"]);
    assert_eq!(sessions.len(), 1);
    let session = sessions[0]["session"].as_str().expect("an id");

    assert_eq!(site.rows(&["sessions", "revoke", session])[0]["outcome"], "revoked");
    assert_refused(alice.refresh().await, "UNAUTHENTICATED SESSION_REVOKED");
    assert_eq!(site.rows(&["sessions", "revoke", session])[0]["outcome"], "was revoked before");
    assert!(site.rows(&["sessions", "list", "alice@example.com"]).is_empty());
}

#[tokio::test]
async fn an_account_that_is_switched_off_yields_nothing_until_it_is_switched_on() {
    let site = Site::start().await;
    let mut alice = site.register("alice").await;
    let mut bob = site.register("bob").await;
    let shown = site.rows(&["accounts", "show", "ALICE@example.com"]);
    assert_eq!((&shown[0]["state"], &shown[0]["token_version"]), (&"active".into(), &1.into()));
    let id = shown[0]["account"].as_str().expect("an id");

    assert_eq!(site.rows(&["accounts", "disable", id])[0]["state"], "disabled");
    assert_refused(alice.refresh().await, "UNAUTHENTICATED ACCOUNT_DISABLED");
    assert_refused(log_in(&mut alice.visitor).await, "UNAUTHENTICATED CREDENTIALS_INVALID");
    assert_refused(alice.account().await, "UNAUTHENTICATED TOKEN_REVOKED");
    bob.refresh().await.expect("nobody else is touched");

    assert_eq!(site.rows(&["accounts", "enable", &format!("accounts/{id}")])[0]["state"], "active");
    alice.refresh().await.expect("the session goes on");
    log_in(&mut alice.visitor).await.expect("and so does the password");
}

#[tokio::test]
async fn what_happened_to_an_account_is_told_though_the_service_was_stopped_and_the_account_is_deleted() {
    let mut site = Site::start().await;
    let mut alice = site.register("alice").await;
    let mut bob = site.register("bob").await;
    alice.visitor.login("alice@example.com", "a loud teapot!").await.expect_err("another password");
    bob.refresh().await.expect("a rotation is no record of its own");
    let id = site.rows(&["accounts", "show", "alice@example.com"])[0]["account"].as_str().expect("an id").to_owned();
    site.rows(&["accounts", "disable", &id]);
    site.rows(&["accounts", "enable", &id]);
    alice.refresh().await.expect("the session goes on");
    alice.delete_account(PASSWORD).await.expect("deleted");
    site.service.signal("TERM");
    assert!(site.service.wait().success(), "what was noted a moment ago is written before it ends");

    let names = |arguments: &[&str]| {
        let rows = site.rows(&[&["audit"], arguments].concat());
        rows.iter().map(|row| row["event"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let all =
        ["user_created", "authn_login_success", "authn_login_fail", "user_disabled", "user_enabled", "user_deleted"];
    assert_eq!(names(&["--account", &id]), all);
    assert_eq!(names(&["--account", &format!("accounts/{id}"), "--event", "user_deleted"]), ["user_deleted"]);
    assert_eq!(names(&["--since", "1h", "--limit", "1"]), ["user_deleted"]);
    assert_eq!(names(&["--account", "bob@example.com"]), ["user_created", "authn_login_success"]);
    let login = site.rows(&["audit", "--account", &id, "--event", "authn_login_success"]);
    let session = login[0]["session"].as_str().expect("an id");
    assert_eq!(names(&["--session", session]), ["authn_login_success"]);
    let failure = site.rows(&["audit", "--event", "authn_login_fail"]);
    assert_eq!((&failure[0]["reason"], &failure[0]["times"]), (&"wrong_password".into(), &1.into()));
    let told = site.authctl(&["audit"]).output;
    assert!(!told.contains("example.com") && !told.contains("teapot"), "{told}");
}

async fn log_in(visitor: &mut Visitor) -> Result<(), tonic::Status> {
    visitor.login("alice@example.com", PASSWORD).await.map(|_| ())
}

#[tokio::test]
async fn people_get_a_table_programs_get_json_and_both_an_exit_code() {
    let site = Site::start().await;
    site.register("alice").await;
    let said = site.authctl(&["accounts", "show", "alice@example.com"]);
    assert_eq!((said.code, said.output.lines().count()), (0, 2), "{}", said.output);
    assert!(said.output.starts_with("ACCOUNT "), "{}", said.output);
    let unknown = "00000000-0000-4000-8000-000000000000";
    for (arguments, code, words) in [
        (&["accounts", "show", "nobody@example.com"], 3, "no such account"),
        (&["sessions", "list", unknown], 3, "no such account"),
        (&["sessions", "revoke", unknown], 3, "no such session"),
        (&["sessions", "revoke", "that one"], 2, "names no session"),
        (&["accounts", "disable", "alice@"], 2, "no e-mail address"),
        (&["accounts", "praise", "alice@example.com"], 2, "praise"),
        (&["keys", "list", "--json"], 1, "signing_key"),
        (&["audit", "--account", "nobody@example.com"], 3, "no such account"),
        (&["audit", "--session", "that one"], 2, "names no session"),
        (&["audit", "--event", "a_whim"], 2, "a_whim"),
        (&["audit", "--since", "yesterday"], 2, "neither a moment nor a span"),
    ] {
        let said = site.authctl(arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}", said.complaint);
        assert!(said.complaint.contains(words) && said.output.is_empty(), "{arguments:?}: {}", said.complaint);
    }
}

#[test]
fn a_store_that_is_not_there_is_said_to_be_missing_and_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(program("authctl"))
        .current_dir(folder.path())
        .env_clear()
        .args(["sessions", "list", "alice@example.com"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("data/auth.db"), "{output:?}");
    assert!(folder.path().read_dir().expect("a folder").next().is_none(), "nothing was made");
}
