//! What every server needs that is nobody's business logic.

pub mod batch;
pub mod command;
pub mod config;
pub mod database;
pub mod detached;
pub mod server;
pub mod status;
#[cfg(feature = "testing")]
pub mod testing;
