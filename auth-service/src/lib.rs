//! Who you are.

mod crypto;
pub mod domain;
mod repository;
