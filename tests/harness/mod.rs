//! What the specifications are written with: a [`stack`] to start, [`actor`]s to speak, [`raw`] bytes to look at.

pub mod actor;
pub mod assert;
pub mod copy;
pub mod descriptors;
pub mod process;
pub mod raw;
pub mod stack;
