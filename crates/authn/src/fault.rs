use crate::Rejection;
use crate::trust::Refused;

/// Which check a token failed. For the debug log: outside, all but two look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no keys have come")]
    NoKeys,
    #[error("longer than 4 KiB")]
    TooLong,
    #[error("not three parts")]
    NotThreeParts,
    #[error("not canonical base64url")]
    NotBase64,
    #[error("the header is no strict JSON object of the right types")]
    HeaderNotStrictJson,
    #[error("alg is not RS256")]
    OtherAlgorithm,
    #[error("typ is not at+jwt")]
    OtherType,
    #[error("crit, b64 or zip in the header")]
    ExtendedHeader,
    #[error("kid is missing or no key id")]
    NoKeyId,
    #[error("revocations are too old")]
    Stale,
    #[error("the key was revoked")]
    RevokedKey,
    #[error("kid is unknown")]
    UnknownKey,
    #[error("the signature is wrong")]
    WrongSignature,
    #[error("the claims are no strict JSON object of the right types, or one is missing")]
    ClaimsNotStrictJson,
    #[error("iss is another")]
    OtherIssuer,
    #[error("aud does not contain this service")]
    OtherAudience,
    #[error("exp has passed")]
    Expired,
    #[error("nbf or iat is in the future")]
    NotYetValid,
    #[error("exp - iat is longer than accepted, or negative")]
    LivesTooLong,
    #[error("the session or the account's version was revoked")]
    Revoked,
    #[error("everything issued so early was revoked")]
    IssuedTooEarly,
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Revoked => Self::Revoked,
            Refused::TooOld => Self::IssuedTooEarly,
        }
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoKeys => Self::NotReady,
            Fault::Stale => Self::Stale,
            // Sessions live on, so a client is told what makes it refresh.
            Fault::Expired | Fault::IssuedTooEarly => Self::TokenExpired,
            Fault::RevokedKey => Self::TokenKeyRevoked,
            Fault::Revoked => Self::TokenRevoked,
            Fault::TooLong
            | Fault::NotThreeParts
            | Fault::NotBase64
            | Fault::HeaderNotStrictJson
            | Fault::OtherAlgorithm
            | Fault::OtherType
            | Fault::ExtendedHeader
            | Fault::NoKeyId
            | Fault::UnknownKey
            | Fault::WrongSignature
            | Fault::ClaimsNotStrictJson
            | Fault::OtherIssuer
            | Fault::OtherAudience
            | Fault::NotYetValid
            | Fault::LivesTooLong => Self::TokenInvalid,
        }
    }
}
