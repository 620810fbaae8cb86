//! The settings of a listener.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Reader;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// The operations listener's default port is the calls' port and this.
const OPERATIONS_PORT_OFFSET: u16 = 10;

/// The limits of a listener and what it offers.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Longest request message, in bytes; also to be given to the generated servers.
    pub max_request_bytes: usize,
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    pub operations: SocketAddr,
    pub(super) reflection: bool,
    pub(super) cors_origins: Vec<String>,
    pub(super) tls: Option<TlsConfig>,
    pub(super) limits: Limits,
}

/// Certificate and key of the listener, and who may connect.
#[derive(Clone, Debug)]
pub(super) struct TlsConfig {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_ca: Option<PathBuf>,
}

impl TlsConfig {
    /// The same certificate, shown to clients that need not have one.
    pub(super) fn for_any_client(&self) -> Self {
        Self { client_ca: None, ..self.clone() }
    }
}

/// What one peer, one connection, one call may take.
#[derive(Clone, Debug)]
pub struct Limits {
    pub(super) connections: usize,
    pub(super) connections_per_address: usize,
    pub(super) streams_per_connection: u32,
    pub(super) concurrent_calls: usize,
    pub(super) call_deadline: Duration,
    pub(super) handshake_deadline: Duration,
    pub(super) stall_deadline: Duration,
    pub(super) keepalive_interval: Duration,
    pub(super) keepalive_timeout: Duration,
    pub(super) connection_age: Duration,
    pub(super) header_bytes: usize,
    pub(super) drain_delay: Duration,
    pub(super) drain_deadline: Duration,
}

impl ServerConfig {
    /// Reads `listen`, `limits.*`, `tls.*`, `cors.*`, `reflection` and the rest.
    pub fn read(reader: &mut Reader, listen: &str, max_request_bytes: usize) -> Self {
        let listen_default: SocketAddr = listen.parse().expect("a default is an address");
        let mut operations = listen_default;
        operations.set_port(listen_default.port() + OPERATIONS_PORT_OFFSET);
        let config = Self {
            listen: reader.address("listen", listen, "Where calls are served: gRPC, gRPC-Web and `/.well-known`."),
            operations: reader.address(
                "operations.listen",
                &operations.to_string(),
                "Where `/livez`, `/readyz` and `/metrics` are served, without a token: keep it private.",
            ),
            max_request_bytes: reader.bytes(
                "limits.request_bytes",
                max_request_bytes,
                1_024..=64 << 20,
                "Longest request message; more is RESOURCE_EXHAUSTED `MESSAGE_TOO_LARGE`.",
            ),
            reflection: reader.flag("reflection", false, "Whether gRPC server reflection is served, without a token."),
            cors_origins: reader.list(
                "cors.origins",
                &[],
                "Origins whose pages may call from a browser, each exactly as a browser sends it: `https://app.example`.",
            ),
            tls: read_tls(reader),
            limits: Limits::read(reader),
        };
        if !config.cors_origins.iter().all(|origin| is_origin(origin)) {
            reader.refuse("cors.origins", "must be origins such as https://app.example, without a path or a *");
        }
        config
    }
}

/// Whether a browser could send this: lower case, Punycode, no default port. Any other would be accepted and match
/// nothing, for origins are compared byte for byte.
///
/// Source: RFC 6454 §6.2.
fn is_origin(origin: &str) -> bool {
    let (rest, default_port) = match (origin.strip_prefix("https://"), origin.strip_prefix("http://")) {
        (Some(rest), _) => (rest, 443),
        (_, Some(rest)) => (rest, 80),
        _ => return false,
    };
    // A colon after the last bracket is a port's; those before it are of an IPv6 address.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let is_of_a_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == address),
        None => !host.is_empty() && host.bytes().all(is_of_a_host),
    };
    let is_port =
        |port: &str| port.parse::<u16>().is_ok_and(|number| number != default_port && number.to_string() == port);
    is_host && port.is_none_or(is_port)
}

fn read_tls(reader: &mut Reader) -> Option<TlsConfig> {
    let certificate =
        reader.optional_path("tls.certificate_file", "PEM certificate chain; with it the listener speaks TLS alone.");
    let key = reader.optional_path("tls.private_key_file", "PEM private key of the certificate.");
    let client_ca =
        reader.optional_path("tls.client_ca_file", "PEM certificates; with them every client must show one of theirs.");
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsConfig { certificate, key, client_ca }),
        (None, None) if client_ca.is_none() => None,
        _ => {
            reader.refuse("tls.certificate_file", "and tls.private_key_file are needed together");
            None
        }
    }
}

impl Limits {
    fn read(reader: &mut Reader) -> Self {
        let mut number = |key, default, bounds, doc| {
            usize::try_from(reader.number(key, default, bounds, doc)).expect("the bounds fit a size")
        };
        let connections = number(
            "limits.connections",
            4_096,
            1..=1_000_000,
            "Open connections at most; more are closed at once. Keep it below the limit of open files.",
        );
        let connections_per_address = number(
            "limits.connections_per_address",
            1_024,
            1..=1_000_000,
            "Open connections of one address at most; raise it behind a proxy.",
        );
        let streams_per_connection = u32::try_from(number(
            "limits.streams_per_connection",
            100,
            1..=200,
            "Calls at the same time on one HTTP/2 connection.",
        ))
        .expect("the bounds fit");
        let concurrent_calls = number(
            "limits.concurrent_calls",
            1_024,
            1..=1_000_000,
            "Calls at the same time in all; more are RESOURCE_EXHAUSTED `OVERLOADED` at once.",
        );
        Self {
            connections,
            connections_per_address,
            streams_per_connection,
            concurrent_calls,
            call_deadline: reader.duration(
                "limits.call_deadline",
                10 * SECOND,
                100 * SECOND / 1_000..=10 * MINUTE,
                "Longest time to an answer; a caller's shorter `grpc-timeout` wins.",
            ),
            handshake_deadline: reader.duration(
                "limits.handshake_deadline",
                5 * SECOND,
                SECOND / 10..=MINUTE,
                "Longest time for the TLS handshake, the HTTP/2 preface and the headers of an HTTP/1 request.",
            ),
            stall_deadline: reader.duration(
                "limits.stall_deadline",
                30 * SECOND,
                SECOND / 10..=10 * MINUTE,
                "How long an answer may wait for a peer that does not read it; then the call is reset.",
            ),
            keepalive_interval: reader.duration(
                "limits.keepalive_interval",
                20 * SECOND,
                SECOND..=10 * MINUTE,
                "How often a silent HTTP/2 peer is asked whether it lives.",
            ),
            keepalive_timeout: reader.duration(
                "limits.keepalive_timeout",
                20 * SECOND,
                SECOND..=10 * MINUTE,
                "How long it has to answer.",
            ),
            connection_age: reader.duration(
                "limits.connection_age",
                30 * MINUTE,
                SECOND..=24 * 60 * MINUTE,
                "Age, ± 10 %, at which a connection is asked to end; what still runs after `limits.call_deadline` is cut.",
            ),
            header_bytes: reader.bytes(
                "limits.header_bytes",
                16 * 1_024,
                8 * 1_024..=1 << 20,
                "Longest list of request headers.",
            ),
            drain_delay: reader.duration(
                "limits.drain_delay",
                Duration::ZERO,
                Duration::ZERO..=MINUTE,
                "How long calls are still taken after SIGTERM has made the service not ready.",
            ),
            drain_deadline: reader.duration(
                "limits.drain_deadline",
                20 * SECOND,
                Duration::ZERO..=10 * MINUTE,
                "How long running calls may take to end after that.",
            ),
        }
    }

    /// The operations listener needs few connections, whatever the calls' listener may have.
    pub(super) fn of_operations(&self) -> Self {
        Self { connections: 64, connections_per_address: 64, ..self.clone() }
    }
}
