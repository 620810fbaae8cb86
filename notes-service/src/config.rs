//! Every setting of the service, with its default and its bounds.

mod revisions;
mod sync;
mod trust;

use std::path::PathBuf;
use std::time::Duration;

use authn::Trust;
use runtime::config::{Reader, Secret};
use runtime::database::{DatabaseConfig, Role};
use runtime::server::ServerConfig;

pub use self::revisions::{REVISION_COALESCE, REVISION_RETENTION, REVISIONS_MAX, REVISIONS_MIN};
pub use self::sync::{CHECKPOINT_INTERVAL_MAX, SyncConfig, WATCH_STREAMS};
pub use self::trust::{KeySource, StreamSource, TrustConfig};
use crate::app::{Limits, PurgePace};
use crate::domain::Quota;
use crate::repository::{Batching, row_security};

/// Longest request, in bytes: a content of 1 MiB, and room for escapes and for batches to come.
pub const REQUEST_BYTES: usize = 4 * 1_048_576;
/// Default of `database.role`.
pub const ROLE: &str = "notes_app";
/// Default of `trash.retention`.
pub const TRASH_RETENTION: Duration = Duration::from_secs(30 * DAY);
/// Default of `trash.tombstone_retention`.
pub const TOMBSTONE_RETENTION: Duration = Duration::from_secs(90 * DAY);
/// Default of `create.request_memory`.
pub const REQUEST_MEMORY: Duration = Duration::from_secs(DAY);
/// Default of `page_token.lifetime`.
pub const PAGE_TOKEN_LIFETIME: Duration = Duration::from_secs(3 * DAY);

const DAY: u64 = 24 * 60 * 60;
/// Fewest bytes of a secret that others must not guess.
const SECRET_BYTES_MIN: usize = 32;

/// Every setting of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where secrets are made and kept that are not given.
    pub data_dir: PathBuf,
    /// The listener.
    pub server: ServerConfig,
    /// The store.
    pub database: DatabaseConfig,
    /// Whose tokens are accepted.
    pub trust: TrustConfig,
    /// Limits and lifetimes of notes.
    pub limits: Limits,
    /// How concurrent creations share a transaction.
    pub batching: Batching,
    /// How what is due is removed for good.
    pub purge: PurgePace,
    /// How page tokens are made.
    pub page_tokens: PageTokenConfig,
    /// How copies follow the notes.
    pub sync: SyncConfig,
}

/// How page tokens are made.
#[derive(Clone, Debug)]
pub struct PageTokenConfig {
    /// What their key is derived from; none is made and kept in the data folder.
    pub secret: Option<Secret>,
    /// A secret before that one, whose tokens are still read.
    pub previous_secret: Option<Secret>,
    /// How long a token is good for.
    pub lifetime: Duration,
}

impl Config {
    /// Reads every setting; mistakes stay in the reader.
    #[must_use]
    pub fn read(reader: &mut Reader) -> Self {
        let data_dir = reader.path(
            "data_dir",
            "data",
            "Folder of the embedded store and of secrets that are made at first start.",
        );
        let default_url = format!("sqlite://{}", data_dir.join("notes.db").display());
        let database = read_database(reader, &default_url);
        let page_tokens = PageTokenConfig::read(reader, &database);
        Self {
            data_dir,
            server: ServerConfig::read(reader, "127.0.0.1:50052", REQUEST_BYTES),
            database,
            trust: TrustConfig::read(reader),
            limits: read_limits(reader),
            batching: read_batching(reader),
            purge: read_purge(reader),
            page_tokens,
            sync: SyncConfig::read(reader),
        }
    }
}

impl Config {
    /// These settings with the auth service of the same process: its issuer, and what it trusts itself, at once, unless
    /// the settings say where keys come from.
    #[must_use]
    pub fn trusting(mut self, issuer: String, trust: Trust) -> Self {
        self.trust.verifier.issuer = issuer;
        if matches!(&self.trust.keys, KeySource::Jwks { is_given: false, .. }) {
            self.trust.keys = KeySource::Shared(trust);
        }
        self
    }
}

/// The store, whose rows have owners.
fn read_database(reader: &mut Reader, default_url: &str) -> DatabaseConfig {
    let database = DatabaseConfig::read(reader, default_url);
    let is_on = reader.flag(
        "database.row_security",
        true,
        "PostgreSQL: the server itself keeps each statement to the rows of its owner. Off: the user of database.url must own the tables.",
    );
    let name = reader.text(
        "database.role",
        ROLE,
        "PostgreSQL: the role that statements run under then, with `_several` and `_walk` behind it for those about several owners and for the walk over all. Made at start where the user of database.url may.",
    );
    let role = Role::parse(&name);
    if role.is_none() {
        reader.refuse(
            "database.role",
            "must have lower-case letters, digits and underscores, a letter first, 50 at most",
        );
    }
    DatabaseConfig { row_security: role.filter(|_| is_on).map(row_security), ..database }
}

fn read_limits(reader: &mut Reader) -> Limits {
    let notes = reader.number("quota.notes", 100_000, 1..=1 << 40, "Most notes of one owner, the trash included.");
    let bytes = reader.bytes("quota.bytes", 1 << 30, 1..=1 << 50, "Most bytes of titles and contents of one owner.");
    let days = |days: u64| Duration::from_secs(days * DAY);
    Limits {
        quota: Quota { notes, bytes: u64::try_from(bytes).expect("a size fits 64 bits") },
        trash_retention: reader.duration(
            "trash.retention",
            TRASH_RETENTION,
            days(1)..=days(3_650),
            "How long a note stays in the trash before it may be removed for good.",
        ),
        request_memory: reader.duration(
            "create.request_memory",
            REQUEST_MEMORY,
            Duration::from_secs(60)..=days(30),
            "How long a request_id makes CreateNote safe to repeat.",
        ),
        tombstone_retention: reader.duration(
            "trash.tombstone_retention",
            TOMBSTONE_RETENTION,
            days(1)..=days(3_650),
            "How long the id of a note that was removed for good cannot be used again.",
        ),
        revisions: revisions::read(reader),
    }
}

fn read_purge(reader: &mut Reader) -> PurgePace {
    let seconds = Duration::from_secs;
    let batch = reader.number("purge.batch", 100, 1..=10_000, "Most rows of each kind that one transaction removes.");
    PurgePace {
        interval: reader.duration(
            "purge.interval",
            seconds(300),
            seconds(1)..=seconds(DAY),
            "How often what is due is removed for good: expired and emptied trash, revisions, tombstones, remembered requests.",
        ),
        batch: u16::try_from(batch).expect("the bounds fit 16 bits"),
    }
}

fn read_batching(reader: &mut Reader) -> Batching {
    let mut number = |key, default, bounds, doc| {
        usize::try_from(reader.number(key, default, bounds, doc)).expect("the bounds fit a size")
    };
    Batching {
        queue: number("create.queue", 1_024, 1..=65_536, "Most creations that wait; more are refused as OVERLOADED."),
        size: number("create.batch", 64, 1..=500, "Most creations that share one transaction."),
    }
}

impl PageTokenConfig {
    fn read(reader: &mut Reader, database: &DatabaseConfig) -> Self {
        const SECRET: &str = "page_token.secret";
        const PREVIOUS: &str = "page_token.previous_secret";
        let secret = reader.secret(
            SECRET,
            None,
            "What the key of page tokens is derived from, at least 32 bytes. On SQLite one is made at first start.",
        );
        let previous_secret = reader.secret(PREVIOUS, None, "The secret before, whose page tokens are still read.");
        if secret.is_none() && !database.url.expose().starts_with("sqlite:") {
            reader.refuse(SECRET, "must be given on PostgreSQL, because replicas must share it");
        }
        for (key, secret) in [(SECRET, &secret), (PREVIOUS, &previous_secret)] {
            if secret.as_ref().is_some_and(|secret| secret.expose().len() < SECRET_BYTES_MIN) {
                reader.refuse(key, "must have at least 32 bytes");
            }
        }
        let bounds = Duration::from_secs(60)..=Duration::from_secs(30 * DAY);
        let lifetime =
            reader.duration("page_token.lifetime", PAGE_TOKEN_LIFETIME, bounds, "How long a page token is good for.");
        Self { secret, previous_secret, lifetime }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "thirty-two bytes that nobody knows";

    /// The settings, or every mistake in them.
    fn read(settings: &[(&str, &str)]) -> Result<Config, String> {
        let environment = settings.iter().map(|(name, value)| (format!("NOTES_SERVICE_{name}"), (*value).to_owned()));
        let mut reader = Reader::new("NOTES_SERVICE", None, environment).expect("there is no file");
        let config = Config::read(&mut reader);
        reader.finish().map(|()| config).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_refused(settings: &[(&str, &str)], key: &str) {
        let mistakes = read(settings).map(|_| ()).expect_err("it is a mistake");
        assert!(mistakes.to_lowercase().contains(&key.to_lowercase()), "{mistakes}");
        assert!(!mistakes.contains(SECRET) && !mistakes.contains("hunter2"), "{mistakes}");
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let config = read(&[]).expect("nothing need be set");
        assert_eq!(config.data_dir, PathBuf::from("data"));
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:50052");
        assert_eq!(config.server.max_request_bytes, REQUEST_BYTES);
        assert_eq!(config.database.url.expose(), "sqlite://data/notes.db");
        assert_eq!(config.database.row_security.expect("it is on").role.as_str(), ROLE);
        assert_eq!(config.limits.quota, Quota { notes: 100_000, bytes: 1 << 30 });
        let revisions = config.limits.revisions;
        assert_eq!((revisions.min, revisions.max, revisions.bytes), (10, 100, 4 << 30));
        assert_eq!(config.batching, Batching { queue: 1_024, size: 64 });
        assert_eq!(config.purge, PurgePace { interval: Duration::from_secs(300), batch: 100 });
        assert_eq!(config.trust.verifier.issuer, "http://127.0.0.1:50051");
        assert_eq!(config.trust.verifier.audience, "notes-service");
        let KeySource::Jwks { config, ca_file, .. } = config.trust.keys else { panic!("keys come from the issuer") };
        assert_eq!((config.url.as_str(), ca_file), ("http://127.0.0.1:50051/.well-known/jwks.json", None));
    }

    #[test]
    fn row_level_security_can_be_turned_off_and_has_a_role_of_ones_choice() {
        let role = ("DATABASE_ROLE", "tenants");
        let chosen = read(&[role]).expect("it is a role").database.row_security;
        assert_eq!(chosen.expect("it is on").role.as_str(), "tenants");
        let off = read(&[role, ("DATABASE_ROW_SECURITY", "false")]).expect("it can be turned off");
        assert_eq!(off.database.row_security, None);
        check_refused(&[("DATABASE_ROLE", "not-a-role")], "database.role");
    }

    #[test]
    fn keys_come_from_one_place() {
        let file = ("TRUST_KEY_FILE", "/etc/issuer.pem");
        let config = read(&[file]).expect("a file instead of the URL");
        assert!(matches!(config.trust.keys, KeySource::File(path) if path == std::path::Path::new("/etc/issuer.pem")));
        check_refused(&[file, ("TRUST_JWKS_URL", "https://issuer.example/jwks.json")], "trust_jwks_url");
    }

    #[test]
    fn a_trust_stream_needs_its_credential_and_has_the_key_set_to_fall_back_on() {
        let url = ("TRUST_STREAM_URL", "http://auth.internal:50071");
        check_refused(&[url], "trust_stream_credential");
        check_refused(&[url, ("TRUST_STREAM_CREDENTIAL", "not visible ASCII")], "trust_stream_credential");
        check_refused(&[("TRUST_STREAM_URL", "http://me:hunter2@auth.internal:50071")], "trust_stream_url");
        let credential = ("TRUST_STREAM_CREDENTIAL", "visible");
        check_refused(&[url, credential, ("TRUST_KEY_FILE", "/etc/issuer.pem")], "trust_stream_url");

        let jwks = ("TRUST_JWKS_URL", "https://issuer.example/jwks.json");
        let config = read(&[url, credential, jwks, ("TRUST_MAX_STALENESS", "30s")]).expect("good");
        assert_eq!(config.trust.verifier.max_staleness, Some(Duration::from_secs(30)));
        let KeySource::Stream(stream) = config.trust.keys else { panic!("a stream") };
        let KeySource::Jwks { config, .. } = *stream.fallback else { panic!("a key set") };
        assert_eq!((stream.url.as_str(), config.url.as_str()), (url.1, jwks.1));
        assert_eq!(read(&[]).expect("good").trust.verifier.max_staleness, None, "open by default");
    }

    #[test]
    fn what_the_same_process_trusts_is_trusted_unless_the_settings_say_otherwise() {
        let trusting = |settings: &[(&str, &str)]| {
            let config =
                read(settings).expect("good").trusting("http://beside.me".to_owned(), Trust::fixed(Vec::new()));
            assert_eq!(config.trust.verifier.issuer, "http://beside.me");
            config.trust.keys
        };
        assert!(matches!(trusting(&[]), KeySource::Shared(_)));
        assert!(matches!(trusting(&[("TRUST_JWKS_URL", "https://issuer.example")]), KeySource::Jwks { .. }));
        assert!(matches!(trusting(&[("TRUST_KEY_FILE", "/etc/issuer.pem")]), KeySource::File(_)));
    }

    #[test]
    fn the_url_of_a_key_set_holds_no_password_because_it_is_printed() {
        check_refused(&[("TRUST_JWKS_URL", "https://reader:hunter2@issuer.example/jwks.json")], "trust_jwks_url");
        check_refused(&[("TRUST_JWKS_URL", "https://hunter2@issuer.example")], "trust_jwks_url");
        read(&[("TRUST_JWKS_URL", "https://issuer.example/@keys?by=me@there")]).expect("the host has none");
    }

    #[test]
    fn more_revisions_cannot_be_kept_for_sure_than_at_all() {
        check_refused(&[("REVISIONS_MIN", "101")], "revisions_min");
        read(&[("REVISIONS_MIN", "100"), ("REVISIONS_MAX", "100")]).expect("as many");
    }

    #[test]
    fn replicas_on_postgresql_must_share_the_secret_of_page_tokens() {
        let postgres = ("DATABASE_URL", "postgres://notes:hunter2@db/notes");
        check_refused(&[postgres], "page_token_secret");
        read(&[postgres, ("PAGE_TOKEN_SECRET", SECRET)]).expect("it is given");
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        check_refused(&[("PAGE_TOKEN_SECRET", "hunter2")], "page_token_secret");
        check_refused(&[("PAGE_TOKEN_PREVIOUS_SECRET", "hunter2")], "page_token_previous_secret");
    }
}
