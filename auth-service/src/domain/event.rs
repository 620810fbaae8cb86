use super::{AccountId, Generation, Reuse, RevokeReason, SessionKey};

/// A fact about somebody's security, named by the OWASP Logging Vocabulary where that has a word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityEvent {
    /// An account was made.
    AccountCreated(AccountId),
    /// A password was accepted and a session began.
    LoginSucceeded(SessionKey),
    /// A login was refused; the account is absent if the address is nobody's.
    LoginFailed(Option<AccountId>, LoginFailure),
    /// A session yielded the tokens of this generation.
    TokenCreated(SessionKey, Generation),
    /// The answer with the tokens of this generation was lost, so they were issued again.
    ResponseLost(SessionKey, Generation),
    /// A spent refresh token of this generation came back.
    TokenReused(SessionKey, Generation, Reuse),
    /// A refresh token of this generation is newer than its session, so the store was set back.
    TokenAhead(SessionKey, Generation),
    /// A session was ended by decision.
    TokenRevoked(SessionKey, RevokeReason),
    /// That many sessions of an account were ended at once.
    SessionsRevoked(AccountId, RevokeReason, u64),
    /// The password of somebody who is signed in was refused.
    PasswordRefused(AccountId),
    /// A password was changed.
    PasswordChanged(AccountId),
    /// An account was changed by its owner.
    AccountUpdated(AccountId),
    /// An account was deleted by its owner.
    AccountDeleted(AccountId),
    /// A password could not be looked at because too many others waited.
    PasswordQueueFull,
}

/// Why a login was refused. The caller never learns which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFailure {
    /// The address is nobody's.
    UnknownEmail,
    /// The password is another.
    WrongPassword,
    /// The account is switched off.
    AccountDisabled,
    /// The account was changed while its password was looked at.
    AccountChanged,
}

impl SecurityEvent {
    /// Its name.
    ///
    /// Source: OWASP Logging Vocabulary Cheat Sheet.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AccountCreated(_) => "user_created",
            Self::LoginSucceeded(_) => "authn_login_success",
            Self::LoginFailed(..) => "authn_login_fail",
            Self::TokenCreated(..) => "authn_token_created",
            Self::ResponseLost(..) => "authn_token_reissued",
            Self::TokenReused(..) => "authn_token_reuse",
            Self::TokenAhead(..) => "authn_token_ahead",
            Self::TokenRevoked(..) | Self::SessionsRevoked(..) => "authn_token_revoked",
            Self::PasswordRefused(_) => "authn_password_refused",
            Self::PasswordChanged(_) => "authn_password_change",
            Self::AccountUpdated(_) => "user_updated",
            Self::AccountDeleted(_) => "user_deleted",
            Self::PasswordQueueFull => "excess_rate_limit_exceeded",
        }
    }
}

impl LoginFailure {
    /// Its name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownEmail => "unknown_email",
            Self::WrongPassword => "wrong_password",
            Self::AccountDisabled => "account_disabled",
            Self::AccountChanged => "account_changed",
        }
    }
}
