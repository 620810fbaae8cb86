//! What every server needs that is nobody's business logic.

pub mod command;
pub mod config;
pub mod database;
pub mod server;
pub mod status;
