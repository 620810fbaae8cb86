//! The settings of the service, each with its name, default, bounds and meaning.

mod audit;
mod internal;
mod signing_keys;

use std::path::PathBuf;
use std::time::Duration;

use runtime::config::{Reader, Secret};
use runtime::database::DatabaseConfig;
use runtime::server::ServerConfig;

use self::audit::AuditConfig;
use self::internal::InternalConfig;
use self::signing_keys::SigningKeyConfig;
use crate::app::TrustPace;
use crate::crypto::{HashingSettings, MAX_ITERATIONS, MAX_MEMORY_KIB};
use crate::domain::{
    EmailRules, LEAST_MIN_CODE_POINTS, MAX_ACCESS_TOKEN_TTL, MAX_PASSWORD_BYTES, PasswordRules, SessionLimits,
};

/// Longest request message, in bytes.
pub(crate) const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Least length of a new password unless it is set otherwise, in code points.
pub(crate) const DEFAULT_MIN_PASSWORD_LENGTH: u64 = 15;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a hash must cost at least: OWASP's m = 19 MiB, t = 2 (Password Storage Cheat Sheet).
const LEAST_MEMORY_KIB: u32 = 19_456;
/// The memory from which one pass is enough by the same source.
const ONE_PASS_MEMORY_KIB: u32 = 47_104;

/// The settings of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// The listener and its limits.
    pub server: ServerConfig,
    /// The store.
    pub database: DatabaseConfig,
    /// Where secrets that are made here are kept.
    pub(crate) data_dir: PathBuf,
    pub(crate) signing_keys: SigningKeyConfig,
    pub(crate) refresh_secret: Option<Secret>,
    pub(crate) token: TokenConfig,
    pub(crate) session: SessionLimits,
    pub(crate) sessions_per_account: u64,
    pub(crate) session_retention: Duration,
    pub(crate) audit: AuditConfig,
    pub(crate) email: EmailRules,
    pub(crate) password: PasswordRules,
    pub(crate) hashing: HashingSettings,
    pub(crate) jwks_max_age: Duration,
    pub(crate) internal: InternalConfig,
    pub(crate) trust: TrustPace,
}

/// Access tokens: what they say and how long they live.
#[derive(Clone, Debug)]
pub(crate) struct TokenConfig {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) ttl: Duration,
    pub(crate) leeway: Duration,
    pub(crate) remembered: usize,
}

impl Config {
    /// Reads the settings; mistakes are collected in the reader.
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let data_dir =
            reader.path("data_dir", "data", "Folder of the embedded store and of secrets that are made here.");
        let database_url = format!("sqlite://{}", data_dir.join("auth.db").display());
        let config = Self {
            server: ServerConfig::read(reader, "127.0.0.1:50051", MAX_REQUEST_BYTES),
            database: DatabaseConfig::read(reader, &database_url),
            data_dir,
            signing_keys: SigningKeyConfig::read(reader),
            refresh_secret: reader.secret(
                "refresh_secret",
                None,
                "Secret behind refresh tokens, at least 32 random bytes as text. Without it one is made at first start \
                 and kept in data_dir; on PostgreSQL it must be given. Changing it ends every session.",
            ),
            token: TokenConfig::read(reader),
            session: session(reader),
            sessions_per_account: reader.number(
                "session.max_per_account",
                100,
                1..=1000,
                "Sessions of one account that go on at the same time; a login beyond that ends the one unused longest.",
            ),
            session_retention: reader.duration(
                "session.retention",
                30 * DAY,
                DAY..=3650 * DAY,
                "How long a session is kept after its end before it may be removed for good.",
            ),
            audit: AuditConfig::read(reader),
            email: email(reader),
            password: password(reader),
            hashing: hashing(reader),
            jwks_max_age: reader.duration(
                "jwks.max_age",
                MINUTE,
                Duration::ZERO..=DAY,
                "How long verifiers may use a copy of the public keys before they ask again.",
            ),
            internal: InternalConfig::read(reader),
            trust: internal::trust_pace(reader),
        };
        config.check_secrets(reader);
        internal::check_overlap(reader, &config);
        signing_keys::check_publish_ahead(reader, &config);
        config
    }

    /// `iss` of the tokens: what a service beside this one is to trust.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.token.issuer
    }

    /// With passwords whose hashes cost next to nothing. For simulations of very many people alone: whoever reads such a
    /// hash has its password.
    #[must_use]
    pub fn with_hashes_for_simulation(self) -> Self {
        Self { hashing: HashingSettings { memory_kib: 64, iterations: 1, ..self.hashing }, ..self }
    }

    /// Whether the store is a file of this process alone.
    pub(crate) fn is_embedded(&self) -> bool {
        self.database.url.expose().starts_with("sqlite:")
    }

    /// Several processes may share a PostgreSQL store, so none of them can make a secret that the others would need.
    fn check_secrets(&self, reader: &mut Reader) {
        if self.is_embedded() {
            return;
        }
        let why = "must be given with a PostgreSQL store, for all replicas must have the same";
        if self.signing_keys.given.is_none() && self.signing_keys.encryption_key.is_none() {
            let why = "must be given with a PostgreSQL store, or signing_key, for all replicas must have the same";
            reader.refuse("signing_keys.encryption_key", why);
        }
        if self.refresh_secret.is_none() {
            reader.refuse("refresh_secret", why);
        }
    }
}

impl TokenConfig {
    fn read(reader: &mut Reader) -> Self {
        let config = Self {
            issuer: reader.text(
                "token.issuer",
                "http://127.0.0.1:50051",
                "`iss` of access tokens: the URL under which this service is known; its key set is beneath it.",
            ),
            audience: reader.text(
                "token.audience",
                "auth-service",
                "The audience that an access token must name for this service itself.",
            ),
            audiences: reader.list(
                "token.audiences",
                &["auth-service", "notes-service"],
                "`aud` of access tokens: every service that they are for.",
            ),
            scopes: reader.list(
                "token.scopes",
                &["account.read", "account.write", "notes.read", "notes.write"],
                "`scope` of access tokens.",
            ),
            ttl: reader.duration(
                "token.access_ttl",
                5 * MINUTE,
                10 * SECOND..=MAX_ACCESS_TOKEN_TTL,
                "How long an access token lives; verifiers accept at most 10 minutes.",
            ),
            leeway: reader.duration(
                "token.leeway",
                5 * SECOND,
                Duration::ZERO..=30 * SECOND,
                "Tolerated difference between clocks when this service verifies an access token.",
            ),
            remembered: small(
                reader,
                "token.remembered_tokens",
                10_000,
                1..=1_000_000,
                "How many verified access tokens this service remembers, so that each is verified once.",
            ) as usize,
        };
        if !config.audiences.contains(&config.audience) {
            reader
                .refuse("token.audiences", "must contain token.audience, or no token is good for this service itself");
        }
        config
    }
}

fn session(reader: &mut Reader) -> SessionLimits {
    let limits = SessionLimits {
        idle: reader.duration(
            "session.idle_timeout",
            14 * DAY,
            MINUTE..=365 * DAY,
            "How long a session lives without use.",
        ),
        absolute: reader.duration(
            "session.absolute_timeout",
            90 * DAY,
            MINUTE..=3650 * DAY,
            "How long a session lives in all; no use extends it.",
        ),
        reuse_grace: reader.duration(
            "session.reuse_grace",
            10 * SECOND,
            Duration::ZERO..=MINUTE,
            "How long after its rotation a refresh token may come again, from a second tab or a retry.",
        ),
    };
    if limits.idle > limits.absolute {
        reader.refuse("session.idle_timeout", "must not be longer than session.absolute_timeout");
    }
    limits
}

fn email(reader: &mut Reader) -> EmailRules {
    let any = reader.flag(
        "email.allow_non_ascii_local_part",
        false,
        "Whether letters beyond ASCII may stand before the @ of an address (RFC 6531).",
    );
    if any { EmailRules::AnyLocalPart } else { EmailRules::AsciiLocalPart }
}

fn password(reader: &mut Reader) -> PasswordRules {
    let least = reader.number(
        "password.min_length",
        DEFAULT_MIN_PASSWORD_LENGTH,
        LEAST_MIN_CODE_POINTS as u64..=128,
        "Least length of a new password, in code points (NIST SP 800-63B-4 §3.1.1.2).",
    );
    let names = reader.list(
        "password.service_names",
        &["auth-service", "notes-service"],
        "Names of the service, which no new password may contain.",
    );
    PasswordRules::new(usize::try_from(least).unwrap_or(MAX_PASSWORD_BYTES), &names)
}

fn hashing(reader: &mut Reader) -> HashingSettings {
    let memory_kib = small(
        reader,
        "password.hash_memory_kib",
        LEAST_MEMORY_KIB,
        LEAST_MEMORY_KIB..=MAX_MEMORY_KIB,
        "Memory for one Argon2id hash, in KiB.",
    );
    let iterations = small(
        reader,
        "password.hash_iterations",
        2,
        1..=MAX_ITERATIONS,
        "Passes of one Argon2id hash; 1 only with at least 47,104 KiB.",
    );
    if iterations < 2 && memory_kib < ONE_PASS_MEMORY_KIB {
        reader.refuse("password.hash_iterations", "must be at least 2 with less than 47104 KiB of memory");
    }
    let permits = small(
        reader,
        "password.hash_permits",
        0,
        0..=256,
        "Hashes computed at the same time; 0 means one per core. Their memory is permits × hash_memory_kib at most.",
    );
    let queue = small(
        reader,
        "password.hash_queue",
        64,
        0..=4096,
        "Passwords that wait for a permit; more are refused at once with RESOURCE_EXHAUSTED.",
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    HashingSettings {
        memory_kib,
        iterations,
        permits: if permits == 0 { cores } else { permits as usize },
        queue: queue as usize,
    }
}

fn small(
    reader: &mut Reader,
    key: &'static str,
    default: u32,
    bounds: std::ops::RangeInclusive<u32>,
    doc: &'static str,
) -> u32 {
    let (least, most) = bounds.into_inner();
    let number = reader.number(key, default.into(), least.into()..=most.into(), doc);
    u32::try_from(number).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(name, value)| (format!("AUTH_SERVICE_{name}"), (*value).to_owned()));
        let mut reader = Reader::new("AUTH_SERVICE", None, environment).map_err(|error| error.to_string())?;
        let config = Config::read(&mut reader);
        reader.finish().map(|()| config).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_refused(environment: &[(&str, &str)], key: &str) {
        let refused = read(environment).expect_err("a mistake");
        assert!(refused.contains(key), "{refused}");
    }

    #[test]
    fn the_defaults_are_good() {
        let config = read(&[]).expect("good");
        assert_eq!(config.database.url.expose(), "sqlite://data/auth.db");
        assert_eq!(config.token.ttl, 5 * MINUTE);
        assert_eq!(config.session, SessionLimits { idle: 14 * DAY, absolute: 90 * DAY, reuse_grace: 10 * SECOND });
        assert_eq!((config.hashing.memory_kib, config.hashing.iterations), (19_456, 2));
        assert!(config.hashing.permits >= 1);
    }

    #[test]
    fn the_store_is_in_the_data_folder_unless_it_is_elsewhere() {
        let config = read(&[("DATA_DIR", "/var/lib/auth")]).expect("good");
        assert_eq!(config.database.url.expose(), "sqlite:///var/lib/auth/auth.db");
    }

    #[test]
    fn a_shared_store_needs_shared_secrets() {
        let url = ("DATABASE_URL", "postgres://auth@db/auth");
        check_refused(&[url], "signing_keys.encryption_key");
        check_refused(&[url, ("SIGNING_KEY", "PEM")], "refresh_secret");
        for key in ["SIGNING_KEY", "SIGNING_KEYS_ENCRYPTION_KEY"] {
            read(&[url, (key, "secret"), ("REFRESH_SECRET", "secret")]).expect("good as far as can be seen here");
        }
    }

    #[test]
    fn what_would_be_weak_or_contradicts_itself_is_refused() {
        check_refused(&[("PASSWORD_MIN_LENGTH", "7")], "password.min_length");
        check_refused(&[("PASSWORD_HASH_MEMORY_KIB", "19455")], "password.hash_memory_kib");
        check_refused(&[("PASSWORD_HASH_ITERATIONS", "1")], "password.hash_iterations");
        check_refused(&[("TOKEN_ACCESS_TTL", "11m")], "token.access_ttl");
        check_refused(&[("TOKEN_LEEWAY", "31s")], "token.leeway");
        check_refused(&[("TOKEN_AUDIENCES", "notes-service")], "token.audiences");
        check_refused(&[("SESSION_IDLE_TIMEOUT", "91d")], "session.idle_timeout");
        check_refused(&[("SIGNING_KEY_BITS", "2049")], "signing_key_bits");
        read(&[
            ("PASSWORD_MIN_LENGTH", "8"),
            ("PASSWORD_HASH_MEMORY_KIB", "47104"),
            ("PASSWORD_HASH_ITERATIONS", "1"),
            ("TOKEN_ACCESS_TTL", "10m"),
            ("TOKEN_LEEWAY", "30s"),
            ("SESSION_IDLE_TIMEOUT", "90d"),
            ("SIGNING_KEY_BITS", "3072"),
        ])
        .expect("the allowed twins");
    }
}
