use authn::SessionId;

use super::{AccountId, Generation, KeyId, Reuse, RevokeReason, SessionKey};

/// A fact about somebody's security, named by the OWASP Logging Vocabulary where that has a word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// An account was switched off by an operator.
    AccountDisabled(AccountId),
    /// An account was switched on again by an operator.
    AccountEnabled(AccountId),
    /// A signing key was made and is published.
    KeyCreated(KeyId),
    /// A signing key signs from now on.
    KeyActivated(KeyId),
    /// A signing key signs no more, and its private half is destroyed.
    KeyRetired(KeyId),
    /// The tokens of a signing key are refused, and its private half is destroyed.
    KeyRevoked(KeyId),
    /// A password could not be looked at because too many others waited.
    PasswordQueueFull,
    /// More was refused within a minute than the audit keeps one by one.
    AuditOverflow,
}

/// Why a login was refused. The caller never learns which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Every name there is, in the order of the alphabet.
    pub const NAMES: [&str; 20] = [
        "audit_overflow",
        "authn_login_fail",
        "authn_login_success",
        "authn_password_change",
        "authn_password_refused",
        "authn_token_ahead",
        "authn_token_created",
        "authn_token_reissued",
        "authn_token_reuse",
        "authn_token_revoked",
        "excess_rate_limit_exceeded",
        "signing_key_activated",
        "signing_key_created",
        "signing_key_retired",
        "signing_key_revoked",
        "user_created",
        "user_deleted",
        "user_disabled",
        "user_enabled",
        "user_updated",
    ];

    /// Its name.
    ///
    /// Source: OWASP Logging Vocabulary Cheat Sheet, but for `audit_overflow`, `authn_password_refused`,
    /// `authn_token_ahead`, `authn_token_reissued`, `signing_key_…`, `user_disabled` and `user_enabled`, for which it has
    /// no word.
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
            Self::AccountDisabled(_) => "user_disabled",
            Self::AccountEnabled(_) => "user_enabled",
            Self::KeyCreated(_) => "signing_key_created",
            Self::KeyActivated(_) => "signing_key_activated",
            Self::KeyRetired(_) => "signing_key_retired",
            Self::KeyRevoked(_) => "signing_key_revoked",
            Self::PasswordQueueFull => "excess_rate_limit_exceeded",
            Self::AuditOverflow => "audit_overflow",
        }
    }

    /// The account that it is about.
    #[must_use]
    pub const fn account(&self) -> Option<AccountId> {
        match self {
            Self::AccountCreated(account)
            | Self::SessionsRevoked(account, ..)
            | Self::PasswordRefused(account)
            | Self::PasswordChanged(account)
            | Self::AccountUpdated(account)
            | Self::AccountDeleted(account)
            | Self::AccountDisabled(account)
            | Self::AccountEnabled(account) => Some(*account),
            Self::LoginSucceeded(key)
            | Self::TokenCreated(key, _)
            | Self::ResponseLost(key, _)
            | Self::TokenReused(key, ..)
            | Self::TokenAhead(key, _)
            | Self::TokenRevoked(key, _) => Some(key.account),
            Self::LoginFailed(account, _) => *account,
            Self::KeyCreated(_)
            | Self::KeyActivated(_)
            | Self::KeyRetired(_)
            | Self::KeyRevoked(_)
            | Self::PasswordQueueFull
            | Self::AuditOverflow => None,
        }
    }

    /// The signing key that it is about, if it is about one.
    #[must_use]
    pub const fn key(&self) -> Option<KeyId> {
        match self {
            Self::KeyCreated(id) | Self::KeyActivated(id) | Self::KeyRetired(id) | Self::KeyRevoked(id) => Some(*id),
            _ => None,
        }
    }

    /// The session that it is about, if it is about one.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        match self {
            Self::LoginSucceeded(key)
            | Self::TokenCreated(key, _)
            | Self::ResponseLost(key, _)
            | Self::TokenReused(key, ..)
            | Self::TokenAhead(key, _)
            | Self::TokenRevoked(key, _) => Some(key.session),
            _ => None,
        }
    }

    /// The generation of the tokens that it is about.
    #[must_use]
    pub const fn generation(&self) -> Option<Generation> {
        match self {
            Self::TokenCreated(_, generation)
            | Self::ResponseLost(_, generation)
            | Self::TokenReused(_, generation, _)
            | Self::TokenAhead(_, generation) => Some(*generation),
            _ => None,
        }
    }

    /// Why it happened.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::LoginFailed(_, failure) => Some(failure.name()),
            Self::TokenReused(_, _, reuse) => Some(reuse.name()),
            Self::TokenRevoked(_, reason) | Self::SessionsRevoked(_, reason, _) => Some(reason.name()),
            _ => None,
        }
    }

    /// How many sessions were ended at once.
    #[must_use]
    pub const fn sessions(&self) -> Option<u64> {
        match self {
            Self::SessionsRevoked(_, _, sessions) => Some(*sessions),
            _ => None,
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
