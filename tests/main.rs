//! Both services started together, seen from outside. Read the modules in this order; their tests are the
//! specification of what the system promises.
//!
//! The suite runs on SQLite, and on PostgreSQL when `TEST_POSTGRES_URL` names a cluster: see `run.sh`.

#![expect(unreachable_pub, reason = "in a test binary nothing is reachable from outside")]

mod harness;

// The story.
mod accounts;
mod batch;
mod filters;
mod history;
mod lists;
mod notes;
mod revocation;
mod search;
mod sessions;
mod sign_out;
mod signing_keys;
mod sync;
mod tags;
mod trash;
mod validate_only;
mod watch;

// What holds for every RPC.
mod access;
mod bad_input;
mod foreign_ids;
mod limits;
mod tokens;

// From outside.
mod authctl;
mod browser;
mod crashes;
mod operations;
mod programs;
mod readme;

// The sources themselves.
mod containers;
mod layering;
mod supply_chain;
