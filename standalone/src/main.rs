//! Both services in one process on SQLite: what `cargo run` starts.
//!
//! Every setting of either service applies, as `AUTH_SERVICE_…` and `NOTES_SERVICE_…` or in the tables `[auth]` and
//! `[notes]` of a file. What differs here is only what a person at a terminal wants: reflection is on, pages of
//! `localhost` may call, and the notes service trusts what the auth service beside it does, at the same moment.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;

use auth_service::AuthService;
use authn::Clock;
use notes_service::NotesService;
use runtime::command::Service;
use runtime::config::Reader;
use tokio_util::sync::CancellationToken;

/// What both services have here unless it is set.
const DEFAULTS: &str = r#"
reflection = true
cors.origins = ["http://localhost:3000", "http://localhost:5173", "http://localhost:8080"]
"#;

type Failure = Box<dyn Error + Send + Sync>;

struct Standalone {
    auth: AuthService,
    notes: NotesService,
}

#[derive(Clone)]
struct Config {
    auth: auth_service::Config,
    notes: notes_service::config::Config,
}

impl Service for Standalone {
    const NAME: &'static str = "standalone";
    const PREFIX: &'static str = "STANDALONE";
    type Config = Config;

    fn read_config(reader: &mut Reader) -> Config {
        Config {
            auth: reader.part("auth", AuthService::PREFIX, DEFAULTS, AuthService::read_config),
            notes: reader.part("notes", NotesService::PREFIX, DEFAULTS, NotesService::read_config),
        }
    }

    async fn build(config: Config, clock: Clock) -> Result<Self, Failure> {
        let issuer = config.auth.issuer().to_owned();
        let auth = AuthService::build(config.auth, clock.clone()).await?;
        let notes = NotesService::build(config.notes.trusting(issuer, auth.trust()), clock).await?;
        Ok(Self { auth, notes })
    }

    async fn migrate(config: Config) -> Result<(), Failure> {
        AuthService::migrate(config.auth).await?;
        NotesService::migrate(config.notes).await
    }

    fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        let listeners = vec![
            ("auth", address(&self.auth, "auth")),
            ("auth-operations", address(&self.auth, "operations")),
            ("notes", address(&self.notes, "notes")),
            ("notes-operations", address(&self.notes, "operations")),
        ];
        let internal = self.auth.listeners().into_iter().filter(|(name, _)| *name == "auth-internal");
        listeners.into_iter().chain(internal).collect()
    }

    fn operations_address(config: &Config) -> SocketAddr {
        NotesService::operations_address(&config.notes)
    }

    fn greeting(&self) -> Option<String> {
        let (auth, notes) = (address(&self.auth, "auth"), address(&self.notes, "notes"));
        Some(format!(
            "\nauth-service   http://{auth}\nnotes-service  http://{notes}\n\nA first call, to paste into another terminal:\n\n  \
             buf curl --protocol grpc --http2-prior-knowledge \\\n    \
             -d '{{\"email\": \"ada@example.com\", \"password\": \"nine purple hats on a shelf\"}}' \\\n    \
             http://{auth}/auth.v1.AuthService/Register\n"
        ))
    }

    async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let stop = CancellationToken::new();
        tokio::join!(
            self.auth.serve(stop.clone().cancelled_owned()),
            self.notes.serve(stop.clone().cancelled_owned()),
            async {
                shutdown.await;
                stop.cancel();
            }
        );
    }
}

fn address<S: Service>(service: &S, listener: &str) -> SocketAddr {
    let listeners = service.listeners();
    listeners.iter().find(|(name, _)| *name == listener).expect("each service has this listener").1
}

fn main() -> ExitCode {
    runtime::command::main::<Standalone>()
}
