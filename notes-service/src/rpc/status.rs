use std::error::Error as StdError;
use std::time::Duration;

use runtime::status::{FieldViolation, Refusal};
use tonic::{Code, Status};

use crate::app::Error;
use crate::domain::Order;

/// Who answers: `google.rpc.ErrorInfo.domain`.
pub const DOMAIN: &str = "notes-service";

/// When to try again after a queue was full.
const AFTER_OVERLOAD: Duration = Duration::from_millis(500);
/// When to try again after the store was away.
const AFTER_UNAVAILABILITY: Duration = Duration::from_secs(1);

/// What is wrong with the form of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// These fields.
    Fields(Vec<FieldViolation>),
    /// The order is none of the closed set.
    OrderBy,
}

impl From<Malformed> for Status {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Fields(violations) => Refusal::fields(DOMAIN, violations),
            Malformed::OrderBy => {
                Refusal::new(DOMAIN, Code::InvalidArgument, "ORDER_BY_INVALID", "notes cannot be ordered so")
                    .with("allowed", Order::ALL.map(|(spelling, _)| spelling).join(", "))
            }
        }
        .into_status()
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let refusal = |code, reason| Refusal::new(DOMAIN, code, reason, error.to_string());
        match &error {
            Error::NoteNotFound => refusal(Code::NotFound, "NOTE_NOT_FOUND"),
            Error::NoteExists => refusal(Code::AlreadyExists, "NOTE_EXISTS"),
            Error::RequestIdReused => refusal(Code::InvalidArgument, "REQUEST_ID_REUSED"),
            Error::NoteQuota(limit) => refusal(Code::ResourceExhausted, "NOTE_QUOTA").with("limit", limit.to_string()),
            Error::ByteQuota(limit) => refusal(Code::ResourceExhausted, "BYTE_QUOTA").with("limit", limit.to_string()),
            Error::EtagMismatch => refusal(Code::Aborted, "ETAG_MISMATCH"),
            Error::NoteDeleted => refusal(Code::FailedPrecondition, "NOTE_DELETED"),
            Error::NoteAlreadyLive => refusal(Code::AlreadyExists, "NOTE_ALREADY_LIVE"),
            Error::PageTokenInvalid => refusal(Code::InvalidArgument, "PAGE_TOKEN_INVALID"),
            Error::Overloaded => refusal(Code::ResourceExhausted, "OVERLOADED").retry_after(AFTER_OVERLOAD),
            Error::StoreUnavailable(source) => {
                tracing::warn!(error = chain(source), "the store is unavailable");
                refusal(Code::Unavailable, "STORE_UNAVAILABLE").retry_after(AFTER_UNAVAILABILITY)
            }
            Error::WriteContention(source) => {
                tracing::warn!(error = chain(source), "a write lost against others every time");
                refusal(Code::Aborted, "WRITE_CONTENTION")
            }
            Error::Fault(source) => {
                tracing::error!(error = chain(source.as_ref()), "a call failed");
                Refusal::internal(DOMAIN)
            }
        }
        .into_status()
    }
}

/// An error and what caused it. By `Display` alone: the debug form of an error of a driver can hold values of a row.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
