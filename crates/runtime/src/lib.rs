//! What every server needs that is nobody's business logic.
//!
//! A program begins in [`command`], reads its settings with [`config`], and hands its gRPC services to [`server`], which
//! puts every layer and every limit in its place (`server/stack.rs` shows the order on one screen). [`database`] opens
//! the store on SQLite or PostgreSQL; [`batch`] and [`detached`] are what its users need beside it, [`kept_secret`] what
//! an embedded store keeps beside its file. [`status`] is the
//! one way to refuse a call.
//!
//! What is deliberately not here: anything that knows what a service is for.

pub mod batch;
mod causes;
pub mod command;
pub mod config;
pub mod database;
pub mod detached;
pub mod kept_secret;
pub mod server;
pub mod status;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;

pub use self::causes::Causes;
