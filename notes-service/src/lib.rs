//! notes-service: the private notes of whoever an access token speaks for.
//!
//! A call goes down once and comes back once: [`rpc`] translates the contract, [`app`] has one file per use case,
//! [`repository`] stores, and [`domain`] has the rules, pure. [`crypto`] seals page tokens. [`config`] has every setting,
//! and [`NotesService`] wires them.
//!
//! Begin with [`domain`] for what a note is, with [`repository`] for how one owner's notes are kept from all others, and
//! with `proto/notes/v1` for the contract. What is not here: how tokens are verified (`authn`), how a server listens and
//! how a store is opened (`runtime`), and anything about accounts: an owner is the subject of a token and nothing else.

pub mod app;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod repository;
pub mod rpc;
mod service;
#[cfg(test)]
mod testing;

pub use service::NotesService;
