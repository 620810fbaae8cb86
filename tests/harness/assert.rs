//! What a test says of an answer.

use tonic::{Response, Status};

use super::raw::outcome;

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
