//! How long a call may take: the caller's `grpc-timeout`, and never longer than the server says.

use std::time::Duration;

use http::HeaderMap;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    In(Duration),
    /// The caller gave no time at all: nothing is begun.
    Passed,
    Malformed,
}

/// The deadline of a call with these headers.
///
/// Source: gRPC over HTTP/2, "Timeout": at most eight digits and a unit.
pub(super) fn deadline(headers: &HeaderMap, most: Duration) -> Deadline {
    let Some(value) = headers.get("grpc-timeout") else {
        return Deadline::In(most);
    };
    match value.to_str().ok().and_then(parse) {
        Some(Duration::ZERO) => Deadline::Passed,
        Some(asked) => Deadline::In(asked.min(most)),
        None => Deadline::Malformed,
    }
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_of_the_callers_and_the_servers_time_wins() {
        const MOST: Duration = Duration::from_secs(10);
        for (value, expected) in [
            (None, Deadline::In(MOST)),
            (Some("1S"), Deadline::In(Duration::from_secs(1))),
            (Some("250m"), Deadline::In(Duration::from_millis(250))),
            (Some("99999999H"), Deadline::In(MOST)),
            (Some("0n"), Deadline::Passed),
            (Some("00000000S"), Deadline::Passed),
            (Some("1n"), Deadline::In(Duration::from_nanos(1))),
            (Some("123456789m"), Deadline::Malformed),
            (Some("-1S"), Deadline::Malformed),
            (Some("1"), Deadline::Malformed),
            (Some("S"), Deadline::Malformed),
            (Some(""), Deadline::Malformed),
            (Some("1 S"), Deadline::Malformed),
            (Some("1s"), Deadline::Malformed),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert("grpc-timeout", value.parse().expect("a header"));
            }
            assert_eq!(deadline(&headers, MOST), expected, "{value:?}");
        }
    }
}
