use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Account, Generation, Session, SessionKey};

/// What an access token is to say of its session and account; the signer adds issuer, audience and scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessGrant {
    /// The account and the session.
    pub session: SessionKey,
    /// The generation of the refresh token that it comes with.
    pub generation: Generation,
    /// The account's token version.
    pub account_version: u64,
    /// The account's roles.
    pub roles: Vec<String>,
    /// When the person was last authenticated.
    pub authenticated_at: SystemTime,
    /// How the person was authenticated (RFC 8176).
    pub auth_methods: Vec<String>,
    /// From when it is good, in whole seconds.
    pub issued_at: SystemTime,
    /// Until when it is good, exclusive, in whole seconds.
    pub expires_at: SystemTime,
}

impl AccessGrant {
    /// The grant for a session at this moment: good for `ttl`, and never beyond the end of the session.
    #[must_use]
    pub fn new(account: &Account, session: &Session, ttl: Duration, now: SystemTime) -> Self {
        Self {
            session: session.key,
            generation: session.generation,
            account_version: account.token_version,
            roles: account.roles.clone(),
            authenticated_at: session.authenticated_at,
            auth_methods: session.auth_methods.clone(),
            issued_at: whole_seconds(now),
            expires_at: whole_seconds((now + ttl).min(session.ends_at())),
        }
    }
}

/// Claims count whole seconds (RFC 7519 §2, NumericDate). Rounding down keeps a token inside its session and never
/// lets one begin in the future.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs())
}

#[cfg(test)]
mod tests {
    use authn::SessionId;
    use uuid::Uuid;

    use super::super::{AccountId, AccountState, ClientLabel, DisplayName, Nonce, Origin, SessionLimits};
    use super::*;

    const TTL: Duration = Duration::from_secs(300);

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_800_000_000_900)
    }

    #[track_caller]
    fn check(idle: Duration, absolute: Duration, expected_lifetime: Duration) {
        let id = AccountId::from_uuid(Uuid::from_u128(1));
        let account = Account {
            id,
            email: "alice@example.com".to_owned(),
            display_name: DisplayName::parse("Alice").expect("a name"),
            email_verified: false,
            roles: vec!["editor".to_owned()],
            state: AccountState::Active,
            token_version: 3,
            revision: 1,
            created_at: now(),
            updated_at: now(),
            last_login_at: None,
        };
        let key = SessionKey { account: id, session: SessionId::from_uuid(Uuid::from_u128(2)) };
        let session = Session::begin(
            key,
            Nonce::from_bytes([0; Nonce::BYTES]),
            ClientLabel::parse("").expect("a label"),
            Origin::default(),
            &SessionLimits { idle, absolute, reuse_grace: Duration::ZERO },
            now(),
        );
        let grant = AccessGrant::new(&account, &session, TTL, now());
        assert_eq!(grant.issued_at, UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        assert_eq!(grant.expires_at.duration_since(grant.issued_at).expect("not before"), expected_lifetime);
        assert!(grant.expires_at <= session.ends_at());
        assert_eq!((grant.account_version, grant.roles.as_slice()), (3, ["editor".to_owned()].as_slice()));
    }

    #[test]
    fn a_token_lives_its_time_but_never_longer_than_its_session() {
        let day = Duration::from_secs(86_400);
        check(day, day, TTL);
        check(TTL, day, TTL);
        check(TTL - Duration::from_millis(901), day, TTL - Duration::from_secs(1));
        check(day, Duration::from_secs(10), Duration::from_secs(10));
        check(Duration::from_millis(99), day, Duration::ZERO);
    }
}
