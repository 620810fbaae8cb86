use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_service::AuthService;
use authn::ManualClock;
use proto::auth::v1::account_service_client::AccountServiceClient;
use proto::auth::v1::auth_service_client::AuthServiceClient;
use proto::auth::v1::{GetAccountRequest, LoginRequest, RefreshTokenRequest, RegisterRequest, TokenPair};
use runtime::command::Service as _;
use runtime::config::Reader;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::Failure;
use crate::program::await_ready;

const PASSWORD: &str = "four cups of bench tea";

/// The auth service in this process, with a clock of ours and a store of its own.
pub(super) struct Service {
    clock: ManualClock,
    channel: Channel,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    _folder: TempDir,
}

/// Two tokens.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) access: String,
    pub(super) access_expires_at: SystemTime,
    pub(super) refresh: String,
}

/// Why there are no tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The session is over for this client, for this reason.
    SignedOut(String),
    /// To be tried again.
    Transient(String),
}

impl Service {
    pub(super) async fn start() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let environment = [
            ("AUTH_SERVICE_LISTEN", "127.0.0.1:0".to_owned()),
            ("AUTH_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0".to_owned()),
            ("AUTH_SERVICE_DATA_DIR", folder.path().display().to_string()),
            ("AUTH_SERVICE_DATABASE_URL", format!("sqlite://{}", folder.path().join("auth.db").display())),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        let mut reader = Reader::new(AuthService::PREFIX, None, environment)?;
        let config = AuthService::read_config(&mut reader).with_hashes_for_simulation();
        reader.finish()?;
        let clock = ManualClock::starting_at(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let service = AuthService::build(config, clock.clock()).await?;
        let address = |wanted: &str| {
            let listener = service.listeners().into_iter().find(|(name, _)| *name == wanted);
            listener.map(|(_, address)| address).ok_or("a listener is missing")
        };
        let (address, operations) = (address("auth")?, address("operations")?);
        let channel = Endpoint::new(format!("http://{address}"))?.connect_lazy();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(service.serve(async {
            let _ = stopped.await;
        }));
        // It makes its keys first, which takes a while on a machine that is busy.
        tokio::task::spawn_blocking(move || await_ready(operations)).await??;
        Ok(Self { clock, channel, stop, task, _folder: folder })
    }

    pub(super) async fn stop(self) -> Result<(), Failure> {
        drop((self.channel, self.stop));
        Ok(self.task.await?)
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.clock().now()
    }

    /// Lets it be `moment`, unless it is later already.
    pub(super) fn wait_until(&self, moment: SystemTime) {
        if moment > self.now() {
            self.clock.set(moment);
        }
    }

    pub(super) async fn register(&self, email: &str) -> Result<(), Failure> {
        let request = RegisterRequest { email: email.to_owned(), password: PASSWORD.to_owned(), ..Default::default() };
        AuthServiceClient::new(self.channel.clone()).register(request).await?;
        Ok(())
    }

    pub(super) async fn log_in(&self, email: &str) -> Result<Pair, Failure> {
        let request = LoginRequest { email: email.to_owned(), password: PASSWORD.to_owned(), ..Default::default() };
        let login = AuthServiceClient::new(self.channel.clone()).login(request).await?.into_inner();
        Pair::of(login.tokens)
    }

    /// Refreshes. What is neither tokens nor a refusal that the README names ends the simulation.
    pub(super) async fn refresh(&self, token: &str) -> Result<Result<Pair, Refusal>, Failure> {
        let request = RefreshTokenRequest { refresh_token: token.to_owned() };
        match AuthServiceClient::new(self.channel.clone()).refresh_token(request).await {
            Ok(answer) => Ok(Ok(Pair::of(answer.into_inner().tokens)?)),
            Err(status) => Ok(Err(refusal(&status)?)),
        }
    }

    /// Calls the service itself with an access token, which shows it that the token has arrived.
    pub(super) async fn look_at_account(&self, access: &str) -> Result<bool, Failure> {
        let mut request = Request::new(GetAccountRequest {});
        request.metadata_mut().insert("authorization", format!("Bearer {access}").parse()?);
        match AccountServiceClient::new(self.channel.clone()).get_account(request).await {
            Ok(_) => Ok(true),
            // A call that is cut off, by a new connection or a machine that is busy otherwise, is not missed.
            Err(status) => Ok(matches!(refusal(&status)?, Refusal::Transient(_))),
        }
    }
}

impl Pair {
    fn of(tokens: Option<TokenPair>) -> Result<Self, Failure> {
        let tokens = tokens.ok_or("an answer has no tokens")?;
        let expires_at = tokens.access_token_expire_time.ok_or("a token does not expire")?;
        Ok(Self {
            access: tokens.access_token,
            access_expires_at: expires_at.try_into()?,
            refresh: tokens.refresh_token,
        })
    }
}

/// Whether the connection broke under the call, as connections do that the service finds old enough.
fn is_broken(status: &Status) -> bool {
    std::error::Error::source(status).is_some_and(|source| source.is::<tonic::transport::Error>())
}

fn refusal(status: &Status) -> Result<Refusal, Failure> {
    if is_broken(status) {
        return Ok(Refusal::Transient("broken connection".to_owned()));
    }
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    match status.code() {
        Code::Unauthenticated => Ok(Refusal::SignedOut(reason)),
        Code::Aborted | Code::ResourceExhausted | Code::Unavailable | Code::DeadlineExceeded => {
            Ok(Refusal::Transient(reason))
        }
        _ => Err(status.clone().into()),
    }
}
