//! Registration, login and the caller's own account.

use std::time::Duration;

use proto::auth::v1::RegisterRequest;
use tonic_types::StatusExt as _;

use crate::harness::actor::PASSWORD;
use crate::harness::assert::assert_refused;
use crate::harness::raw;
use crate::harness::stack::Stack;

#[tokio::test]
async fn a_registered_person_logs_in_and_sees_the_account() {
    let stack = Stack::start().await;
    let mut visitor = stack.visitor().await;
    let request = RegisterRequest {
        email: "Ada.Lovelace@Example.COM".into(),
        password: PASSWORD.into(),
        display_name: "Ada".into(),
    };
    let registered = visitor.auth.register(request).await.expect("registered").into_inner().account.expect("account");

    assert!(registered.name.starts_with("accounts/"));
    assert_eq!(registered.email, "Ada.Lovelace@Example.COM", "kept as it was typed");
    assert_eq!(registered.display_name, "Ada");
    assert!(!registered.email_verified);
    assert!(registered.last_login_time.is_none());

    let login = visitor.login("ada.lovelace@example.com", PASSWORD).await.expect("logged in, in another spelling");
    assert_eq!(login.account.expect("account").name, registered.name);
    let (session, tokens) = (login.session.expect("session"), login.tokens.expect("tokens"));
    assert!(session.name.starts_with("sessions/"));
    assert_eq!(session.auth_methods, ["pwd"]);
    assert_eq!(session.ip_prefix, "127.0.0.0/24");
    assert_eq!(tokens.token_type, "Bearer");
    assert!(tokens.access_token.len() <= 1_200, "{} bytes", tokens.access_token.len());
}

#[tokio::test]
async fn get_account_is_the_account_of_the_token() {
    let stack = Stack::start().await;
    let (alice, bob) = (stack.register("alice").await, stack.register("bob").await);
    assert_eq!(alice.account().await.expect("hers").email, "alice@example.com");
    assert_eq!(bob.account().await.expect("his").email, "bob@example.com");
    assert!(alice.account().await.expect("hers").last_login_time.is_some());
}

#[tokio::test]
async fn an_address_registers_once_in_whatever_spelling() {
    let stack = Stack::start().await;
    let mut visitor = stack.visitor().await;
    visitor.register("straße@example.com", PASSWORD).await.expect_err("a local part beyond ASCII is switched off");
    visitor.register("alice@Straße.example", PASSWORD).await.expect("registered");
    for same in ["alice@Straße.example", "ALICE@STRASSE.EXAMPLE", "alice@strasse.example"] {
        assert_refused(visitor.register(same, PASSWORD).await, "ALREADY_EXISTS EMAIL_TAKEN");
    }
    visitor.register("alice2@strasse.example", PASSWORD).await.expect("another address");
}

#[tokio::test]
async fn of_many_registrations_of_one_address_at_once_one_succeeds() {
    let stack = Stack::start().await;
    let visitor = stack.visitor().await;
    let attempts = (0..8).map(|n| {
        let mut visitor = visitor.clone();
        let email = if n % 2 == 0 { "eve@example.com" } else { "EVE@example.com" };
        async move { visitor.register(email, PASSWORD).await }
    });
    let outcomes: Vec<_> = futures_util::future::join_all(attempts)
        .await
        .into_iter()
        .map(|result| result.map_or_else(|status| raw::outcome(&status), |_| "OK".to_owned()))
        .collect();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "OK").count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "ALREADY_EXISTS EMAIL_TAKEN").count(), 7, "{outcomes:?}");
}

#[tokio::test]
async fn everything_wrong_with_a_registration_is_said_at_once() {
    let stack = Stack::start().await;
    let mut visitor = stack.visitor().await;
    let request =
        RegisterRequest { email: "no address".into(), password: "short".into(), display_name: "x".repeat(101) };
    let status = visitor.auth.register(request).await.expect_err("three violations");
    assert_eq!(raw::outcome(&status), "INVALID_ARGUMENT FIELD_INVALID");
    let violations = status.get_details_bad_request().expect("violations").field_violations;
    let mut fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    fields.sort_unstable();
    fields.dedup();
    assert_eq!(fields, ["display_name", "email", "password"]);
    assert!(!format!("{status:?}").contains("no address"), "the value is not repeated");
}

#[tokio::test]
async fn bad_passwords_are_refused_before_they_are_hashed() {
    let stack = Stack::start().await;
    let mut visitor = stack.visitor().await;
    for (password, why) in [
        ("fourteen chars", "14 code points"),
        ("passwordpassword", "common"),
        ("alice in wonderland", "holds the local part"),
        (&"x".repeat(1_025), "more than 1,024 bytes"),
        ("", "empty"),
    ] {
        let result = visitor.register("alice@example.com", password).await;
        let status = result.expect_err(why);
        assert_eq!(raw::outcome(&status), "INVALID_ARGUMENT FIELD_INVALID", "{why}");
    }
    visitor.register("alice@example.com", "fifteen chars!!").await.expect("15 code points are enough");
    visitor.register("long@example.com", &"ab c".repeat(256)).await.expect("1,024 bytes are allowed");
}

#[tokio::test]
async fn spaces_and_every_script_count_in_a_password_and_nothing_is_cut() {
    let stack = Stack::start().await;
    let mut visitor = stack.visitor().await;
    let password = format!("  {} ⛵ пароль ", "z".repeat(300));
    visitor.register("carol@example.com", &password).await.expect("registered");
    visitor.login("carol@example.com", &password).await.expect("the same password");
    assert_refused(visitor.login("carol@example.com", password.trim()).await, "UNAUTHENTICATED CREDENTIALS_INVALID");
    assert_refused(
        visitor.login("carol@example.com", &password.replacen('z', "y", 1)).await,
        "UNAUTHENTICATED CREDENTIALS_INVALID",
    );
}

#[tokio::test]
async fn a_composed_and_a_decomposed_password_are_one() {
    let stack = Stack::start().await;
    let mut visitor = stack.visitor().await;
    visitor.register("zoe@example.com", "Zo\u{eb} counts her sheep").await.expect("registered");
    visitor.login("zoe@example.com", "Zoe\u{308} counts her sheep").await.expect("NFKC makes them one");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_one_answer() {
    use prost::Message as _;
    use proto::auth::v1::LoginRequest;
    let stack = Stack::start().await;
    stack.register("alice").await;
    let login = async |email: &str| {
        let request =
            LoginRequest { email: email.into(), password: "not the password at all".into(), ..Default::default() };
        raw::grpc(stack.auth.address(), "/auth.v1.AuthService/Login", None, &request.encode_to_vec()).await
    };
    let (wrong, unknown) = (login("alice@example.com").await, login("nobody@example.com").await);
    assert_eq!(wrong.outcome(), "UNAUTHENTICATED CREDENTIALS_INVALID");
    assert_eq!(wrong.fingerprint(), unknown.fingerprint());
}

#[tokio::test]
async fn a_full_password_queue_answers_at_once_with_retry_advice() {
    let settings = [("AUTH_SERVICE_PASSWORD_HASH_PERMITS", "1"), ("AUTH_SERVICE_PASSWORD_HASH_QUEUE", "1")];
    let stack = Stack::start_with(&settings, &[]).await;
    let visitor = stack.visitor().await;
    let attempts = (0..16).map(|_| {
        let mut visitor = visitor.clone();
        async move { visitor.login("nobody@example.com", PASSWORD).await.expect_err("no such account") }
    });
    let refused: Vec<_> = futures_util::future::join_all(attempts).await;
    let full = refused.iter().find(|status| raw::outcome(status) == "RESOURCE_EXHAUSTED PASSWORD_QUEUE_FULL");
    let retry = full.expect("sixteen at once do not fit").get_details_retry_info().expect("RetryInfo");
    assert!(retry.retry_delay.expect("a delay") > Duration::ZERO);
    assert!(refused.iter().any(|status| raw::outcome(status) == "UNAUTHENTICATED CREDENTIALS_INVALID"));
}
