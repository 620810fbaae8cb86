//! How the store can fail, told from the engines' codes.

use std::sync::Arc;

use sea_orm::error::{ConnAcquireErr, RuntimeErr};
use sea_orm::{DbErr, sqlx};

/// Why the store failed. A missing row or a refused rule is none of these.
///
/// The sources are the libraries' own words: for the log, never for a caller.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be reached, has no free connection in time, or is full; nothing was written. Try again.
    #[error("the store is unavailable")]
    Unavailable(#[source] DbErr),
    /// Other writers won every try. Try again.
    #[error("the store is contended")]
    Contention(#[source] DbErr),
    /// Anything else: a fault to look at.
    #[error("the store failed")]
    Fault(#[source] DbErr),
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The connection is gone, or was never had: ask whether the server is.
    Lost,
    /// No room, no connection in time, a statement over its deadline: the server lives.
    Overloaded,
    /// Another transaction won; the same work may succeed now.
    Contended,
    /// The disk did not take what it was told to keep; nothing may be trusted to it until somebody looks.
    Untrusted,
    /// A mistake of ours, or damage.
    Fault,
}

impl Class {
    pub(super) fn of(error: &DbErr) -> Self {
        match error {
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => Self::Overloaded,
            DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed) | DbErr::Conn(RuntimeErr::Internal(_)) => {
                Self::Lost
            }
            DbErr::Conn(RuntimeErr::SqlxError(source))
            | DbErr::Exec(RuntimeErr::SqlxError(source))
            | DbErr::Query(RuntimeErr::SqlxError(source)) => Self::of_sqlx(source),
            _ => Self::Fault,
        }
    }

    fn of_sqlx(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Lost,
            sqlx::Error::PoolTimedOut => Self::Overloaded,
            sqlx::Error::Database(source) => {
                let code = source.code().unwrap_or_default();
                if source.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                    code.parse().map_or(Self::Fault, Self::of_sqlite)
                } else {
                    Self::of_postgres(&code)
                }
            }
            _ => Self::Fault,
        }
    }

    /// Source: <https://sqlite.org/rescode.html>; the low byte is the primary code.
    fn of_sqlite(code: u32) -> Self {
        const IOERR_FSYNC: u32 = 1034;
        const IOERR_DIR_FSYNC: u32 = 1290;
        match (code, code & 0xff) {
            (IOERR_FSYNC | IOERR_DIR_FSYNC, _) => Self::Untrusted,
            (_, 5 | 6) => Self::Contended,                 // BUSY, LOCKED
            (_, 7 | 9 | 10 | 13 | 14) => Self::Overloaded, // NOMEM, INTERRUPT, IOERR, FULL, CANTOPEN
            _ => Self::Fault,
        }
    }

    /// Source: PostgreSQL, appendix A, "PostgreSQL Error Codes".
    fn of_postgres(code: &str) -> Self {
        match code {
            "40001" | "40P01" | "55P03" => Self::Contended,
            // Shut down by the administrator or by a crash, starting up; the database is not there (yet).
            "57P01" | "57P02" | "57P03" | "57P05" | "3D000" => Self::Lost,
            // Statement deadline; idle in a transaction for too long.
            "57014" | "25P03" => Self::Overloaded,
            _ if code.starts_with("08") || code.starts_with("28") => Self::Lost, // connection; wrong password
            _ if code.starts_with("53") => Self::Overloaded, // disk full, out of memory, too many connections
            _ if code.starts_with("58") => Self::Overloaded, // the server's own input and output
            _ => Self::Fault,
        }
    }
}

impl DatabaseError {
    /// Tells what an error of the libraries means.
    pub(super) fn from_db_err(error: DbErr) -> Self {
        match Class::of(&error) {
            Class::Lost | Class::Overloaded | Class::Untrusted => Self::Unavailable(error),
            Class::Contended => Self::Contention(error),
            Class::Fault => Self::Fault(error),
        }
    }

    /// A fault in our own words.
    pub(super) fn fault(text: impl Into<String>) -> Self {
        Self::Fault(DbErr::Custom(text.into()))
    }

    /// Refused at once, for a reason that only we know.
    pub(super) fn unavailable(text: impl Into<String>) -> Self {
        Self::Unavailable(DbErr::Custom(text.into()))
    }
}

/// An error of the driver while connecting, in the shape of the mapper above it.
pub(super) fn connecting(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))
}
