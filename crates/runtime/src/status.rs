//! One way to refuse a call: a code, a machine-readable reason and what the caller can do about it.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::trace::TraceId;

/// Most field violations that one answer names.
pub const MAX_VIOLATIONS: usize = 20;

/// A refusal in the making; every status that leaves a service is made here (AIP-193).
#[derive(Clone, Debug)]
pub struct Refusal {
    code: Code,
    message: String,
    reason: &'static str,
    domain: &'static str,
    metadata: HashMap<String, String>,
    details: ErrorDetails,
}

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
    pub fn new(domain: &'static str, code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        let (message, metadata, details) = (message.into(), HashMap::new(), ErrorDetails::new());
        Self { code, message, reason, domain, metadata, details }
    }

    /// INVALID_ARGUMENT `FIELD_INVALID` with these violations, the first 20 of them.
    #[must_use]
    pub fn fields(domain: &'static str, violations: Vec<FieldViolation>) -> Self {
        let mut refusal = Self::new(domain, Code::InvalidArgument, "FIELD_INVALID", "the request has invalid fields");
        for FieldViolation { field, description } in violations.into_iter().take(MAX_VIOLATIONS) {
            refusal.details.add_bad_request_violation(field, description);
        }
        refusal
    }

    /// INTERNAL `INTERNAL`: says "internal error" and the trace id, nothing else. Log the cause before.
    #[must_use]
    pub fn internal(domain: &'static str) -> Self {
        let mut refusal = Self::new(domain, Code::Internal, "INTERNAL", "internal error");
        if let Some(id) = TraceId::current() {
            refusal.details.set_request_info(id.as_str(), "");
        }
        refusal
    }

    /// When the caller may try again (`google.rpc.RetryInfo`).
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.details.set_retry_info(Some(delay));
        self
    }

    /// More about the refusal, in `ErrorInfo.metadata`: names and limits, never values of the caller.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// The status to return.
    #[must_use]
    pub fn into_status(mut self) -> Status {
        self.details.set_error_info(self.reason, self.domain, self.metadata);
        Status::with_error_details(self.code, self.message, self.details)
    }
}
