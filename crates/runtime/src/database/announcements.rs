use std::time::Duration;

use sea_orm::sqlx::PgPool;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sea_orm::{ConnectionTrait as _, Statement};

use super::{Database, DatabaseError, Store};

/// What other processes on the same server announce on one channel (PostgreSQL's NOTIFY), on a connection of its own.
#[derive(Debug)]
pub struct Announcements {
    pool: PgPool,
    channel: &'static str,
    listener: Option<PgListener>,
}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// This was announced.
    Text(String),
    /// The connection is new: what was announced before it was not heard.
    Begun,
}

impl Database {
    /// Listens to a channel; there is none where the store has one process alone. Connects when something is waited for.
    #[must_use]
    pub fn announcements(&self, channel: &'static str) -> Option<Announcements> {
        match &self.0 {
            Store::Sqlite(_) => None,
            Store::Postgres(store) => {
                let (options, timeout) = store.to_listen();
                Some(Announcements::new(options, timeout, channel))
            }
        }
    }

    /// Announces a text of less than 8,000 bytes, which everybody hears who listens to the channel now.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn announce(&self, channel: &'static str, text: String) -> Result<(), DatabaseError> {
        self.read(move |connection| {
            Box::pin(async move {
                let (backend, values) = (connection.get_database_backend(), [channel.into(), text.into()]);
                let notify = Statement::from_sql_and_values(backend, "SELECT pg_notify($1, $2)", values);
                connection.query_one_raw(notify).await.map(drop)
            })
        })
        .await
    }
}

impl Announcements {
    fn new(options: PgConnectOptions, timeout: Duration, channel: &'static str) -> Self {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(timeout).connect_lazy_with(options);
        Self { pool, channel, listener: None }
    }

    /// Waits for the next announcement.
    ///
    /// # Errors
    /// If the server cannot be reached, or the connection was lost; the next call connects again.
    pub async fn next(&mut self) -> Result<Heard, DatabaseError> {
        let Some(listener) = &mut self.listener else {
            let mut listener = PgListener::connect_with(&self.pool).await.map_err(unavailable)?;
            listener.listen(self.channel).await.map_err(unavailable)?;
            self.listener = Some(listener);
            return Ok(Heard::Begun);
        };
        match listener.try_recv().await {
            Ok(Some(notification)) => Ok(Heard::Text(notification.payload().to_owned())),
            lost => {
                self.listener = None;
                Err(lost.map_or_else(unavailable, |_| DatabaseError::unavailable("the connection was lost")))
            }
        }
    }
}

fn unavailable(error: sea_orm::sqlx::Error) -> DatabaseError {
    DatabaseError::Unavailable(super::error::connecting(error))
}
