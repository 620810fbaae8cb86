//! The trace id of a call: the caller's (W3C Trace Context `traceparent`) or a new one. It stands in the access line, in
//! the `x-trace-id` header of every answer and in the details of INTERNAL.

use std::fmt;

use http::HeaderMap;
use uuid::Uuid;

/// The header of every answer that carries the call's trace id.
pub const TRACE_ID_HEADER: http::HeaderName = http::HeaderName::from_static("x-trace-id");

tokio::task_local! {
    static CURRENT: TraceId;
}

/// 32 lower-case hexadecimal digits, not all zero (W3C Trace Context §3.2.2.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// The trace that the caller says this call belongs to, or a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        headers.get("traceparent").and_then(|value| Self::from_parent(value.as_bytes())).unwrap_or_else(Self::new)
    }

    /// The trace id of the call that this task works for, if it works for one.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|id| *id).ok()
    }

    /// Runs `call` as work of this trace.
    pub(crate) fn scope<F: Future>(self, call: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, call)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits")
    }

    fn new() -> Self {
        let mut digits = [0; 32];
        Uuid::new_v4().simple().encode_lower(&mut digits);
        Self(digits)
    }

    /// `00-{trace id}-{parent id}-{flags}`; later versions may append more.
    fn from_parent(value: &[u8]) -> Option<Self> {
        let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        if value.len() < 55 || value.len() > 512 || value[2] != b'-' || value[35] != b'-' || value[52] != b'-' {
            return None;
        }
        if !value[..2].iter().all(is_hex) || &value[..2] == b"ff" || !value[36..52].iter().all(is_hex) {
            return None;
        }
        let digits: [u8; 32] = value[3..35].try_into().ok()?;
        (digits.iter().all(is_hex) && digits != [b'0'; 32]).then_some(Self(digits))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_taken_from_a_good_parent_only() {
        let good = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (parent, taken) in [
            (format!("00-{good}-00f067aa0ba902b7-01"), true),
            (format!("01-{good}-00f067aa0ba902b7-01-more"), true),
            (format!("ff-{good}-00f067aa0ba902b7-01"), false),
            (format!("00-{}-00f067aa0ba902b7-01", good.to_uppercase()), false),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), false),
            (format!("00-{good}-00f067aa0ba902b7"), false),
            (good.to_owned(), false),
            (String::new(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", parent.parse().expect("a header"));
            assert_eq!(TraceId::of(&headers).as_str() == good, taken, "{parent}");
        }
        assert_ne!(TraceId::of(&HeaderMap::new()), TraceId::of(&HeaderMap::new()));
    }
}
