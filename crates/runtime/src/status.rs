//! One way to refuse a call: a code, a machine-readable reason and what the caller can do about it.

use std::time::Duration;

use tonic::{Code, Status};

/// A refusal in the making; every status that leaves a service is made here (AIP-193).
#[derive(Clone, Debug)]
pub struct Refusal(());

/// One wrong field of a request: the path of the field, what is wrong with it, and never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field, `note.title`.
    pub field: String,
    /// What is wrong, for people: the rule, not the value.
    pub description: String,
}

impl Refusal {
    /// A refusal by the service `domain` with a `reason` of its registry.
    #[must_use]
    pub fn new(_domain: &'static str, _code: Code, _reason: &'static str, _message: impl Into<String>) -> Self {
        todo!()
    }

    /// INVALID_ARGUMENT `FIELD_INVALID` with these violations, the first 20 of them.
    #[must_use]
    pub fn fields(_domain: &'static str, _violations: Vec<FieldViolation>) -> Self {
        todo!()
    }

    /// INTERNAL `INTERNAL`: says "internal error" and the trace id, nothing else. Log the cause before.
    #[must_use]
    pub fn internal(_domain: &'static str) -> Self {
        todo!()
    }

    /// When the caller may try again (`google.rpc.RetryInfo`).
    #[must_use]
    pub fn retry_after(self, _delay: Duration) -> Self {
        todo!()
    }

    /// More about the refusal, in `ErrorInfo.metadata`: names and limits, never values of the caller.
    #[must_use]
    pub fn with(self, _key: &'static str, _value: impl Into<String>) -> Self {
        todo!()
    }

    /// The status to return, with the current call's trace id where it belongs.
    #[must_use]
    pub fn into_status(self) -> Status {
        todo!()
    }
}
