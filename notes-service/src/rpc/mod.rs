//! The contract on one side, the use cases on the other.

#[cfg(test)]
mod contract;
mod convert;
mod notes;
mod status;
mod tags;

pub use notes::Notes;
pub use status::DOMAIN;
pub use tags::Tags;

use authn::{RequestExt as _, Subject};
use proto::notes::v1::{notes_service_server, tag_service_server};
use tonic::{Request, Status};

/// Every service here, by its full name.
pub const SERVICES: [&str; 2] = [notes_service_server::SERVICE_NAME, tag_service_server::SERVICE_NAME];

fn caller<T>(request: &Request<T>) -> Result<Subject, Status> {
    request.subject().map_err(|rejection| rejection.into_status(DOMAIN))
}
