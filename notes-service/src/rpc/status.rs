use std::time::Duration;

use runtime::Causes;
use runtime::status::{FieldViolation, Refusal};
use tonic::{Code, Status};

use super::convert::tag_name;
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
        refuse(&error, "").into_status()
    }
}

/// `path` leads to the note that was sent, from the outermost request.
fn refuse(error: &Error, path: &str) -> Refusal {
    let refusal = |code, reason| Refusal::new(DOMAIN, code, reason, error.to_string());
    match error {
        Error::NoteNotFound => refusal(Code::NotFound, "NOTE_NOT_FOUND"),
        Error::RevisionNotFound => refusal(Code::NotFound, "REVISION_NOT_FOUND"),
        Error::NoteExists => refusal(Code::AlreadyExists, "NOTE_EXISTS"),
        Error::NoteExpunged => refusal(Code::FailedPrecondition, "NOTE_EXPUNGED"),
        Error::RequestIdReused => refusal(Code::InvalidArgument, "REQUEST_ID_REUSED"),
        Error::NoteQuota(limit) => refusal(Code::ResourceExhausted, "NOTE_QUOTA").with("limit", limit.to_string()),
        Error::ByteQuota(limit) | Error::RevisionByteQuota(limit) => {
            refusal(Code::ResourceExhausted, "BYTE_QUOTA").with("limit", limit.to_string())
        }
        Error::TagNotFound => refusal(Code::NotFound, "TAG_NOT_FOUND"),
        Error::TagNameTaken(tag) => refusal(Code::AlreadyExists, "TAG_NAME_TAKEN").with("tag", tag_name(*tag)),
        Error::TagInUse(notes) => refusal(Code::FailedPrecondition, "TAG_IN_USE").with("noteCount", notes.to_string()),
        Error::TagQuota(limit) => refusal(Code::ResourceExhausted, "TAG_QUOTA").with("limit", limit.to_string()),
        Error::UnknownTags(places) => {
            let unknown = places.iter().map(|place| FieldViolation {
                field: format!("{path}note.tags[{place}]"),
                description: "must be a tag of the caller".to_owned(),
            });
            Refusal::fields(DOMAIN, unknown.collect())
        }
        Error::EtagMismatch => refusal(Code::Aborted, "ETAG_MISMATCH"),
        Error::NoteDeleted => refusal(Code::FailedPrecondition, "NOTE_DELETED"),
        Error::NoteAlreadyLive => refusal(Code::AlreadyExists, "NOTE_ALREADY_LIVE"),
        Error::NoteNotDeleted => refusal(Code::FailedPrecondition, "NOTE_NOT_DELETED"),
        Error::PageTokenInvalid | Error::SyncTokenInvalid => refusal(Code::InvalidArgument, "PAGE_TOKEN_INVALID"),
        Error::SyncTokenExpired => refusal(Code::FailedPrecondition, "SYNC_TOKEN_EXPIRED"),
        Error::WatchLimit(limit) => refusal(Code::ResourceExhausted, "WATCH_LIMIT").with("limit", limit.to_string()),
        Error::ResponseTooLarge => refusal(Code::InvalidArgument, "RESPONSE_TOO_LARGE"),
        Error::InBatch { index, error } => {
            refuse(error, &format!("requests[{index}].")).with("index", index.to_string())
        }
        Error::Overloaded => refusal(Code::ResourceExhausted, "OVERLOADED").retry_after(AFTER_OVERLOAD),
        Error::StoreUnavailable(source) => {
            tracing::warn!(error = %Causes(source), "the store is unavailable");
            refusal(Code::Unavailable, "STORE_UNAVAILABLE").retry_after(AFTER_UNAVAILABILITY)
        }
        Error::WriteContention(source) => {
            tracing::warn!(error = %Causes(source), "a write lost against others every time");
            refusal(Code::Aborted, "WRITE_CONTENTION")
        }
        Error::Fault(source) => {
            tracing::error!(error = %Causes(source.as_ref()), "a call failed");
            Refusal::internal(DOMAIN)
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime::batch::BatchError;
    use runtime::database::DatabaseError;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::domain::TagId;
    use crate::testing::driver_error;

    const CAUSE: &str = "CANARY /var/lib/notes.db SELECT";

    #[track_caller]
    fn check(refused: impl Into<Status>, code: Code, reason: &str) -> Status {
        let status = refused.into();
        assert_eq!(status.code(), code);
        let info = status.get_details_error_info().expect("every refusal has a reason");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "notes-service"));
        let details = String::from_utf8_lossy(status.details()).into_owned();
        assert!(!status.message().contains("CANARY") && !details.contains("CANARY"), "{status:?}");
        status
    }

    #[test]
    fn every_refusal_has_its_code_and_its_reason() {
        check(Error::NoteNotFound, Code::NotFound, "NOTE_NOT_FOUND");
        check(Error::RevisionNotFound, Code::NotFound, "REVISION_NOT_FOUND");
        check(Error::NoteExists, Code::AlreadyExists, "NOTE_EXISTS");
        check(Error::NoteExpunged, Code::FailedPrecondition, "NOTE_EXPUNGED");
        check(Error::RequestIdReused, Code::InvalidArgument, "REQUEST_ID_REUSED");
        check(Error::NoteQuota(5), Code::ResourceExhausted, "NOTE_QUOTA");
        check(Error::ByteQuota(5), Code::ResourceExhausted, "BYTE_QUOTA");
        check(Error::TagNotFound, Code::NotFound, "TAG_NOT_FOUND");
        let id = TagId::from_uuid(uuid::Uuid::nil());
        let taken = check(Error::TagNameTaken(id), Code::AlreadyExists, "TAG_NAME_TAKEN");
        assert_eq!(taken.get_details_error_info().expect("checked").metadata["tag"], tag_name(id));
        check(Error::TagInUse(5), Code::FailedPrecondition, "TAG_IN_USE");
        check(Error::TagQuota(5), Code::ResourceExhausted, "TAG_QUOTA");
        check(Error::RevisionByteQuota(5), Code::ResourceExhausted, "BYTE_QUOTA");
        check(Error::EtagMismatch, Code::Aborted, "ETAG_MISMATCH");
        check(Error::NoteDeleted, Code::FailedPrecondition, "NOTE_DELETED");
        check(Error::NoteAlreadyLive, Code::AlreadyExists, "NOTE_ALREADY_LIVE");
        check(Error::NoteNotDeleted, Code::FailedPrecondition, "NOTE_NOT_DELETED");
        check(Error::PageTokenInvalid, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
        check(Error::SyncTokenInvalid, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
        check(Error::SyncTokenExpired, Code::FailedPrecondition, "SYNC_TOKEN_EXPIRED");
        check(Error::WatchLimit(10), Code::ResourceExhausted, "WATCH_LIMIT");
        check(Error::ResponseTooLarge, Code::InvalidArgument, "RESPONSE_TOO_LARGE");
        let third = Error::InBatch { index: 2, error: Box::new(Error::EtagMismatch) };
        let third = check(third, Code::Aborted, "ETAG_MISMATCH").get_details_error_info().expect("checked");
        assert_eq!(third.metadata["index"], "2");
        let unknown = Error::InBatch { index: 2, error: Box::new(Error::UnknownTags(vec![0, 3])) };
        let unknown = check(unknown, Code::InvalidArgument, "FIELD_INVALID");
        let fields = unknown.get_details_bad_request().expect("it names the fields").field_violations;
        let fields: Vec<_> = fields.into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["requests[2].note.tags[0]", "requests[2].note.tags[3]"]);
        check(Malformed::OrderBy, Code::InvalidArgument, "ORDER_BY_INVALID");
        let violation = FieldViolation { field: "note.title".to_owned(), description: "is too long".to_owned() };
        let status = check(Malformed::Fields(vec![violation]), Code::InvalidArgument, "FIELD_INVALID");
        assert_eq!(status.get_details_bad_request().expect("it names the fields").field_violations.len(), 1);
    }

    #[test]
    fn a_failure_tells_when_to_try_again_and_nothing_of_its_cause() {
        let busy = check(Error::Overloaded, Code::ResourceExhausted, "OVERLOADED");
        let away = Error::from(DatabaseError::Unavailable(driver_error(CAUSE)));
        let away = check(away, Code::Unavailable, "STORE_UNAVAILABLE");
        for status in [busy, away] {
            assert!(status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()), "{status:?}");
        }
        let lost = Error::from(DatabaseError::Contention(driver_error(CAUSE)));
        check(lost, Code::Aborted, "WRITE_CONTENTION");
        check(Error::from(DatabaseError::Fault(driver_error(CAUSE))), Code::Internal, "INTERNAL");
        check(Error::Fault(Box::new(BatchError::Lost)), Code::Internal, "INTERNAL");
    }
}
