//! What a caller asks of the own account, as domain values.

use authn::SessionId;
use proto::auth::v1::{ChangePasswordRequest, SignOutScope as ScopeMessage, UpdateAccountRequest};
use uuid::Uuid;

use super::convert::{Rules, Violations, account_name, keep, line_rule, password_rule, session_name, violation};
use crate::app::SignOutScope;
use crate::domain::{AccountChange, AccountId, DisplayName, Email, EmailRules, Password, PresentedPassword, Revision};

/// The paths of an update mask that change something.
const CHANGEABLE: [&str; 2] = ["*", "display_name"];
/// Those that clients may send along, for they send back what they have read (AIP-203).
const OUTPUT_ONLY: [&str; 7] =
    ["name", "email_verified", "roles", "create_time", "update_time", "last_login_time", "etag"];

/// What is to be changed of the account with this id.
pub(super) fn account_change(request: &UpdateAccountRequest, own: AccountId) -> Result<AccountChange, Violations> {
    let mut violations = Violations::new();
    let mask: Vec<_> = request.update_mask.iter().flat_map(|mask| &mask.paths).map(String::as_str).collect();
    if mask.iter().any(|path| !CHANGEABLE.contains(path) && !OUTPUT_ONLY.contains(path)) {
        violations.push(violation("update_mask", format!("must name only {}", CHANGEABLE.join(", "))));
    }
    let Some(account) = &request.account else {
        violations.push(violation("account", "is required".to_owned()));
        return Err(violations);
    };
    if !account.name.is_empty() && account.name != account_name(own) {
        violations.push(violation("account.name", "must be empty or the caller's own".to_owned()));
    }
    let expected = if account.etag.is_empty() {
        None
    } else {
        let parsed = Revision::parse(&account.etag).ok_or(());
        keep(&mut violations, "account.etag", parsed, |()| "must be an etag as it was received".to_owned())
    };
    let named = if mask.is_empty() { !account.display_name.is_empty() } else { names(&mask, "display_name") };
    let display_name = named.then(|| DisplayName::parse(&account.display_name));
    let display_name = display_name.and_then(|name| keep(&mut violations, "account.display_name", name, line_rule));
    if violations.is_empty() { Ok(AccountChange { display_name, expected }) } else { Err(violations) }
}

fn names(mask: &[&str], field: &str) -> bool {
    mask.iter().any(|path| *path == field || *path == "*")
}

/// The password until now and the one from now on, of the account with this address.
pub(super) fn new_password(
    request: &ChangePasswordRequest,
    rules: &Rules,
    email: &str,
) -> Result<(PresentedPassword, Password), Violations> {
    let mut violations = Violations::new();
    let current = PresentedPassword::parse(&request.current_password);
    let current = keep(&mut violations, "current_password", current, password_rule);
    // Whatever may be registered today: the address may have been registered under other rules.
    let email = Email::parse(email, EmailRules::AnyLocalPart).ok();
    match (current, Password::choose(&request.new_password, &rules.password, email.as_ref())) {
        (Some(current), Ok(new)) => Ok((current, new)),
        (_, new) => {
            let broken = new.err().unwrap_or_default();
            violations.extend(broken.into_iter().map(|rule| violation("new_password", password_rule(rule))));
            Err(violations)
        }
    }
}

pub(super) fn presented_password(password: &str) -> Result<PresentedPassword, Violations> {
    PresentedPassword::parse(password).map_err(|broken| vec![violation("password", password_rule(broken))])
}

pub(super) fn session_id(name: &str) -> Result<SessionId, Violations> {
    let id = name.strip_prefix("sessions/").and_then(|id| Uuid::parse_str(id).ok()).map(SessionId::from_uuid);
    // Only the canonical form, so that one session has one name.
    let id = id.filter(|id| session_name(*id) == name);
    id.ok_or_else(|| vec![violation("name", "must have the form sessions/{uuid}".to_owned())])
}

pub(super) fn sign_out_scope(scope: i32) -> Result<SignOutScope, Violations> {
    match ScopeMessage::try_from(scope) {
        Ok(ScopeMessage::Unspecified | ScopeMessage::Local) => Ok(SignOutScope::Local),
        Ok(ScopeMessage::Others) => Ok(SignOutScope::Others),
        Ok(ScopeMessage::Global) => Ok(SignOutScope::Global),
        Err(_) => Err(vec![violation("scope", "must be a value of SignOutScope".to_owned())]),
    }
}

#[cfg(test)]
mod tests {
    use proto::auth::v1::Account as AccountMessage;

    use super::*;
    use crate::domain::PasswordRules;

    fn rules() -> Rules {
        Rules { email: EmailRules::AsciiLocalPart, password: PasswordRules::new(15, &[]) }
    }

    fn paths<T>(result: Result<T, Violations>) -> Vec<String> {
        result.err().unwrap_or_default().into_iter().map(|violation| violation.field).collect()
    }

    fn update(account: AccountMessage, mask: &[&str]) -> Result<AccountChange, Violations> {
        let paths = mask.iter().map(|path| (*path).to_owned()).collect();
        let request =
            UpdateAccountRequest { account: Some(account), update_mask: Some(prost_types::FieldMask { paths }) };
        account_change(&request, AccountId::from_uuid(Uuid::from_u128(1)))
    }

    #[test]
    fn a_mask_chooses_what_is_changed_of_an_account() {
        let named = AccountMessage { display_name: "Ada".to_owned(), ..AccountMessage::default() };
        for (account, mask, changes) in [
            (named.clone(), [].as_slice(), true),
            (AccountMessage::default(), &[], false),
            (AccountMessage::default(), &["display_name"], true),
            (named.clone(), &["*"], true),
            (named, &["update_time", "etag"], false),
        ] {
            assert_eq!(update(account, mask).expect("good").display_name.is_some(), changes, "{mask:?}");
        }
        let bad = AccountMessage {
            name: "accounts/2".to_owned(),
            display_name: "A\nda".to_owned(),
            etag: "1".to_owned(),
            ..AccountMessage::default()
        };
        let expected = ["update_mask", "account.name", "account.etag", "account.display_name"];
        assert_eq!(paths(update(bad, &["*", "email"])), expected);
        let nothing = account_change(&UpdateAccountRequest::default(), AccountId::from_uuid(Uuid::nil()));
        assert_eq!(paths(nothing), ["account"]);
    }

    #[test]
    fn both_passwords_of_a_change_are_looked_at() {
        let request = ChangePasswordRequest {
            current_password: "short is fine".to_owned(),
            new_password: "a quiet teapot!".to_owned(),
        };
        assert!(new_password(&request, &rules(), "alice@example.com").is_ok());
        let refused = new_password(&ChangePasswordRequest::default(), &rules(), "alice@example.com");
        assert_eq!(paths(refused), ["current_password", "new_password"]);
        let telling = ChangePasswordRequest { new_password: "alice in wonderland".to_owned(), ..request };
        assert_eq!(paths(new_password(&telling, &rules(), "alice@example.com")), ["new_password"]);
    }

    #[test]
    fn a_session_has_one_name_and_a_scope_is_one_of_three() {
        let id = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        assert!(session_id(&format!("sessions/{id}")).is_ok());
        for other in ["", id, "sessions/", &format!("sessions/{}", id.to_uppercase()), &format!("accounts/{id}")] {
            assert_eq!(paths(session_id(other)), ["name"], "{other}");
        }
        assert_eq!(sign_out_scope(0), Ok(SignOutScope::Local));
        assert_eq!(sign_out_scope(3), Ok(SignOutScope::Global));
        assert_eq!(paths(sign_out_scope(4)), ["scope"]);
    }
}
