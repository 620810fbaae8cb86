//! Begun.
pub mod domain;
pub mod repository;
