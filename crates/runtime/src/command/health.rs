//! The `health` subcommand: what a container's health check runs. It asks the operations listener, which speaks plain
//! HTTP whatever the listener for calls speaks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::BoxError;

/// Longest time for the whole question.
const WITHIN: Duration = Duration::from_secs(2);

/// Asks the process whose operations listener is at `address`.
pub(super) async fn ask(mut address: SocketAddr, path: &str) -> Result<(), BoxError> {
    if address.ip().is_unspecified() {
        let v4 = address.is_ipv4();
        address.set_ip(if v4 { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) });
    }
    let asked = tokio::time::timeout(WITHIN, get(address, path)).await;
    let status = asked.map_err(|_| format!("{address} does not answer"))??;
    if status.is_success() { Ok(()) } else { Err(format!("{path} answers {status}").into()) }
}

async fn get(address: SocketAddr, path: &str) -> Result<http::StatusCode, BoxError> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("{address} cannot be reached: {error}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", address.to_string()).body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?.status())
}
