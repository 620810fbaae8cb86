//! The rules of accounts and sessions: values that are valid because they exist, and decisions without side effects.

mod access_token;
mod account;
mod audit;
mod email;
mod event;
mod line;
mod origin;
mod password;
mod refresh_token;
mod revocation;
mod rotation;
mod session;
mod signing_key;
mod trust_log;

pub use access_token::AccessGrant;
pub use account::{Account, AccountChange, AccountId, AccountState, ChangedAccount, DisplayName, Revision};
pub use audit::{AuditFilter, AuditRecord, Tally};
pub use email::{Email, EmailKey, EmailRules, EmailViolation};
pub use event::{LoginFailure, SecurityEvent};
pub use line::{LineViolation, MAX_LINE_CODE_POINTS};
pub use origin::{MAX_USER_AGENT_BYTES, Origin};
pub use password::{
    LEAST_MIN_CODE_POINTS, MAX_PASSWORD_BYTES, Password, PasswordHash, PasswordRules, PasswordViolation,
    PresentedPassword,
};
pub use refresh_token::{HeaderCheck, Mac, MalformedToken, PresentedToken, RefreshToken, TokenHeader};
pub use revocation::{MAX_ACCESS_TOKEN_TTL, Revocation};
pub use rotation::{REMEMBERED_ROTATIONS, Reuse, Rotation, RotationTimes};
pub use session::{ClientLabel, Generation, Nonce, RevokeReason, Session, SessionKey, SessionLimits};
pub use signing_key::{KeyId, KeyRecord, KeyRefusal, KeyRules, KeySet, KeyWish, PublicHalf, SealedKey, Upcoming};
pub use trust_log::{
    KeyState, LoggedRevocation, MOST_IN_A_CHANGE, TooFarBehind, TrustChange, TrustCursor, TrustKey, TrustLog,
    TrustLogBounds,
};

/// Longest e-mail address, in bytes (RFC 5321 §4.5.3.1.3, less the angle brackets).
pub const MAX_EMAIL_BYTES: usize = email::MAX_BYTES;
/// Longest refresh token that is looked at, in bytes; a real one has 114.
pub const MAX_REFRESH_TOKEN_BYTES: usize = refresh_token::MAX_BYTES;
