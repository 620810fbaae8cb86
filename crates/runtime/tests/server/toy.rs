//! A toy service behind the real server, set up as a user would: by settings.
//!
//! It speaks the contract of notes.v1, but each method shows one behaviour: GetNote echoes, CreateNote waits for the
//! gate, UpdateNote returns what it was given, DeleteNote panics, UndeleteNote says the words of a library, ListNotes
//! wants a token.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use authn::testing::TestIssuer;
use authn::{AccessPolicy, Clock, Rule};
use axum::routing::get;
use proto::notes::v1::notes_service_server::{NotesService, NotesServiceServer};
use proto::notes::v1::{
    BatchCreateNotesRequest, BatchCreateNotesResponse, BatchDeleteNotesRequest, BatchDeleteNotesResponse,
    BatchGetNotesRequest, BatchGetNotesResponse, BatchUpdateNotesRequest, BatchUpdateNotesResponse, CreateNoteRequest,
    DeleteNoteRequest, EmptyTrashRequest, EmptyTrashResponse, ExpungeNoteRequest, GetNoteRequest,
    GetNoteRevisionRequest, GetUsageRequest, ListNoteChangesRequest, ListNoteChangesResponse, ListNoteRevisionsRequest,
    ListNoteRevisionsResponse, ListNotesRequest, ListNotesResponse, Note, NoteRevision, RollbackNoteRequest,
    SearchNotesRequest, SearchNotesResponse, UndeleteNoteRequest, UpdateNoteRequest, Usage, WatchNotesRequest,
    WatchNotesResponse,
};
use runtime::config::Reader;
use runtime::server::{Check, PeerAddress, Server, ServerConfig, Services};
use runtime::status::Refusal;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::{Code, Request, Response, Status};

pub const SERVICE: &str = "notes.v1.NotesService";
pub const ECHO: &str = "/notes.v1.NotesService/GetNote";
pub const WAIT: &str = "/notes.v1.NotesService/CreateNote";
pub const RETURN: &str = "/notes.v1.NotesService/UpdateNote";
pub const PANIC: &str = "/notes.v1.NotesService/DeleteNote";
pub const LIBRARY: &str = "/notes.v1.NotesService/UndeleteNote";
pub const GUARDED: &str = "/notes.v1.NotesService/ListNotes";

/// In `ErrorInfo.domain` of every refusal.
pub const DOMAIN: &str = "toy-service";
/// What only a handler that ran to its panic could have said.
pub const PANIC_TEXT: &str = "the handler's own words";
/// How long anything that a test waits for may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What happens inside the handler that waits.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    Begun,
    Finished,
    Dropped,
}

/// The running toy.
pub struct Toy {
    pub address: SocketAddr,
    pub operations: SocketAddr,
    events: mpsc::UnboundedReceiver<Event>,
    gate: Arc<Semaphore>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Behaviours {
    events: mpsc::UnboundedSender<Event>,
    gate: Arc<Semaphore>,
}

/// Says that the handler was dropped, unless it has finished.
struct Guard(mpsc::UnboundedSender<Event>, bool);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send(if self.1 { Event::Finished } else { Event::Dropped }).ok();
    }
}

impl Toy {
    /// Starts with these settings: `("LIMITS_CALL_DEADLINE", "200ms")`.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_with(settings, Vec::new()).await
    }

    /// Starts with these checks of its readiness, too.
    pub async fn start_with(settings: &[(&str, &str)], checks: Vec<Check>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let config = read(settings).expect("the settings of a test are good");
        let behaviours = Behaviours { events: sender, gate: Arc::clone(&gate) };
        let server = bound(config, behaviours, checks).await.expect("bound");
        let (address, operations) = (server.local_addr(), server.operations_addr());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(async {
            stopped.await.ok();
        }));
        Self { address, operations, events, gate, stop: Some(stop), serving }
    }

    /// The next thing that happens in the handler that waits.
    pub async fn event(&mut self) -> Event {
        within(self.events.recv()).await.expect("the toy lives")
    }

    /// Whether the handler that waits has nothing more to tell.
    pub fn is_quiet(&mut self) -> bool {
        self.events.try_recv().is_err()
    }

    /// Lets one waiting call go on.
    pub fn open_gate(&self) {
        self.gate.add_permits(1);
    }

    /// What SIGTERM does.
    pub fn begin_stop(&mut self) {
        self.stop.take().expect("told once").send(()).expect("it serves");
    }

    /// Waits until it serves no longer.
    pub async fn stopped(self) {
        within(self.serving).await.expect("serving does not panic");
    }
}

/// The result, if it comes in reasonable time.
#[track_caller]
pub fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("nothing came, awaited at {caller}"))
    }
}

/// The settings of a listener, as a user gives them, on ports that the system chooses.
pub fn read(settings: &[(&str, &str)]) -> Result<ServerConfig, String> {
    let ports = [("LISTEN", "127.0.0.1:0"), ("OPERATIONS_LISTEN", "127.0.0.1:0")];
    let environment = ports.iter().chain(settings).map(|(name, value)| (format!("TOY_{name}"), (*value).to_owned()));
    let mut reader = Reader::new("TOY", None, environment).map_err(|error| error.to_string())?;
    let config = ServerConfig::read(&mut reader, "127.0.0.1:50060", 64 * 1_024);
    reader.finish().map(|()| config).map_err(|error| error.to_string())
}

/// Binds a toy and lets it go again.
pub async fn bind(settings: &[(&str, &str)]) -> Result<(), String> {
    let behaviours = Behaviours { events: mpsc::unbounded_channel().0, gate: Arc::new(Semaphore::new(0)) };
    bound(read(settings)?, behaviours, Vec::new()).await.map(drop).map_err(|error| error.to_string())
}

async fn bound(config: ServerConfig, behaviours: Behaviours, checks: Vec<Check>) -> std::io::Result<Server> {
    let http = router(behaviours.clone());
    let service = NotesServiceServer::new(behaviours).max_decoding_message_size(config.max_request_bytes);
    let services = Services {
        domain: DOMAIN,
        grpc: tonic::service::Routes::new(service),
        names: vec![SERVICE],
        http,
        policy: policy(),
        verifier: issuer().verifier(Clock::system()),
        checks,
        statements: None,
    };
    Server::bind(config, services).await
}

/// A token for [`GUARDED`].
pub fn token() -> String {
    let mut claims = issuer().claims(Clock::system().now());
    claims.scope = "notes.read".to_owned();
    issuer().sign(&claims)
}

fn issuer() -> TestIssuer {
    TestIssuer::new("https://issuer.example", "toy")
}

fn policy() -> AccessPolicy {
    let public = [ECHO, WAIT, RETURN, PANIC, LIBRARY].map(|path| (path, Rule::Public));
    AccessPolicy::new(public.into_iter().chain([(GUARDED, Rule::Scope("notes.read"))]))
}

fn router(behaviours: Behaviours) -> axum::Router {
    let wait = async move || {
        behaviours.wait().await;
        "waited"
    };
    axum::Router::new()
        .route("/hello", get(async || "hello"))
        .route("/wait", get(wait))
        .route("/panic", get(async || -> &'static str { panic!("{PANIC_TEXT}") }))
}

impl Behaviours {
    async fn wait(&self) {
        let mut guard = Guard(self.events.clone(), false);
        self.events.send(Event::Begun).ok();
        self.gate.acquire().await.expect("never closed").forget();
        guard.1 = true;
    }
}

#[tonic::async_trait]
impl NotesService for Behaviours {
    async fn get_note(&self, request: Request<GetNoteRequest>) -> Result<Response<Note>, Status> {
        let peer = request.extensions().get::<PeerAddress>().expect("every request has a peer").0;
        let name = request.into_inner().name;
        Ok(Response::new(Note { name, content: peer.to_string(), ..Note::default() }))
    }

    async fn create_note(&self, request: Request<CreateNoteRequest>) -> Result<Response<Note>, Status> {
        self.wait().await;
        Ok(Response::new(request.into_inner().note.unwrap_or_default()))
    }

    async fn update_note(&self, request: Request<UpdateNoteRequest>) -> Result<Response<Note>, Status> {
        Ok(Response::new(request.into_inner().note.unwrap_or_default()))
    }

    async fn expunge_note(&self, _request: Request<ExpungeNoteRequest>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }

    async fn empty_trash(&self, _request: Request<EmptyTrashRequest>) -> Result<Response<EmptyTrashResponse>, Status> {
        Ok(Response::new(EmptyTrashResponse::default()))
    }

    async fn batch_get_notes(
        &self,
        _request: Request<BatchGetNotesRequest>,
    ) -> Result<Response<BatchGetNotesResponse>, Status> {
        Ok(Response::new(BatchGetNotesResponse::default()))
    }

    async fn batch_create_notes(
        &self,
        _request: Request<BatchCreateNotesRequest>,
    ) -> Result<Response<BatchCreateNotesResponse>, Status> {
        Ok(Response::new(BatchCreateNotesResponse::default()))
    }

    async fn batch_update_notes(
        &self,
        _request: Request<BatchUpdateNotesRequest>,
    ) -> Result<Response<BatchUpdateNotesResponse>, Status> {
        Ok(Response::new(BatchUpdateNotesResponse::default()))
    }

    async fn batch_delete_notes(
        &self,
        _request: Request<BatchDeleteNotesRequest>,
    ) -> Result<Response<BatchDeleteNotesResponse>, Status> {
        Ok(Response::new(BatchDeleteNotesResponse::default()))
    }

    async fn list_note_changes(
        &self,
        _request: Request<ListNoteChangesRequest>,
    ) -> Result<Response<ListNoteChangesResponse>, Status> {
        Ok(Response::new(ListNoteChangesResponse::default()))
    }

    type WatchNotesStream = futures_util::stream::Empty<Result<WatchNotesResponse, Status>>;

    async fn watch_notes(
        &self,
        _request: Request<WatchNotesRequest>,
    ) -> Result<Response<Self::WatchNotesStream>, Status> {
        Ok(Response::new(futures_util::stream::empty()))
    }

    async fn list_note_revisions(
        &self,
        _request: Request<ListNoteRevisionsRequest>,
    ) -> Result<Response<ListNoteRevisionsResponse>, Status> {
        Ok(Response::new(ListNoteRevisionsResponse::default()))
    }

    async fn get_note_revision(
        &self,
        _request: Request<GetNoteRevisionRequest>,
    ) -> Result<Response<NoteRevision>, Status> {
        Ok(Response::new(NoteRevision::default()))
    }

    async fn rollback_note(&self, _request: Request<RollbackNoteRequest>) -> Result<Response<Note>, Status> {
        Ok(Response::new(Note::default()))
    }

    async fn get_usage(&self, _request: Request<GetUsageRequest>) -> Result<Response<Usage>, Status> {
        Ok(Response::new(Usage::default()))
    }

    async fn delete_note(&self, request: Request<DeleteNoteRequest>) -> Result<Response<Note>, Status> {
        panic!("{PANIC_TEXT} and {}", request.into_inner().name)
    }

    /// The name is the number of a code; with `reason` in front the status is one of ours.
    async fn undelete_note(&self, request: Request<UndeleteNoteRequest>) -> Result<Response<Note>, Status> {
        let name = request.into_inner().name;
        let code = Code::from(name.trim_start_matches("reason").parse::<i32>().expect("a number"));
        if name.starts_with("reason") {
            return Err(Refusal::new(DOMAIN, code, "OF_THE_SERVICE", "words for the caller").into_status());
        }
        Err(Status::new(code, "h2::lib::Error at /root/.cargo"))
    }

    async fn list_notes(&self, _request: Request<ListNotesRequest>) -> Result<Response<ListNotesResponse>, Status> {
        Ok(Response::new(ListNotesResponse { next_page_token: "read".to_owned(), ..Default::default() }))
    }

    async fn search_notes(
        &self,
        _request: Request<SearchNotesRequest>,
    ) -> Result<Response<SearchNotesResponse>, Status> {
        Ok(Response::new(SearchNotesResponse::default()))
    }
}
