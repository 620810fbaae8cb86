//! The contract on one side, the use cases on the other.

#[cfg(test)]
mod contract;
mod convert;
mod notes;
mod status;

pub use notes::Notes;
pub use status::DOMAIN;
