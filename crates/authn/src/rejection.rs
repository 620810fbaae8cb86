use std::collections::HashMap;
use std::time::Duration;

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// When a caller should try again while nothing can be verified.
const NOT_READY_RETRY: Duration = Duration::from_secs(1);

/// Why a caller was refused. Each has its own reason in the answer's `google.rpc.ErrorInfo`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// No `authorization` value.
    #[error("an access token is required")]
    TokenMissing,
    /// Malformed, forged, for somebody else, or from another issuer.
    #[error("the access token is invalid")]
    TokenInvalid,
    /// Expired; the client should refresh.
    #[error("the access token has expired")]
    TokenExpired,
    /// Its session or account was revoked.
    #[error("the access token was revoked")]
    TokenRevoked,
    /// Its key was revoked; the client should refresh.
    #[error("the key of the access token was revoked")]
    TokenKeyRevoked,
    /// A good token without the scope that the method needs.
    #[error("the access token lacks the scope {0}")]
    InsufficientScope(&'static str),
    /// No keys have come yet, so nothing can be verified.
    #[error("token verification is not ready")]
    NotReady,
    /// What is revoked has not been heard of for longer than the settings allow.
    #[error("revocations have not been heard of for too long")]
    Stale,
    /// Not the credential of a service that may call this.
    #[error("the service credential is invalid")]
    ServiceCredentialInvalid,
    /// No such method.
    #[error("no such method")]
    UnknownMethod,
}

impl Rejection {
    /// The machine-readable reason.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TokenMissing => "TOKEN_MISSING",
            Self::TokenInvalid => "TOKEN_INVALID",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::TokenRevoked => "TOKEN_REVOKED",
            Self::TokenKeyRevoked => "TOKEN_KEY_REVOKED",
            Self::InsufficientScope(_) => "INSUFFICIENT_SCOPE",
            Self::NotReady => "VERIFIER_NOT_READY",
            Self::Stale => "VERIFIER_STALE",
            Self::ServiceCredentialInvalid => "SERVICE_CREDENTIAL_INVALID",
            Self::UnknownMethod => "METHOD_UNKNOWN",
        }
    }

    const fn code(&self) -> Code {
        match self {
            Self::TokenMissing
            | Self::TokenInvalid
            | Self::TokenExpired
            | Self::TokenRevoked
            | Self::TokenKeyRevoked
            | Self::ServiceCredentialInvalid => Code::Unauthenticated,
            Self::InsufficientScope(_) => Code::PermissionDenied,
            Self::NotReady | Self::Stale => Code::Unavailable,
            Self::UnknownMethod => Code::Unimplemented,
        }
    }

    /// The answer to the caller; `domain` is the service that answers. UNAUTHENTICATED carries
    /// `www-authenticate: Bearer` (RFC 6750 §3), a lack of scope names it as `requiredScope`, and UNAVAILABLE says
    /// when to try again.
    #[must_use]
    pub fn into_status(self, domain: &str) -> Status {
        let code = self.code();
        let mut about = HashMap::new();
        let mut details = ErrorDetails::new();
        let mut metadata = MetadataMap::new();
        if let Self::InsufficientScope(scope) = self {
            about.insert("requiredScope".to_owned(), scope.to_owned());
        }
        details.set_error_info(self.reason(), domain, about);
        if code == Code::Unavailable {
            details.set_retry_info(Some(NOT_READY_RETRY));
        }
        if code == Code::Unauthenticated {
            metadata.insert("www-authenticate", MetadataValue::from_static("Bearer"));
        }
        Status::with_error_details_and_metadata(code, self.to_string(), details, metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rejection_has_its_code_and_reason_and_only_unauthenticated_a_challenge() {
        for (rejection, code, reason) in [
            (Rejection::TokenMissing, Code::Unauthenticated, "TOKEN_MISSING"),
            (Rejection::TokenInvalid, Code::Unauthenticated, "TOKEN_INVALID"),
            (Rejection::TokenExpired, Code::Unauthenticated, "TOKEN_EXPIRED"),
            (Rejection::TokenRevoked, Code::Unauthenticated, "TOKEN_REVOKED"),
            (Rejection::TokenKeyRevoked, Code::Unauthenticated, "TOKEN_KEY_REVOKED"),
            (Rejection::InsufficientScope("notes.read"), Code::PermissionDenied, "INSUFFICIENT_SCOPE"),
            (Rejection::NotReady, Code::Unavailable, "VERIFIER_NOT_READY"),
            (Rejection::Stale, Code::Unavailable, "VERIFIER_STALE"),
            (Rejection::ServiceCredentialInvalid, Code::Unauthenticated, "SERVICE_CREDENTIAL_INVALID"),
            (Rejection::UnknownMethod, Code::Unimplemented, "METHOD_UNKNOWN"),
        ] {
            let status = rejection.clone().into_status("notes-service");
            let details = status.get_error_details();
            let info = details.error_info().expect("an ErrorInfo");
            assert_eq!((status.code(), info.reason.as_str(), info.domain.as_str()), (code, reason, "notes-service"));
            assert_eq!(rejection.reason(), reason);
            assert_eq!(status.metadata().contains_key("www-authenticate"), code == Code::Unauthenticated, "{reason}");
            assert_eq!(details.retry_info().is_some(), code == Code::Unavailable, "{reason}");
        }
    }
}
