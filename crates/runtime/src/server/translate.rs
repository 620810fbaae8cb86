//! The libraries' own refusals in our words: a code that says whose fault it is, a reason, and no library's text.

use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};

use crate::status::Refusal;

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const DETAILS: &str = "grpc-status-details-bin";

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
        // tonic says INTERNAL of an answer that it cannot encode, and of every request that it cannot decode.
        Code::Internal if is_about("Error encoding") || is_about("Error compressing") => {
            tracing::error!("an answer could not be encoded");
            Refusal::internal(domain).into_status()
        }
        // A request body that broke off is UNKNOWN.
        Code::Internal | Code::Unknown => malformed(domain),
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
            tracing::error!(code = ?code, "a status without a reason");
            Refusal::internal(domain).into_status()
        }
    }
}

/// UNAVAILABLE `DRAINING`, for streams that are open when the service stops.
pub(super) fn draining(domain: &'static str) -> Status {
    Refusal::new(domain, Code::Unavailable, "DRAINING", "the service is stopping, try again").into_status()
}
