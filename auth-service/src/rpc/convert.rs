//! Messages to domain values and back. All violations of a request are collected, with the paths of their fields and
//! never their values.

use std::net::IpAddr;
use std::time::SystemTime;

use authn::SessionId;
use prost_types::Timestamp;
use proto::auth::v1::{
    Account as AccountMessage, LoginRequest, RegisterRequest, Session as SessionMessage, SigningKey, TokenPair,
    TokenType, VerifyTokenResponse,
};
use runtime::server::PeerAddress;
use runtime::status::FieldViolation;
use tonic::Request;

use crate::app::{ActiveToken, LoginAttempt, NewAccount, Tokens};
use crate::crypto::PublicJwk;
use crate::domain::{
    Account, AccountId, ClientLabel, DisplayName, Email, EmailRules, EmailViolation, LineViolation, MAX_EMAIL_BYTES,
    MAX_LINE_CODE_POINTS, MAX_PASSWORD_BYTES, MAX_REFRESH_TOKEN_BYTES, Origin, Password, PasswordRules,
    PasswordViolation, PresentedPassword, Session, SessionKey,
};

/// Longest token that VerifyToken looks at, in bytes.
pub(super) const MAX_TOKEN_BYTES: usize = 4096;

pub(super) type Violations = Vec<FieldViolation>;

/// What the operator allows in a registration.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Of addresses.
    pub(crate) email: EmailRules,
    /// Of passwords.
    pub(crate) password: PasswordRules,
}

pub(super) fn new_account(request: &RegisterRequest, rules: &Rules) -> Result<NewAccount, Violations> {
    let mut violations = Violations::new();
    let email = keep(&mut violations, "email", Email::parse(&request.email, rules.email), email_rule);
    let password = match Password::choose(&request.password, &rules.password, email.as_ref()) {
        Ok(password) => Some(password),
        Err(broken) => {
            violations.extend(broken.into_iter().map(|rule| violation("password", password_rule(rule))));
            None
        }
    };
    let display_name = keep(&mut violations, "display_name", DisplayName::parse(&request.display_name), line_rule);
    match (email, password, display_name) {
        (Some(email), Some(password), Some(display_name)) => Ok(NewAccount { email, password, display_name }),
        _ => Err(violations),
    }
}

pub(super) fn login_attempt(request: &LoginRequest, origin: Origin) -> Result<LoginAttempt, Violations> {
    let mut violations = Violations::new();
    // Whatever may be registered today: the address may have been registered under other rules.
    let email = keep(&mut violations, "email", Email::parse(&request.email, EmailRules::AnyLocalPart), email_rule);
    let password = keep(&mut violations, "password", PresentedPassword::parse(&request.password), password_rule);
    let client_label = keep(&mut violations, "client_label", ClientLabel::parse(&request.client_label), line_rule);
    match (email, password, client_label) {
        (Some(email), Some(password), Some(client_label)) => Ok(LoginAttempt { email, password, client_label, origin }),
        _ => Err(violations),
    }
}

pub(super) fn refresh_token(token: &str) -> Result<&str, Violations> {
    present_and_short("refresh_token", token, MAX_REFRESH_TOKEN_BYTES)
}

pub(super) fn any_token(token: &str) -> Result<&str, Violations> {
    present_and_short("token", token, MAX_TOKEN_BYTES)
}

/// Where a call came from.
pub(super) fn origin<T>(request: &Request<T>) -> Origin {
    let user_agent = request.metadata().get("user-agent").map(|value| String::from_utf8_lossy(value.as_bytes()));
    let address: Option<IpAddr> = request.extensions().get::<PeerAddress>().map(|peer| peer.0.ip());
    Origin::new(&user_agent.unwrap_or_default(), address)
}

pub(super) fn account(account: Account) -> AccountMessage {
    AccountMessage {
        name: account_name(account.id),
        etag: account.etag(),
        email: account.email,
        display_name: account.display_name.as_str().to_owned(),
        email_verified: account.email_verified,
        roles: account.roles,
        create_time: timestamp(account.created_at),
        update_time: timestamp(account.updated_at),
        last_login_time: account.last_login_at.and_then(timestamp),
    }
}

/// The session of the caller.
pub(super) fn own_session(session: Session) -> SessionMessage {
    let own = session.key;
    self::session(session, own)
}

/// A session of the caller whose own is `own`.
pub(super) fn session(session: Session, own: SessionKey) -> SessionMessage {
    SessionMessage {
        current: session.key == own,
        name: session_name(session.key.session),
        client_label: session.client_label.as_str().to_owned(),
        user_agent: session.origin.user_agent().to_owned(),
        ip_prefix: session.origin.ip_prefix().to_owned(),
        create_time: timestamp(session.created_at),
        last_used_time: timestamp(session.last_used_at),
        expire_time: timestamp(session.ends_at()),
        auth_methods: session.auth_methods,
    }
}

pub(super) fn tokens(tokens: &Tokens) -> TokenPair {
    TokenPair {
        access_token: tokens.access.to_string(),
        access_token_expire_time: timestamp(tokens.access_expires_at),
        refresh_token: tokens.refresh.expose().to_owned(),
        refresh_token_expire_time: timestamp(tokens.refresh_expires_at),
        token_type: "Bearer".to_owned(),
    }
}

pub(super) fn active_token(token: ActiveToken) -> VerifyTokenResponse {
    let (token_type, session, scopes, expires_at) = match token {
        ActiveToken::Access { session, scopes, expires_at } => (TokenType::Access, session, scopes, expires_at),
        ActiveToken::Refresh { session, expires_at } => (TokenType::Refresh, session, Vec::new(), expires_at),
    };
    VerifyTokenResponse {
        active: true,
        token_type: token_type.into(),
        subject: account_name(session.account),
        session: session_name(session.session),
        scopes,
        expire_time: timestamp(expires_at),
    }
}

pub(super) fn signing_key(key: PublicJwk) -> SigningKey {
    SigningKey {
        kid: key.kid,
        kty: key.kty.to_owned(),
        alg: key.alg.to_owned(),
        r#use: key.usage.to_owned(),
        n: key.n,
        e: key.e,
    }
}

pub(super) fn account_name(id: AccountId) -> String {
    format!("accounts/{id}")
}

pub(super) fn session_name(id: SessionId) -> String {
    format!("sessions/{id}")
}

#[expect(clippy::unnecessary_wraps, reason = "every field that holds a time is optional")]
fn timestamp(time: SystemTime) -> Option<Timestamp> {
    Some(Timestamp::from(time))
}

/// The value, or nothing and one more violation.
pub(super) fn keep<T, E>(
    violations: &mut Violations,
    field: &str,
    parsed: Result<T, E>,
    rule: impl FnOnce(E) -> String,
) -> Option<T> {
    parsed.map_err(|broken| violations.push(violation(field, rule(broken)))).ok()
}

fn present_and_short<'a>(field: &str, token: &'a str, max_bytes: usize) -> Result<&'a str, Violations> {
    if token.is_empty() {
        return Err(vec![violation(field, "is required".to_owned())]);
    }
    if token.len() > max_bytes {
        return Err(vec![violation(field, format!("must have at most {max_bytes} bytes"))]);
    }
    Ok(token)
}

pub(super) fn violation(field: &str, description: String) -> FieldViolation {
    FieldViolation { field: field.to_owned(), description }
}

fn email_rule(broken: EmailViolation) -> String {
    match broken {
        EmailViolation::Missing => "is required".to_owned(),
        EmailViolation::TooLong => format!("must have at most {MAX_EMAIL_BYTES} bytes"),
        EmailViolation::Blank => "must not contain white space or control characters".to_owned(),
        EmailViolation::Malformed => "must be an address of the form local@domain".to_owned(),
        EmailViolation::NotAscii => "must be ASCII before the @".to_owned(),
    }
}

pub(super) fn password_rule(broken: PasswordViolation) -> String {
    match broken {
        PasswordViolation::Missing => "is required".to_owned(),
        PasswordViolation::TooLong => format!("must have at most {MAX_PASSWORD_BYTES} bytes"),
        PasswordViolation::TooShort(least) => format!("must have at least {least} code points"),
        PasswordViolation::Common => "must not be a common password".to_owned(),
        PasswordViolation::ContainsEmail => "must not contain the part of the e-mail address before the @".to_owned(),
        PasswordViolation::ContainsServiceName => "must not contain the name of the service".to_owned(),
    }
}

pub(super) fn line_rule(broken: LineViolation) -> String {
    match broken {
        LineViolation::TooLong => format!("must have at most {MAX_LINE_CODE_POINTS} code points"),
        LineViolation::ControlCharacter => "must not contain control characters".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { email: EmailRules::AsciiLocalPart, password: PasswordRules::new(15, &[]) }
    }

    fn paths<T>(result: Result<T, Violations>) -> Vec<String> {
        result.err().unwrap_or_default().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_good_registration_becomes_a_new_account() {
        let request = RegisterRequest {
            email: "alice@example.com".to_owned(),
            password: "a quiet teapot!".to_owned(),
            display_name: "Alice".to_owned(),
        };
        let new = new_account(&request, &rules()).expect("good");
        assert_eq!(new.email.as_typed(), "alice@example.com");
        assert_eq!(new.display_name.as_str(), "Alice");
    }

    #[test]
    fn every_violation_of_a_request_is_told_at_once_and_no_value() {
        let request = RegisterRequest {
            email: "alice example".to_owned(),
            password: "passwordalice".to_owned(),
            display_name: "Al\nice".to_owned(),
        };
        let violations = new_account(&request, &rules()).expect_err("all wrong");
        let told = format!("{violations:?}");
        assert!(!told.contains("alice") && !told.contains("Al\\nice"), "{told}");
        assert_eq!(paths::<()>(Err(violations)), ["email", "password", "display_name"]);
        assert_eq!(paths(new_account(&RegisterRequest::default(), &rules())), ["email", "password"]);
        assert_eq!(paths(login_attempt(&LoginRequest::default(), Origin::default())), ["email", "password"]);
    }

    #[test]
    fn a_login_is_not_held_to_the_rules_for_new_passwords_and_addresses() {
        let request = LoginRequest {
            email: "пример@example.com".to_owned(),
            password: "short".to_owned(),
            client_label: "laptop".to_owned(),
        };
        assert!(login_attempt(&request, Origin::default()).is_ok());
    }

    #[test]
    fn tokens_are_limited_in_size_exactly() {
        assert!(refresh_token(&"x".repeat(MAX_REFRESH_TOKEN_BYTES)).is_ok());
        assert_eq!(paths(refresh_token(&"x".repeat(MAX_REFRESH_TOKEN_BYTES + 1))), ["refresh_token"]);
        assert_eq!(paths(refresh_token("")), ["refresh_token"]);
        assert!(any_token(&"x".repeat(MAX_TOKEN_BYTES)).is_ok());
        assert_eq!(paths(any_token(&"x".repeat(MAX_TOKEN_BYTES + 1))), ["token"]);
    }

    #[test]
    fn the_origin_of_a_call_is_its_user_agent_and_its_network() {
        let mut request = Request::new(());
        request.metadata_mut().insert("user-agent", "grpcurl/1.8".parse().expect("ASCII"));
        request.extensions_mut().insert(PeerAddress("203.0.113.7:4711".parse().expect("an address")));
        let origin = origin(&request);
        assert_eq!((origin.user_agent(), origin.ip_prefix()), ("grpcurl/1.8", "203.0.113.0/24"));
        assert_eq!(super::origin(&Request::new(())), Origin::default());
    }
}
