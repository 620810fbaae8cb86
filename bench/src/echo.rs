//! The measure of the other rows: a bare tonic server that answers GetNote with a note out of its hand, with the settings
//! that tonic comes with.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use proto::notes::v1::{GetNoteRequest, Note};
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::Failure;
use crate::scene;

/// Takes a free port of the loopback interface.
///
/// # Errors
/// If there is none.
pub(crate) async fn bind() -> std::io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await
}

/// Serves for ever.
///
/// # Errors
/// If the listener fails.
pub(crate) async fn serve(listener: TcpListener) -> Result<(), Failure> {
    let incoming = TcpListenerStream::new(listener).map(|stream| {
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    });
    let echo = Echo(Arc::new(scene::stored_note()));
    Server::builder().add_service(echo).serve_with_incoming(incoming).await?;
    Ok(())
}

/// The whole process: says where it listens, as the services do, and serves.
///
/// # Errors
/// As [`bind`] and [`serve`].
#[expect(clippy::print_stdout, reason = "the line that whoever started this process waits for")]
pub(crate) async fn main() -> Result<(), Failure> {
    let listener = bind().await?;
    println!("{{\"message\":\"listening {}\",\"listener\":\"echo\"}}", listener.local_addr()?);
    serve(listener).await
}

/// Written by hand, since the generated server wants every method of the contract: it does for its one method what the
/// generated one does.
#[derive(Clone)]
struct Echo(Arc<Note>);

impl NamedService for Echo {
    const NAME: &'static str = "notes.v1.NotesService";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let get_note = GetNote(Arc::clone(&self.0));
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(get_note, request).await) })
    }
}

struct GetNote(Arc<Note>);

impl UnaryService<GetNoteRequest> for GetNote {
    type Response = Note;
    type Future = Ready<Result<Response<Note>, Status>>;

    fn call(&mut self, request: Request<GetNoteRequest>) -> Self::Future {
        let mut note = Note::clone(&self.0);
        note.name = request.into_inner().name;
        ready(Ok(Response::new(note)))
    }
}
