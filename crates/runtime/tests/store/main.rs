//! What the store promises. On SQLite, or on the server that `TEST_POSTGRES_URL` names (`tests/postgres.sh run …`).

mod child;
mod file;
mod migrations;
mod outage;
mod schema;
mod server;
mod vanished;
mod work;
mod written;
