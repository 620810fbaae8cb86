//! The limits that the contracts state are those that the code keeps.

use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};

use super::convert::MAX_TOKEN_BYTES;
use crate::config::{DEFAULT_MIN_PASSWORD_LENGTH, MAX_REQUEST_BYTES};
use crate::domain::{
    MAX_EMAIL_BYTES, MAX_LINE_CODE_POINTS, MAX_PASSWORD_BYTES, MAX_REFRESH_TOKEN_BYTES, MAX_USER_AGENT_BYTES,
};

/// Numbers of a file descriptor's fields, of which source paths are made (descriptor.proto).
const MESSAGES: i32 = 4;
const FIELDS: i32 = 2;
const SERVICES: i32 = 6;

fn files() -> Vec<FileDescriptorProto> {
    FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).expect("encoded by the build").file
}

fn comment_at(file: &FileDescriptorProto, path: &[i32]) -> String {
    let info = file.source_code_info.as_ref().expect("the build keeps comments");
    let location = info.location.iter().find(|location| location.path == path).expect("every element has a place");
    location.leading_comments().split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn position<T>(list: &[T], is_it: impl Fn(&T) -> bool) -> i32 {
    let position = list.iter().position(is_it).expect("the contract has it");
    i32::try_from(position).expect("contracts are short")
}

/// The comment of a field of `auth.v1`, in lower case.
fn comment(message: &str, field: &str) -> String {
    let files = files();
    let has = |file: &FileDescriptorProto| file.message_type.iter().any(|candidate| candidate.name() == message);
    let file = files.iter().find(|file| file.package() == "auth.v1" && has(file)).expect("the contract has it");
    let index = position(&file.message_type, |candidate: &DescriptorProto| candidate.name() == message);
    let message = &file.message_type[usize::try_from(index).expect("not negative")];
    comment_at(file, &[MESSAGES, index, FIELDS, position(&message.field, |candidate| candidate.name() == field)])
}

#[track_caller]
fn check(message: &str, field: &str, phrase: &str) {
    let comment = comment(message, field);
    assert!(comment.contains(phrase), "{message}.{field} says {comment:?}, and not {phrase:?}");
}

fn thousands(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}

#[test]
fn every_limit_in_the_contracts_is_the_one_that_is_kept() {
    let bytes = |limit| format!("at most {} bytes", thousands(limit));
    let line = format!("0 to {MAX_LINE_CODE_POINTS} code points");
    for (message, field) in [("Account", "email"), ("RegisterRequest", "email"), ("LoginRequest", "email")] {
        check(message, field, &bytes(MAX_EMAIL_BYTES));
    }
    for (message, field) in [("RegisterRequest", "password"), ("LoginRequest", "password")] {
        check(message, field, &bytes(MAX_PASSWORD_BYTES));
    }
    for field in ["current_password", "new_password"] {
        check("ChangePasswordRequest", field, &bytes(MAX_PASSWORD_BYTES));
    }
    check("DeleteAccountRequest", "password", &bytes(MAX_PASSWORD_BYTES));
    check("ChangePasswordRequest", "new_password", &format!("at least {DEFAULT_MIN_PASSWORD_LENGTH} code points"));
    check("RegisterRequest", "password", &format!("at least {DEFAULT_MIN_PASSWORD_LENGTH} code points"));
    for (message, field) in [
        ("Account", "display_name"),
        ("RegisterRequest", "display_name"),
        ("LoginRequest", "client_label"),
        ("Session", "client_label"),
    ] {
        check(message, field, &line);
    }
    for message in ["RefreshTokenRequest", "LogoutRequest", "TokenPair"] {
        check(message, "refresh_token", &bytes(MAX_REFRESH_TOKEN_BYTES));
    }
    check("VerifyTokenRequest", "token", &bytes(MAX_TOKEN_BYTES));
    check("Session", "user_agent", &bytes(MAX_USER_AGENT_BYTES));
}

#[test]
fn the_size_of_requests_is_the_one_that_is_kept() {
    let files = files();
    let named = |file: &&FileDescriptorProto| file.service.iter().any(|service| service.name() == "AuthService");
    let file = files.iter().find(named).expect("the contract has it");
    let index = position(&file.service, |service| service.name() == "AuthService");
    let comment = comment_at(file, &[SERVICES, index]);
    assert!(comment.contains(&format!("limited to {} kib", MAX_REQUEST_BYTES / 1024)), "{comment}");
}
