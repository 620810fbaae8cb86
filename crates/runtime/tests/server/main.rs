//! What the server of every service promises, seen from outside: by bytes on its sockets, its log and its settings.

#![expect(unreachable_pub, reason = "in a test binary nothing is reachable from outside")]

mod toy;
mod wire;

// Connections.
mod connections;
mod http2;
mod tls;

// Calls.
mod deadlines;
mod overload;
mod refusals;

// Who else asks.
mod browser;
mod health;
mod operations;
mod reflection;

// The life of a process.
mod drain;
mod log;
mod settings;
