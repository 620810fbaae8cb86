//! The forms of values, and how each is written.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Value;

use super::source::{Given, Text};

/// A value that can be written as TOML.
pub(super) trait Parsed {
    fn to_toml(&self) -> String;
}

/// A size in bytes, written with the largest binary unit that divides it.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Bytes(pub(super) usize);

/// A time span, written with the largest unit that divides it.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Span(pub(super) Duration);

const BYTE_UNITS: [(&str, usize); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 24 * 60 * 60 * 1_000), ("h", 60 * 60 * 1_000), ("m", 60 * 1_000), ("s", 1_000), ("ms", 1)];

pub(super) fn text(given: &Given) -> Result<String, String> {
    let text = match &given.value {
        Text::Environment(text) | Text::File(Value::String(text)) => text.trim().to_owned(),
        Text::File(_) => return Err("must be a text".to_owned()),
    };
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text) }
}

pub(super) fn list(given: &Given) -> Result<Vec<String>, String> {
    let wrong = || "must be a list of texts".to_owned();
    match &given.value {
        Text::Environment(text) => {
            Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }
        Text::File(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Text::File(_) => Err(wrong()),
    }
}

pub(super) fn number(given: &Given) -> Result<u64, String> {
    let number = match &given.value {
        Text::Environment(text) => text.trim().replace('_', "").parse().ok(),
        Text::File(Value::Integer(number)) => u64::try_from(*number).ok(),
        Text::File(_) => None,
    };
    number.ok_or_else(|| "must be a whole number".to_owned())
}

pub(super) fn bytes(given: &Given) -> Result<Bytes, String> {
    if let Ok(number) = number(given) {
        return usize::try_from(number).map(Bytes).map_err(|_| "is too large".to_owned());
    }
    let with_unit = text(given).ok().and_then(|text| {
        let (number, unit) = split_unit(&text)?;
        let (_, size) = BYTE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        usize::try_from(number).ok()?.checked_mul(*size)
    });
    with_unit.map(Bytes).ok_or_else(|| "must be a size such as 65536, 64 KiB or 4 MiB".to_owned())
}

pub(super) fn duration(given: &Given) -> Result<Span, String> {
    let span = text(given).ok().and_then(|text| {
        if text == "0" {
            return Some(0);
        }
        let (number, unit) = split_unit(&text)?;
        let (_, size) = TIME_UNITS.iter().find(|(name, _)| *name == unit)?;
        number.checked_mul(*size)
    });
    let span = span.map(Duration::from_millis).map(Span);
    span.ok_or_else(|| "must be a time span such as 250ms, 10s, 5m, 12h or 30d".to_owned())
}

pub(super) fn flag(given: &Given) -> Result<bool, String> {
    match &given.value {
        Text::Environment(text) if text.trim() == "true" => Ok(true),
        Text::Environment(text) if text.trim() == "false" => Ok(false),
        Text::File(Value::Boolean(flag)) => Ok(*flag),
        _ => Err("must be true or false".to_owned()),
    }
}

pub(super) fn choice(given: &Given, words: &'static [&'static str]) -> Result<&'static str, String> {
    let text = text(given)?;
    words.iter().find(|word| **word == text).copied().ok_or_else(|| format!("must be one of {}", words.join(", ")))
}

pub(super) fn address(given: &Given) -> Result<SocketAddr, String> {
    text(given)?.parse().map_err(|_| "must be an address with a port, such as 127.0.0.1:50051 or [::]:0".to_owned())
}

/// The value, if it lies within the bounds.
pub(super) fn bounded<T: PartialOrd + fmt::Display>(value: T, bounds: &RangeInclusive<T>) -> Result<T, String> {
    if bounds.contains(&value) { Ok(value) } else { Err(format!("must be {} to {}", bounds.start(), bounds.end())) }
}

/// `5 MiB` and `5m` in a number and a unit.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit())?;
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = BYTE_UNITS.iter().find(|(_, size)| self.0.is_multiple_of(*size)).expect("one divides all");
        if self.0 == 0 { formatter.write_str("0 B") } else { write!(formatter, "{} {unit}", self.0 / size) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, size) = TIME_UNITS.iter().find(|(_, size)| millis.is_multiple_of(*size)).expect("one divides all");
        if millis == 0 { formatter.write_str("0s") } else { write!(formatter, "{}{unit}", millis / size) }
    }
}

impl Parsed for Bytes {
    fn to_toml(&self) -> String {
        self.to_string().to_toml()
    }
}

impl Parsed for Span {
    fn to_toml(&self) -> String {
        self.to_string().to_toml()
    }
}

impl Parsed for String {
    fn to_toml(&self) -> String {
        Value::String(self.clone()).to_string()
    }
}

impl Parsed for &'static str {
    fn to_toml(&self) -> String {
        (*self).to_owned().to_toml()
    }
}

impl Parsed for Vec<String> {
    fn to_toml(&self) -> String {
        Value::Array(self.iter().cloned().map(Value::String).collect()).to_string()
    }
}

impl Parsed for u64 {
    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Parsed for bool {
    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Parsed for SocketAddr {
    fn to_toml(&self) -> String {
        self.to_string().to_toml()
    }
}
