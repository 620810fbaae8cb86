//! What a test says of an answer.

use std::time::Duration;

use tonic::{Response, Status};

use super::actor::Person;
use super::raw::outcome;

/// How long a test waits for what must come, before it says that it did not.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asserts that a call was refused with this code and reason: `NOT_FOUND NOTE_NOT_FOUND`.
#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(result: Result<T, Status>, expected: &str) {
    match result {
        Ok(answer) => panic!("expected {expected}, got an answer: {answer:?}"),
        Err(status) => assert_eq!(outcome(&status), expected, "{}", status.message()),
    }
}

/// The message of an answer that must have been good.
#[track_caller]
pub fn good<T>(result: Result<Response<T>, Status>) -> T {
    match result {
        Ok(response) => response.into_inner(),
        Err(status) => panic!("refused: {} ({})", outcome(&status), status.message()),
    }
}

/// Asks the notes service as this person until the answer is this one.
pub async fn comes_to(person: &Person, expected: &str) {
    let mut last = String::new();
    let asked = tokio::time::timeout(PATIENCE, async {
        while last != expected {
            last = person.usage().await.map_or_else(|status| outcome(&status), |_| "OK".to_owned());
        }
    });
    if asked.await.is_err() {
        panic!("expected {expected}, the last answer was {last}");
    }
}
