//! Fresh, empty stores for tests, on the engine that is under test.

use sea_orm::ConnectionTrait as _;

use crate::database::{DatabaseConfig, Engine};

/// The environment variable that names a PostgreSQL server for tests, as a superuser:
/// `postgres://postgres@127.0.0.1:5432/postgres`. Without it tests use SQLite files.
pub const SERVER: &str = "TEST_POSTGRES_URL";

/// An empty store of its own, gone when this is dropped.
#[derive(Debug)]
pub struct Store(Kind);

#[derive(Debug)]
enum Kind {
    Sqlite(tempfile::TempDir),
    Postgres { server: String, name: String },
}

impl Store {
    /// Makes one: a new database on the server that `TEST_POSTGRES_URL` names, else a SQLite file in a temporary folder.
    ///
    /// # Panics
    /// If the server or the disk refuses.
    pub async fn fresh() -> Self {
        #[expect(clippy::disallowed_methods, reason = "tests have no settings; tests/postgres.sh sets it")]
        match std::env::var(SERVER) {
            Ok(server) if !server.is_empty() => Self::on_server(server).await,
            _ => Self::in_folder(),
        }
    }

    /// Makes a SQLite store, whatever engine is under test.
    ///
    /// # Panics
    /// If the disk refuses.
    #[must_use]
    pub fn in_folder() -> Self {
        Self(Kind::Sqlite(tempfile::tempdir().expect("a temporary folder can be made")))
    }

    /// Makes a new database on `server`, whatever engine is under test.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn on_server(server: String) -> Self {
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        execute(&server, &format!("CREATE DATABASE {name}")).await.expect("the test server makes a database");
        Self(Kind::Postgres { server, name })
    }

    /// Its URL, as `database.url` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.0 {
            Kind::Sqlite(folder) => format!("sqlite://{}", folder.path().join("store.db").display()),
            Kind::Postgres { server, name } => {
                let (cluster, _) = server.rsplit_once('/').expect("the URL of the test server names a database");
                format!("{cluster}/{name}")
            }
        }
    }

    /// The default settings with its URL.
    #[must_use]
    pub fn config(&self) -> DatabaseConfig {
        DatabaseConfig::with_url(&self.url())
    }

    /// Its engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.0 {
            Kind::Sqlite(_) => Engine::Sqlite,
            Kind::Postgres { .. } => Engine::Postgres,
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let Kind::Postgres { server, name } = &self.0 else { return };
        let (server, drop) = (server.clone(), format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        // The test's own runtime may be ending, and cannot be waited for from here.
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async { execute(&server, &drop).await.ok() });
        });
        done.join().ok();
    }
}

async fn execute(server: &str, sql: &str) -> Result<(), sea_orm::DbErr> {
    let mut options = sea_orm::ConnectOptions::new(server);
    options.max_connections(1).sqlx_logging(false);
    let connection = sea_orm::Database::connect(options).await?;
    connection.execute_unprepared(sql).await?;
    connection.close().await
}
