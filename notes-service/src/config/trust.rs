//! Whose tokens are accepted, and where keys and revocations come from.

use std::path::PathBuf;
use std::time::Duration;

use authn::{JwksConfig, StreamCredential, Trust, VerifierConfig};
use runtime::config::{Reader, Secret};

use super::DAY;

/// Whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct TrustConfig {
    /// What is expected of a token.
    pub verifier: VerifierConfig,
    /// Where the keys come from.
    pub keys: KeySource,
}

/// The trust stream of the auth service.
#[derive(Clone, Debug)]
pub struct StreamSource {
    /// Where its internal listener is.
    pub url: String,
    /// What is shown there.
    pub credential: Secret,
    /// PEM certificates to trust for `https`.
    pub ca_file: Option<PathBuf>,
    /// Where the last snapshot is kept.
    pub snapshot_file: Option<PathBuf>,
    /// Where keys come from while the stream is away.
    pub fallback: Box<KeySource>,
}

/// Where the keys that tokens are verified with come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A key set behind a URL; its certificates may be those of a file.
    Jwks {
        /// How it is fetched.
        config: JwksConfig,
        /// PEM certificates to trust for `https` instead of the platform's.
        ca_file: Option<PathBuf>,
        /// Whether the settings name the URL.
        is_given: bool,
    },
    /// A PEM file.
    File(PathBuf),
    /// The trust stream of the auth service, and a key set while that is away.
    Stream(StreamSource),
    /// The auth service of the same process.
    Shared(Trust),
}

impl TrustConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let seconds = Duration::from_secs;
        let issuer = reader.text("trust.issuer", "http://127.0.0.1:50051", "Issuer of the tokens that are accepted.");
        let audience = reader.text("trust.audience", "notes-service", "Audience that a token must have.");
        let leeway =
            reader.duration("trust.leeway", seconds(5), seconds(0)..=seconds(30), "Tolerated difference of clocks.");
        let max_lifetime = reader.duration(
            "trust.max_lifetime",
            seconds(600),
            seconds(60)..=seconds(DAY),
            "Longest lifetime of a token that is accepted.",
        );
        let remembered = reader.number(
            "trust.remembered_tokens",
            100_000,
            1_000..=10_000_000,
            "How many verified tokens are remembered, at about 500 bytes each.",
        );
        let max_staleness = reader.duration(
            "trust.max_staleness",
            seconds(0),
            seconds(0)..=seconds(DAY),
            "How old what is known of revocations may be before every call is refused as UNAVAILABLE `VERIFIER_STALE`, \
             where they come by a stream; `0s` for ever: then tokens live until they expire.",
        );
        let verifier = VerifierConfig {
            issuer,
            audience,
            leeway,
            max_lifetime,
            remembered_tokens: usize::try_from(remembered).expect("the bounds fit a size"),
            max_staleness: (!max_staleness.is_zero()).then_some(max_staleness),
        };
        Self { verifier, keys: KeySource::read(reader) }
    }
}

impl KeySource {
    fn read(reader: &mut Reader) -> Self {
        const JWKS_URL: &str = "trust.jwks_url";
        const DEFAULT_URL: &str = "http://127.0.0.1:50051/.well-known/jwks.json";
        let seconds = Duration::from_secs;
        let url =
            reader.optional_text(JWKS_URL, "URL of the issuer's key set; by default that of a local auth-service.");
        if url.as_deref().is_some_and(holds_credentials) {
            reader.refuse(
                JWKS_URL,
                "must not hold a user or a password: a key set is public, and this setting is printed",
            );
        }
        let file = reader.optional_path("trust.key_file", "PEM file of the issuer's public key, instead of the URL.");
        let config = JwksConfig {
            url: url.clone().unwrap_or_else(|| DEFAULT_URL.to_owned()),
            cooldown: reader.duration(
                "trust.jwks_cooldown",
                seconds(10),
                seconds(10)..=seconds(3_600),
                "Least time between two fetches of the key set.",
            ),
            refresh_interval: reader.duration(
                "trust.jwks_refresh_interval",
                seconds(300),
                seconds(10)..=seconds(DAY),
                "How long a key set is used before it is fetched again.",
            ),
            timeout: reader.duration(
                "trust.jwks_timeout",
                seconds(3),
                Duration::from_millis(100)..=seconds(30),
                "Longest time for one fetch of the key set.",
            ),
            ca_pem: None,
        };
        let ca_file = reader
            .optional_path("trust.jwks_ca_file", "PEM certificates to trust for https instead of the platform's.");
        let jwks = Self::Jwks { config, ca_file, is_given: url.is_some() };
        match (file, StreamSource::read(reader, &jwks)) {
            (None, None) => jwks,
            (None, Some(stream)) => Self::Stream(stream),
            (Some(file), None) => {
                if url.is_some() {
                    reader.refuse(JWKS_URL, "must not be set together with trust.key_file");
                }
                Self::File(file)
            }
            (Some(_), Some(stream)) => {
                reader.refuse("trust.stream_url", "must not be set together with trust.key_file");
                Self::Stream(stream)
            }
        }
    }
}

impl StreamSource {
    fn read(reader: &mut Reader, fallback: &KeySource) -> Option<Self> {
        const URL: &str = "trust.stream_url";
        let url = reader.optional_text(
            URL,
            "URL of the auth service's internal listener, `http://auth:50071`: keys and revocations come from there at \
             once, and keys from `trust.jwks_url` while it is away.",
        );
        let credential = reader.secret(
            "trust.stream_credential",
            None,
            "What is shown there: the `internal.credential` of the auth service.",
        );
        let ca_file =
            reader.optional_path("trust.stream_ca_file", "PEM certificates to trust for https, which needs them.");
        let snapshot_file = reader.optional_path(
            "trust.snapshot_file",
            "File that the last keys and revocations are kept in, for a restart while the auth service is away.",
        );
        let url = url?;
        if holds_credentials(&url) {
            reader.refuse(URL, "must not hold a user or a password: this setting is printed");
        }
        let Some(credential) = credential else {
            reader.refuse("trust.stream_credential", "must be given with trust.stream_url");
            return None;
        };
        if StreamCredential::new(credential.expose()).is_err() {
            reader.refuse("trust.stream_credential", "must be visible ASCII");
        }
        Some(Self { url, credential, ca_file, snapshot_file, fallback: Box::new(fallback.clone()) })
    }
}

/// Whether there is an `@` in what comes between `//` and the path (RFC 3986 §3.2).
fn holds_credentials(url: &str) -> bool {
    let authority = url.split_once("//").map_or(url, |(_, rest)| rest);
    authority.split(['/', '\\', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}
