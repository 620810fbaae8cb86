//! How soon what is revoked is refused: two auth services on one PostgreSQL store, two notes services that follow one of
//! them each. Something is revoked at the first auth service, by a client or by `authctl`, and from the moment at which
//! that is known to have happened the notes services are asked, without a pause, until they refuse.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hdrhistogram::Histogram;
use proto::auth::v1::account_service_client::AccountServiceClient;
use proto::auth::v1::auth_service_client::AuthServiceClient;
use proto::auth::v1::{
    ChangePasswordRequest, LoginRequest, LogoutRequest, RegisterRequest, RevokeSessionRequest, SignOutRequest,
    SignOutScope, TokenPair,
};
use proto::notes::v1::GetUsageRequest;
use proto::notes::v1::notes_service_client::NotesServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::Failure;
use crate::program::{self, Program};
use crate::scene::channel;

/// The goal for each kind, at the 99th percentile.
const TARGET: Duration = Duration::from_millis(500);
/// A verifier that has not refused by then never will.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of how many trials an operator disables an account in one, with a program of its own.
const DISABLES: usize = 10;
/// Of how many trials an operator revokes the key that signs in one, so that the next one does.
const REVOKES_KEY: usize = 20;
const PASSWORDS: [&str; 2] = ["four cups of bench tea", "five cups of bench tea"];
const CREDENTIAL: &str = "the-credential-of-the-services-of-a-benchmark";

/// What revokes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Logout,
    RevokeSession,
    SignOutEverywhere,
    ChangePassword,
    Disable,
    RevokeKey,
}

const BY_CLIENTS: [Act; 4] = [Act::Logout, Act::RevokeSession, Act::SignOutEverywhere, Act::ChangePassword];
const BY_OPERATORS: [Act; 2] = [Act::Disable, Act::RevokeKey];

/// Everything that runs.
struct Site {
    auth: [Program; 2],
    notes: [Program; 2],
    programs: PathBuf,
    folder: PathBuf,
    /// Of the first auth service, and of `authctl`.
    environment: Vec<(&'static str, String)>,
}

/// Somebody's session.
struct Session {
    name: String,
    tokens: TokenPair,
}

/// Somebody with an account.
struct Person {
    email: String,
    password: usize,
    auth: AuthServiceClient<Channel>,
    account: AccountServiceClient<Channel>,
}

/// What is measured.
#[derive(clap::Args, Debug)]
pub(crate) struct Trials {
    /// An empty database for both auth services: `postgres://…`.
    #[arg(long)]
    postgres: String,
    /// How many revocations.
    #[arg(long, default_value_t = 1_000)]
    trials: usize,
    /// The folder of programs that are built already, to be measured in place of a release build.
    #[arg(long)]
    programs: Option<PathBuf>,
}

/// Measures revocations and prints how long they took to act.
///
/// # Errors
/// If something does not run, or is not refused within half a minute.
pub(crate) fn measure(what: Trials) -> Result<(), Failure> {
    let programs = match what.programs {
        Some(programs) => programs.canonicalize()?,
        None => program::build()?,
    };
    let folder = tempfile::tempdir()?;
    let site = Site::start(&programs, folder.path(), &what.postgres)?;
    let rows = crate::runtime()?.block_on(site.trials(what.trials))?;
    print(&rows);
    Ok(())
}

impl Site {
    fn start(programs: &Path, folder: &Path, postgres: &str) -> Result<Self, Failure> {
        let credential = folder.join("credential");
        let mut private = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&credential)?;
        private.write_all(CREDENTIAL.as_bytes())?;
        let environment = vec![
            ("AUTH_SERVICE_LISTEN", "127.0.0.1:0".to_owned()),
            ("AUTH_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0".to_owned()),
            ("AUTH_SERVICE_INTERNAL_LISTEN", "127.0.0.1:0".to_owned()),
            ("AUTH_SERVICE_INTERNAL_CREDENTIAL_FILE", credential.display().to_string()),
            ("AUTH_SERVICE_DATABASE_URL", postgres.to_owned()),
            ("AUTH_SERVICE_SIGNING_KEYS_ENCRYPTION_KEY", "the key encryption key of a benchmark, of no use".to_owned()),
            ("AUTH_SERVICE_REFRESH_SECRET", "the refresh secret of a benchmark, of no use to anybody".to_owned()),
        ];
        let auth =
            [Self::start_auth(programs, folder, &environment)?, Self::start_auth(programs, folder, &environment)?];
        let mut notes = Vec::new();
        for (index, auth) in auth.iter().enumerate() {
            auth.await_ready()?;
            notes.push(Self::start_notes(programs, &folder.join(format!("notes-{index}")), auth, &credential)?);
        }
        for notes in &notes {
            notes.await_ready()?;
        }
        let notes = notes.try_into().map_err(|_| "two notes services")?;
        Ok(Self { auth, notes, programs: programs.to_owned(), folder: folder.to_owned(), environment })
    }

    fn start_auth(programs: &Path, folder: &Path, environment: &[(&str, String)]) -> Result<Program, Failure> {
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let listeners = ["auth", "operations", "auth-internal"];
        Program::start(&programs.join("auth-service"), &[], folder, &environment, &listeners)
    }

    fn start_notes(programs: &Path, folder: &Path, auth: &Program, credential: &Path) -> Result<Program, Failure> {
        fs::create_dir_all(folder)?;
        let stream = format!("http://{}", auth.address("auth-internal"));
        let credential = credential.display().to_string();
        let environment = [
            ("NOTES_SERVICE_LISTEN", "127.0.0.1:0"),
            ("NOTES_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0"),
            ("NOTES_SERVICE_TRUST_STREAM_URL", &stream),
            ("NOTES_SERVICE_TRUST_STREAM_CREDENTIAL_FILE", &credential),
        ];
        Program::start(&programs.join("notes-service"), &[], folder, &environment, &["notes", "operations"])
    }

    async fn trials(&self, trials: usize) -> Result<Vec<(Act, Histogram<u64>)>, Failure> {
        let mut histograms = Vec::new();
        for act in BY_CLIENTS.into_iter().chain(BY_OPERATORS) {
            histograms.push((act, Histogram::new(3)?));
        }
        let first = self.auth[0].address("auth");
        let verifiers = [self.notes[0].address("notes"), self.notes[1].address("notes")];
        let mut person = Person::register(first, 0).await?;
        for trial in 0..trials {
            let act = match trial {
                _ if trial % DISABLES == 0 => Act::Disable,
                _ if trial % REVOKES_KEY == REVOKES_KEY / 4 => Act::RevokeKey,
                _ => BY_CLIENTS[trial % BY_CLIENTS.len()],
            };
            let took = self.trial(act, &mut person, verifiers).await;
            let took = took.map_err(|failure| format!("trial {trial}, {act:?}: {failure}"))?;
            if act == Act::Disable {
                person = Person::register(first, trial + 1).await?;
            }
            let row = histograms.iter_mut().find(|(known, _)| *known == act).ok_or("an act without a row")?;
            row.1.record(u64::try_from(took.as_micros())?)?;
        }
        Ok(histograms)
    }

    /// The time from the end of the act until the later of both verifiers refuses.
    async fn trial(&self, act: Act, person: &mut Person, verifiers: [SocketAddr; 2]) -> Result<Duration, Failure> {
        let (own, other) = (person.log_in().await?, person.log_in().await?);
        let ended = if act == Act::Logout { &own } else { &other };
        let watchers = [Verifier::of(verifiers[0], ended).await?, Verifier::of(verifiers[1], ended).await?];
        for watcher in &watchers {
            if watcher.refuses().await? {
                return Err("a good token was refused".into());
            }
        }
        self.perform(act, person, &own, &other).await?;
        let done = Instant::now();
        let [first, second] = watchers.map(|watcher| tokio::spawn(watcher.await_refusal(done)));
        Ok(first.await??.max(second.await??))
    }

    async fn perform(&self, act: Act, person: &mut Person, own: &Session, other: &Session) -> Result<(), Failure> {
        match act {
            Act::Logout => {
                let refresh_token = own.tokens.refresh_token.clone();
                person.auth.logout(LogoutRequest { refresh_token }).await?;
            }
            Act::RevokeSession => {
                let request = signed(own, RevokeSessionRequest { name: other.name.clone() })?;
                person.account.revoke_session(request).await?;
            }
            Act::SignOutEverywhere => {
                let request = signed(own, SignOutRequest { scope: SignOutScope::Global.into() })?;
                person.account.sign_out(request).await?;
            }
            Act::ChangePassword => {
                let (current, new) = (person.password, 1 - person.password);
                let [current_password, new_password] = [current, new].map(|index| PASSWORDS[index].to_owned());
                let request = signed(own, ChangePasswordRequest { current_password, new_password })?;
                person.account.change_password(request).await?;
                person.password = new;
            }
            Act::Disable => {
                self.authctl(&["accounts", "disable", &person.email])?;
            }
            Act::RevokeKey => {
                let key = key_of(&other.tokens.access_token)?;
                self.authctl(&["keys", "revoke", &key])?;
            }
        }
        Ok(())
    }

    fn authctl(&self, arguments: &[&str]) -> Result<(), Failure> {
        let mut authctl = Command::new(self.programs.join("authctl"));
        authctl.current_dir(&self.folder).env_clear();
        authctl.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let said = authctl.args(arguments).output()?;
        if said.status.success() {
            return Ok(());
        }
        Err(format!("authctl: {}", String::from_utf8_lossy(&said.stderr)).into())
    }
}

/// The id of the key that signed a token.
fn key_of(token: &str) -> Result<String, Failure> {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap_or_default())?;
    let header: serde_json::Value = serde_json::from_slice(&header)?;
    Ok(header["kid"].as_str().ok_or("a token without a key id")?.to_owned())
}

impl Person {
    async fn register(auth: SocketAddr, number: usize) -> Result<Self, Failure> {
        let channel = channel(auth).await?;
        let email = format!("person-{number}@bench.example");
        let mut auth = AuthServiceClient::new(channel.clone());
        let password = PASSWORDS[0].to_owned();
        auth.register(RegisterRequest { email: email.clone(), password, ..Default::default() }).await?;
        Ok(Self { email, password: 0, auth, account: AccountServiceClient::new(channel) })
    }

    async fn log_in(&mut self) -> Result<Session, Failure> {
        let (email, password) = (self.email.clone(), PASSWORDS[self.password].to_owned());
        let answer = self.auth.login(LoginRequest { email, password, ..Default::default() }).await?.into_inner();
        let (session, tokens) = (answer.session.ok_or("no session")?, answer.tokens.ok_or("no tokens")?);
        Ok(Session { name: session.name, tokens })
    }
}

/// A notes service that is asked with one access token.
struct Verifier {
    notes: NotesServiceClient<Channel>,
    token: String,
}

impl Verifier {
    async fn of(notes: SocketAddr, session: &Session) -> Result<Self, Failure> {
        let notes = NotesServiceClient::new(channel(notes).await?);
        Ok(Self { notes, token: session.tokens.access_token.clone() })
    }

    async fn refuses(&self) -> Result<bool, Failure> {
        let mut request = Request::new(GetUsageRequest {});
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse()?);
        match self.notes.clone().get_usage(request).await {
            Ok(_) => Ok(false),
            Err(status) if status.code() == Code::Unauthenticated => Ok(true),
            Err(status) => Err(status.into()),
        }
    }

    async fn await_refusal(self, since: Instant) -> Result<Duration, Failure> {
        while !self.refuses().await? {
            if since.elapsed() > PATIENCE {
                return Err("a revoked token is not refused".into());
            }
        }
        Ok(since.elapsed())
    }
}

fn signed<T>(session: &Session, message: T) -> Result<Request<T>, Failure> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {}", session.tokens.access_token).parse()?);
    Ok(request)
}

#[expect(clippy::print_stdout, reason = "the result of the program")]
fn print(rows: &[(Act, Histogram<u64>)]) {
    println!("| revoked by | trials | p50 | p90 | p99 | max | p99 < {} ms |", TARGET.as_millis());
    println!("|---|---|---|---|---|---|---|");
    let mut all = Histogram::<u64>::new(3).expect("three digits");
    for (_, histogram) in rows {
        all.add(histogram).expect("of one kind");
    }
    let rows = rows.iter().map(|(act, histogram)| (format!("{act:?}"), histogram));
    for (name, histogram) in rows.chain([("all".to_owned(), &all)]) {
        let at = |quantile| format!("{:.1} ms", histogram.value_at_quantile(quantile) as f64 / 1_000.0);
        let is_met = u128::from(histogram.value_at_quantile(0.99)) < TARGET.as_micros();
        let verdict = if is_met { "yes" } else { "no" };
        let [median, tenth, hundredth, worst] = [0.5, 0.9, 0.99, 1.0].map(at);
        println!("| {name} | {} | {median} | {tenth} | {hundredth} | {worst} | {verdict} |", histogram.len());
    }
}
