use tonic::Status;

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
    /// No such method.
    #[error("no such method")]
    UnknownMethod,
}

impl Rejection {
    /// The machine-readable reason.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        todo!()
    }

    /// The answer to the caller; `domain` is the service that answers.
    #[must_use]
    pub fn into_status(self, _domain: &str) -> Status {
        todo!()
    }
}
