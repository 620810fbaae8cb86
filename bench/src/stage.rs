//! The stage: both services and the echo as processes, people with notes, and runs of calls against them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::load::{self, Outcome, Script, Until};
use crate::program::Program;
use crate::scene::{self, Person};
use crate::watch::{self, Watched};

const CREATE_NOTE: &str = "/notes.v1.NotesService/CreateNote";

/// A method that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// GetNote of the bare server.
    Echo,
    /// GetNote, another note with each call.
    GetNote,
    /// ListNotes, the first page of 20.
    ListNotes,
    /// ListNotes, the first page of the one person that has very many notes.
    FirstPage,
    /// ListNotes, that person's 2,000th page.
    DeepPage,
    /// CreateNote.
    CreateNote,
    /// RefreshToken, each client rotating a session of its own.
    RefreshToken,
    /// Login with the right password.
    Login,
    /// Login with a wrong password for an account that does not exist.
    GuessPassword,
}

/// How many clients send how many calls, all together, over how many connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) connections: usize,
    pub(crate) calls: usize,
}

/// What one run of calls yielded.
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    /// Processor time of the called program for each call.
    pub(crate) processor: Duration,
}

/// The services and the echo, running.
pub(crate) struct Stage {
    programs: PathBuf,
    folder: PathBuf,
    runtime: tokio::runtime::Runtime,
    echo: Program,
    pub(crate) auth: Program,
    pub(crate) notes: Program,
    people: Vec<Person>,
    /// The page token of the first person's 2,000th page; empty until there are so many notes.
    deep_page: String,
}

impl Stage {
    /// Starts the programs that lie in `programs`, with stores in `folder`, and returns when they are ready.
    ///
    /// # Errors
    /// If one of them does not start.
    pub(crate) fn start(programs: &Path, folder: &Path) -> Result<Self, Failure> {
        let auth = start_auth(programs, folder)?;
        let notes = start_notes(programs, folder, &auth)?;
        let echo = Program::start(&programs.join("bench"), &["echo"], folder, &[], &["echo"])?;
        auth.await_ready()?;
        notes.await_ready()?;
        let (programs, folder) = (programs.to_owned(), folder.to_owned());
        Ok(Self {
            programs,
            folder,
            runtime: crate::runtime()?,
            echo,
            auth,
            notes,
            people: Vec::new(),
            deep_page: String::new(),
        })
    }

    /// Registers people and makes notes for each.
    ///
    /// # Errors
    /// If the services refuse.
    pub(crate) fn populate(&mut self, people: usize, notes_each: usize) -> Result<(), Failure> {
        let (auth, notes) = (self.auth.address("auth"), self.notes.address("notes"));
        self.people = self.runtime.block_on(scene::populate(auth, notes, people, notes_each))?;
        Ok(())
    }

    /// Gives everybody a new session, so that no token expires while it is measured.
    ///
    /// # Errors
    /// If the service refuses.
    pub(crate) fn log_in_again(&mut self) -> Result<(), Failure> {
        self.runtime.block_on(scene::log_in_again(self.auth.address("auth"), &mut self.people))
    }

    /// Makes notes of the first person until there are 2,000 pages.
    ///
    /// # Errors
    /// If the service refuses.
    pub(crate) fn write_many_notes(&mut self) -> Result<(), Failure> {
        let call = self.people[0].create_note();
        let clients = 50;
        let scripts = (0..clients).map(|_| repeat(call.clone())).collect();
        let address = self.notes.address("notes");
        load::run(address, CREATE_NOTE, 2, scripts, &Until::Calls(scene::DEEP / clients + 1))?;
        self.deep_page = self.runtime.block_on(scene::deep_page(address, &self.people[0]))?;
        Ok(())
    }

    /// Sends a fixed number of calls.
    ///
    /// # Errors
    /// If a connection fails or a call is refused.
    pub(crate) fn run(&self, method: Method, load: Load) -> Result<Run, Failure> {
        let program = self.program(method);
        let before = program.processor_time()?;
        let until = Until::Calls(load.calls / load.clients);
        let outcome = self.send(method, load, &until)?;
        if !outcome.refused.is_empty() {
            return Err(format!("{method:?} was refused (status: times): {:?}", outcome.refused).into());
        }
        let processor = (program.processor_time()? - before) / u32::try_from(outcome.latencies.len())?;
        Ok(Run { outcome, processor })
    }

    /// Sends calls, whatever is answered.
    ///
    /// # Errors
    /// If a connection fails.
    pub(crate) fn send(&self, method: Method, load: Load, until: &Until) -> Result<Outcome, Failure> {
        let scripts = (0..load.clients).map(|client| self.script(method, client)).collect();
        let (listener, path) = match method {
            Method::Echo => ("echo", "/notes.v1.NotesService/GetNote"),
            Method::GetNote => ("notes", "/notes.v1.NotesService/GetNote"),
            Method::ListNotes | Method::FirstPage | Method::DeepPage => ("notes", "/notes.v1.NotesService/ListNotes"),
            Method::CreateNote => ("notes", CREATE_NOTE),
            Method::RefreshToken => ("auth", "/auth.v1.AuthService/RefreshToken"),
            Method::Login | Method::GuessPassword => ("auth", "/auth.v1.AuthService/Login"),
        };
        load::run(self.program(method).address(listener), path, load.connections, scripts, until)
    }

    /// Opens streams that watch, and has each of some writes seen by one of them.
    ///
    /// # Errors
    /// If the service refuses.
    pub(crate) fn watch(&self, streams: usize, writes: usize) -> Result<Watched, Failure> {
        self.runtime.block_on(watch::measure(&self.notes, &self.people, streams, writes))
    }

    /// Stops the notes service, starts it on the store that it left, and returns how long it took from its start until
    /// it was ready.
    ///
    /// # Errors
    /// If it does not stop or start.
    pub(crate) fn restart_notes(&mut self) -> Result<Duration, Failure> {
        self.notes.stop()?;
        let begin = Instant::now();
        self.notes = start_notes(&self.programs, &self.folder, &self.auth)?;
        self.notes.await_ready()?;
        Ok(begin.elapsed())
    }

    /// Likewise the auth service. It listens on another port then, where the notes service does not look for keys.
    ///
    /// # Errors
    /// If it does not stop or start.
    pub(crate) fn restart_auth(&mut self) -> Result<Duration, Failure> {
        self.auth.stop()?;
        let begin = Instant::now();
        self.auth = start_auth(&self.programs, &self.folder)?;
        self.auth.await_ready()?;
        Ok(begin.elapsed())
    }

    fn program(&self, method: Method) -> &Program {
        match method {
            Method::Echo => &self.echo,
            Method::GetNote | Method::ListNotes | Method::FirstPage | Method::DeepPage | Method::CreateNote => {
                &self.notes
            }
            Method::RefreshToken | Method::Login | Method::GuessPassword => &self.auth,
        }
    }

    fn script(&self, method: Method, client: usize) -> Script {
        let mut person = self.people[client % self.people.len()].clone();
        // A client of its own begins elsewhere in the notes.
        let mut index = client;
        match method {
            Method::Echo | Method::GetNote => Box::new(move |_| {
                index += 1;
                person.get_note(index)
            }),
            Method::ListNotes => repeat(person.list_notes("")),
            Method::FirstPage => repeat(self.people[0].list_notes("")),
            Method::DeepPage => repeat(self.people[0].list_notes(&self.deep_page)),
            Method::CreateNote => repeat(person.create_note()),
            Method::Login => repeat(person.log_in()),
            Method::GuessPassword => repeat(scene::guess_password(client)),
            Method::RefreshToken => Box::new(move |answer| {
                person.take_tokens(answer);
                person.refresh()
            }),
        }
    }
}

fn repeat(call: load::Call) -> Script {
    Box::new(move |_| call.clone())
}

fn start_auth(programs: &Path, folder: &Path) -> Result<Program, Failure> {
    let environment = [
        ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
        ("AUTH_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0"),
        // Within the grace a session rotates four times at most, which here would be measured in place of the work.
        ("AUTH_SERVICE_SESSION_REUSE_GRACE", "0s"),
    ];
    let folder = folder.join("auth");
    std::fs::create_dir_all(&folder)?;
    Program::start(&programs.join("auth-service"), &[], &folder, &environment, &["auth", "operations"])
}

fn start_notes(programs: &Path, folder: &Path, auth: &Program) -> Result<Program, Failure> {
    let keys = format!("http://{}/.well-known/jwks.json", auth.address("auth"));
    let environment = [
        ("NOTES_SERVICE_LISTEN", "127.0.0.1:0"),
        ("NOTES_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0"),
        ("NOTES_SERVICE_TRUST_JWKS_URL", &keys),
        // A few people stand for many.
        ("NOTES_SERVICE_WATCH_STREAMS_PER_OWNER", "1000"),
    ];
    let folder = folder.join("notes");
    std::fs::create_dir_all(&folder)?;
    Program::start(&programs.join("notes-service"), &[], &folder, &environment, &["notes", "operations"])
}
