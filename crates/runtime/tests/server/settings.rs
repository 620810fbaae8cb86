//! Mistakes in the settings of a listener, each named before anything is bound.

use crate::toy::read;

#[track_caller]
fn check(settings: &[(&str, &str)], mistake: Option<&str>) {
    match (read(settings), mistake) {
        (Ok(_), None) => {}
        (Err(said), Some(mistake)) => assert!(said.contains(mistake), "{settings:?}: {said}"),
        (read, _) => panic!("{settings:?}: expected {mistake:?}, got {:?}", read.err()),
    }
}

#[test]
fn origins_are_what_a_browser_sends_and_nothing_more() {
    const MISTAKE: Option<&str> = Some("cors.origins");
    for (origins, mistake) in [
        ("https://app.example", None),
        ("https://app.example,http://localhost:5173", None),
        ("http://127.0.0.1:8080", None),
        ("http://[::1]:8080", None),
        ("https://xn--bcher-kva.example", None),
        ("*", MISTAKE),
        ("https://*", MISTAKE),
        ("https://*.app.example", MISTAKE),
        ("https://app.example/", MISTAKE),
        ("https://app.example/path", MISTAKE),
        ("https://app.example?query", MISTAKE),
        ("https://app.example#fragment", MISTAKE),
        ("https://user@app.example", MISTAKE),
        ("https://App.example", MISTAKE),
        ("HTTPS://app.example", MISTAKE),
        ("https://bücher.example", MISTAKE),
        ("https://app.example:443", MISTAKE),
        ("http://app.example:80", MISTAKE),
        ("https://app.example:", MISTAKE),
        ("https://app.example:port", MISTAKE),
        ("https://", MISTAKE),
        ("app.example", MISTAKE),
        ("null", MISTAKE),
        ("file:///", MISTAKE),
        ("https://app.example https://other.example", MISTAKE),
        ("https://app.example,*", MISTAKE),
    ] {
        check(&[("CORS_ORIGINS", origins)], mistake);
    }
}

#[test]
fn certificate_and_key_go_together_and_clients_are_not_asked_for_theirs_without() {
    const MISTAKE: Option<&str> = Some("tls.certificate_file");
    const CERTIFICATE: (&str, &str) = ("TLS_CERTIFICATE_FILE", "certificate.pem");
    const KEY: (&str, &str) = ("TLS_PRIVATE_KEY_FILE", "key.pem");
    const CLIENTS: (&str, &str) = ("TLS_CLIENT_CA_FILE", "clients.pem");
    check(&[], None);
    check(&[CERTIFICATE, KEY], None);
    check(&[CERTIFICATE, KEY, CLIENTS], None);
    check(&[CERTIFICATE], MISTAKE);
    check(&[KEY], MISTAKE);
    check(&[CLIENTS], MISTAKE);
    check(&[KEY, CLIENTS], MISTAKE);
    check(&[CERTIFICATE, CLIENTS], MISTAKE);
}

#[test]
fn limits_have_bounds_and_addresses_a_port() {
    for (name, good, bad) in [
        ("LISTEN", "127.0.0.1:0", "127.0.0.1"),
        ("OPERATIONS_LISTEN", "[::1]:0", "localhost:0"),
        ("REFLECTION", "true", "perhaps"),
        ("LIMITS_REQUEST_BYTES", "1 KiB", "1023"),
        ("LIMITS_CONNECTIONS", "1", "0"),
        ("LIMITS_CONNECTIONS_PER_ADDRESS", "1", "0"),
        ("LIMITS_STREAMS_PER_CONNECTION", "200", "201"),
        ("LIMITS_CONCURRENT_CALLS", "1", "0"),
        ("LIMITS_CALL_DEADLINE", "100ms", "99ms"),
        ("LIMITS_HANDSHAKE_DEADLINE", "60s", "61s"),
        ("LIMITS_KEEPALIVE_INTERVAL", "1s", "0s"),
        ("LIMITS_KEEPALIVE_TIMEOUT", "1s", "0s"),
        ("LIMITS_CONNECTION_AGE", "24h", "25h"),
        ("LIMITS_HEADER_BYTES", "8 KiB", "8191"),
        ("LIMITS_STALL_DEADLINE", "100ms", "99ms"),
        ("LIMITS_DRAIN_DELAY", "0s", "61s"),
        ("LIMITS_DRAIN_DEADLINE", "0s", "11m"),
    ] {
        check(&[(name, good)], None);
        check(&[(name, bad)], Some(&format!("TOY_{name}")));
    }
    check(&[("LIMITS_CONNECTION", "1")], Some("TOY_LIMITS_CONNECTION is not a setting"));
}
