//! The libraries' own refusals in our words: a code that says whose fault it is, a reason, and no library's text.

use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};

use crate::status::Refusal;

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const DETAILS: &str = "grpc-status-details-bin";
/// How tonic's refusals of a request that it cannot read begin.
const UNREADABLE: [&str; 5] =
    ["failed to decode Protobuf message", "protocol error", "Unexpected EOF", "tonic-web", "trailers"];

/// Translates the status in the headers or trailers of an answer; `None` if there is none.
pub(super) fn headers(headers: &mut HeaderMap, domain: &'static str) -> Option<Code> {
    let code = Code::from_bytes(headers.get(STATUS)?.as_bytes());
    if code == Code::Ok || headers.contains_key(DETAILS) {
        return Some(code);
    }
    let status = Status::from_header_map(headers).unwrap_or_else(|| Status::new(code, ""));
    Some(replace(headers, &refusal(&status, domain)))
}

/// The answer to a status that ended a stream.
pub(super) fn trailers(status: Status, domain: &'static str) -> (HeaderMap, Code) {
    let status = if status.details().is_empty() { refusal(&status, domain) } else { status };
    let mut trailers = HeaderMap::new();
    let code = replace(&mut trailers, &status);
    (trailers, code)
}

/// INVALID_ARGUMENT `MALFORMED_REQUEST`: what was sent is no request at all.
pub(super) fn malformed(domain: &'static str) -> Status {
    Refusal::new(domain, Code::InvalidArgument, "MALFORMED_REQUEST", "the request is malformed").into_status()
}

/// UNIMPLEMENTED `MESSAGE_COUNT`: every method takes exactly one message.
pub(super) fn wrong_count(domain: &'static str) -> Status {
    Refusal::new(domain, Code::Unimplemented, "MESSAGE_COUNT", "the method takes exactly one message").into_status()
}

fn replace(headers: &mut HeaderMap, status: &Status) -> Code {
    for name in [STATUS, MESSAGE, DETAILS] {
        headers.remove(name);
    }
    if status.add_header(headers).is_err() {
        headers.insert(STATUS, HeaderValue::from_static("13"));
    }
    status.code()
}

fn refusal(status: &Status, domain: &'static str) -> Status {
    let new = |code, reason, message| Refusal::new(domain, code, reason, message).into_status();
    let is_about = |word| status.message().contains(word);
    match status.code() {
        Code::Internal if is_about("Missing request message") => wrong_count(domain),
        // tonic says INTERNAL of every request that it cannot read; a request body that broke off is UNKNOWN.
        Code::Internal if UNREADABLE.iter().any(|words| is_about(words)) => malformed(domain),
        Code::Unknown => malformed(domain),
        Code::OutOfRange => {
            new(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", "the message is larger than this service accepts")
        }
        Code::Unimplemented if is_about("ompress") => {
            new(Code::Unimplemented, "ENCODING_UNSUPPORTED", "compressed messages are not accepted")
        }
        Code::Unimplemented => new(Code::Unimplemented, "METHOD_UNKNOWN", "no such method"),
        // Of the health service.
        Code::NotFound => new(Code::NotFound, "SERVICE_UNKNOWN", "no such service"),
        Code::Cancelled => new(Code::Cancelled, "CANCELLED", "the call was cancelled"),
        Code::DeadlineExceeded => {
            new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline of the call has passed")
        }
        Code::Unavailable => new(Code::Unavailable, "DRAINING", "the service is stopping, try again"),
        code => {
            // The text is a library's: of an answer that it cannot write, for one.
            tracing::error!(code = ?code, "a status without a reason");
            Refusal::internal(domain).into_status()
        }
    }
}

/// UNAVAILABLE `DRAINING`, for streams that are open when the service stops.
pub(super) fn draining(domain: &'static str) -> Status {
    Refusal::new(domain, Code::Unavailable, "DRAINING", "the service is stopping, try again").into_status()
}
