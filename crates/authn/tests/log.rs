//! What the verifier says to the log. A process of its own: a thread without a subscriber may decide for all threads that
//! an event is of no interest to anybody.

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use authn::ManualClock;
use authn::claims::Claims;
use authn::testing::TestIssuer;

#[test]
fn no_token_and_no_claim_is_logged_at_any_level() {
    let issuer = TestIssuer::new("https://login.example", "notes-service");
    let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&log);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || Log(Arc::clone(&writer)))
        .finish();
    let claims =
        Claims { scope: "canary-scope".to_owned(), roles: vec!["canary-role".to_owned()], ..issuer.claims(start) };
    let broken = issuer.broken_tokens(&claims);

    tracing::subscriber::with_default(subscriber, || {
        let verifier = issuer.verifier(ManualClock::starting_at(start).clock());
        verifier.verify(&issuer.sign(&claims)).expect("good");
        for case in &broken {
            let _ = verifier.verify(&case.token);
        }
    });

    let log = String::from_utf8(log.lock().expect("not poisoned").clone()).expect("text");
    assert!(log.contains("the signature is wrong") && log.contains("exp has passed"), "causes are logged: {log}");
    assert!(!log.contains("canary") && !log.contains(&claims.sub.to_string()), "{log}");
    for part in broken.iter().flat_map(|case| case.token.split('.')).filter(|part| part.len() > 16) {
        assert!(!log.contains(part), "a part of a token is in the log");
    }
}

struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
