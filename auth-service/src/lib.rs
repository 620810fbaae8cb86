//! Who you are.

pub mod domain;
