//! The one place that makes a `Status`: every refusal's code, reason and advice, and every failure's log line.

use std::time::Duration;

use authn::Rejection;
use runtime::Causes;
use runtime::database::DatabaseError;
use runtime::status::{FieldViolation, Refusal};
use tonic::{Code, Status};
use tracing::{error, info, warn};

use super::DOMAIN;
use crate::app::Error;
use crate::repository::RepositoryError;

/// When to try a store again that did not answer.
const STORE_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The answer to a request with these violations.
pub(super) fn invalid(violations: Vec<FieldViolation>) -> Status {
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    info!(event = "input_validation_fail", fields = fields.join(" "), "refused the form of a request");
    Refusal::fields(DOMAIN, violations).into_status()
}

/// The answer to a caller whom the verifier refused.
pub(super) fn reject(rejection: Rejection) -> Status {
    rejection.into_status(DOMAIN)
}

/// The answer to an error.
pub(super) fn refuse(error: Error) -> Status {
    let refusal = match error {
        Error::EmailTaken => {
            Refusal::new(DOMAIN, Code::AlreadyExists, "EMAIL_TAKEN", "the e-mail address belongs to another account")
        }
        Error::CredentialsInvalid => {
            unauthenticated("CREDENTIALS_INVALID", "the e-mail address or the password is wrong")
        }
        Error::PasswordQueueFull { retry_after } => {
            let message = "too many passwords wait to be looked at";
            Refusal::new(DOMAIN, Code::ResourceExhausted, "PASSWORD_QUEUE_FULL", message).retry_after(retry_after)
        }
        Error::RefreshTokenInvalid => unauthenticated("REFRESH_TOKEN_INVALID", "the refresh token is invalid"),
        Error::RefreshTokenReused => {
            let message = "the refresh token was used before, so its session was revoked";
            unauthenticated("REFRESH_TOKEN_REUSED", message)
        }
        Error::RefreshSuperseded => {
            let message = "the password was changed meanwhile: read the tokens that came of it, and go on with those";
            Refusal::new(DOMAIN, Code::Aborted, "REFRESH_SUPERSEDED", message)
        }
        Error::RefreshTooFast { retry_after } => {
            let message = "the session was rotated too often within a moment";
            Refusal::new(DOMAIN, Code::ResourceExhausted, "REFRESH_TOO_FAST", message).retry_after(retry_after)
        }
        Error::SessionExpired => unauthenticated("SESSION_EXPIRED", "the session has expired"),
        Error::SessionRevoked => unauthenticated("SESSION_REVOKED", "the session was revoked"),
        Error::AccountDisabled => unauthenticated("ACCOUNT_DISABLED", "the account is disabled"),
        Error::SessionNotFound => Refusal::new(DOMAIN, Code::NotFound, "SESSION_NOT_FOUND", "there is no such session"),
        Error::EtagMismatch => {
            Refusal::new(DOMAIN, Code::Aborted, "ETAG_MISMATCH", "the account was changed since it was read")
        }
        Error::TokenRevoked => return reject(Rejection::TokenRevoked),
        Error::TrustNotReady => {
            let message = "what verifiers must know has not been read from the store yet";
            Refusal::new(DOMAIN, Code::Unavailable, "TRUST_NOT_READY", message).retry_after(STORE_RETRY_DELAY)
        }
        Error::TrustWatchTooSlow(_) => {
            let message = "what comes next is not held any more: begin again with a snapshot";
            Refusal::new(DOMAIN, Code::Aborted, "TRUST_STREAM_TOO_SLOW", message)
        }
        Error::Repository(RepositoryError::Database(
            cause @ (DatabaseError::Unavailable(_) | DatabaseError::Contention(_)),
        )) => {
            warn!(error = %Causes(&cause), "the store is not available");
            Refusal::new(DOMAIN, Code::Unavailable, "STORE_UNAVAILABLE", "the store is unavailable, try again")
                .retry_after(STORE_RETRY_DELAY)
        }
        fault @ (Error::Repository(RepositoryError::Database(DatabaseError::Fault(_)))
        | Error::Repository(RepositoryError::Corrupt { .. })
        | Error::Signing(_)
        | Error::Key(_)
        | Error::Randomness(_)
        | Error::Hashing(_)) => {
            error!(error = %Causes(&fault), "a call failed");
            Refusal::internal(DOMAIN)
        }
    };
    refusal.into_status()
}

fn unauthenticated(reason: &'static str, message: &'static str) -> Refusal {
    Refusal::new(DOMAIN, Code::Unauthenticated, reason, message)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::crypto::NoRandomness;
    use crate::domain::TooFarBehind;

    const RETRY: Duration = Duration::from_secs(3);

    /// Every refusal with its code, reason and advice: the registry of reasons that this service makes itself.
    fn registry() -> Vec<(Error, Code, &'static str, Option<Duration>)> {
        let unauthenticated = Code::Unauthenticated;
        let [lost, contended, fault] = RepositoryError::failures("SELECT of a library").map(Error::Repository);
        vec![
            (Error::EmailTaken, Code::AlreadyExists, "EMAIL_TAKEN", None),
            (Error::CredentialsInvalid, unauthenticated, "CREDENTIALS_INVALID", None),
            (
                Error::PasswordQueueFull { retry_after: RETRY },
                Code::ResourceExhausted,
                "PASSWORD_QUEUE_FULL",
                Some(RETRY),
            ),
            (Error::RefreshTokenInvalid, unauthenticated, "REFRESH_TOKEN_INVALID", None),
            (Error::RefreshTokenReused, unauthenticated, "REFRESH_TOKEN_REUSED", None),
            (Error::RefreshSuperseded, Code::Aborted, "REFRESH_SUPERSEDED", None),
            (Error::RefreshTooFast { retry_after: RETRY }, Code::ResourceExhausted, "REFRESH_TOO_FAST", Some(RETRY)),
            (Error::SessionExpired, unauthenticated, "SESSION_EXPIRED", None),
            (Error::SessionRevoked, unauthenticated, "SESSION_REVOKED", None),
            (Error::AccountDisabled, unauthenticated, "ACCOUNT_DISABLED", None),
            (Error::SessionNotFound, Code::NotFound, "SESSION_NOT_FOUND", None),
            (Error::EtagMismatch, Code::Aborted, "ETAG_MISMATCH", None),
            (Error::TokenRevoked, unauthenticated, "TOKEN_REVOKED", None),
            (Error::TrustNotReady, Code::Unavailable, "TRUST_NOT_READY", Some(STORE_RETRY_DELAY)),
            (Error::TrustWatchTooSlow(TooFarBehind), Code::Aborted, "TRUST_STREAM_TOO_SLOW", None),
            (lost, Code::Unavailable, "STORE_UNAVAILABLE", Some(STORE_RETRY_DELAY)),
            (contended, Code::Unavailable, "STORE_UNAVAILABLE", Some(STORE_RETRY_DELAY)),
            (fault, Code::Internal, "INTERNAL", None),
            (
                Error::Repository(RepositoryError::Corrupt { table: "accounts", column: "state" }),
                Code::Internal,
                "INTERNAL",
                None,
            ),
            (Error::Randomness(NoRandomness), Code::Internal, "INTERNAL", None),
        ]
    }

    #[test]
    fn every_error_has_its_code_its_reason_and_its_advice() {
        for (error, code, reason, retry) in registry() {
            let status = refuse(error);
            let details = status.get_error_details();
            let info = details.error_info().expect("every error says why");
            assert_eq!((status.code(), info.reason.as_str(), info.domain.as_str()), (code, reason, DOMAIN));
            assert_eq!(details.retry_info().and_then(|info| info.retry_delay), retry, "{reason}");
        }
    }

    #[test]
    fn a_failure_says_nothing_of_what_is_inside() {
        for failure in RepositoryError::failures("SELECT of a library") {
            let status = refuse(Error::Repository(failure));
            let told = format!("{} {:?}", status.message(), status.get_error_details());
            assert!(!told.contains("SELECT"), "{told}");
        }
    }

    #[test]
    fn every_reason_is_documented_in_the_contracts() {
        let contracts = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).expect("encoded by the build").file;
        let comments: String = contracts
            .iter()
            .filter(|file| file.package().starts_with("auth."))
            .flat_map(|file| file.source_code_info.iter().flat_map(|info| &info.location))
            .map(|location| location.leading_comments())
            .collect();
        for (_, _, reason, _) in registry() {
            assert!(comments.contains(&format!("`{reason}`")), "{reason}");
        }
    }
}
