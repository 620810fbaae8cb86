//! An error and what caused it, in one line for the log.

use std::error::Error;
use std::fmt;

/// Shows an error and its causes, each by `Display`: the debug form of a driver's error can hold values of a row.
///
/// A cause that the words before it end with is left out, for many an error quotes its source itself.
pub struct Causes<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        formatter.write_str(&said)?;
        for cause in std::iter::successors(self.0.source(), |cause| (*cause).source()) {
            let cause = cause.to_string();
            if !said.ends_with(&cause) {
                write!(formatter, ": {cause}")?;
                said = cause;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    #[track_caller]
    fn check(texts: &[&'static str], expected: &str) {
        let chain = texts.iter().rev().fold(None, |source, text| Some(Box::new(Link { text, source })));
        assert_eq!(Causes(&*chain.expect("one at least")).to_string(), expected);
    }

    #[test]
    fn every_cause_is_named_once() {
        check(&["down"], "down");
        check(&["down", "refused"], "down: refused");
        check(&["down", "cannot connect: refused", "refused"], "down: cannot connect: refused");
        check(&["down", "cannot connect", "refused", "refused"], "down: cannot connect: refused");
    }
}
