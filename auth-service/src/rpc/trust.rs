use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{Stream, stream};
use proto::auth::internal::v1 as wire;
use proto::auth::internal::v1::revocation::Tokens;
use proto::auth::internal::v1::signing_key::State;
use proto::auth::internal::v1::trust_service_server::TrustService;
use proto::auth::internal::v1::watch_trust_response::Event;
use tonic::{Request, Response, Status};

use super::status::refuse;
use crate::app::{App, TrustMessage, TrustNews, TrustWatch};
use crate::domain::{KeyState, LoggedRevocation, Revocation, TrustChange, TrustKey};

/// `auth.internal.v1.TrustService`.
#[derive(Debug)]
pub(super) struct TrustRpc {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl TrustService for TrustRpc {
    type WatchTrustStream = Pin<Box<dyn Stream<Item = Result<wire::WatchTrustResponse, Status>> + Send>>;

    async fn watch_trust(
        &self,
        request: Request<wire::WatchTrustRequest>,
    ) -> Result<Response<Self::WatchTrustStream>, Status> {
        let watch = self.app.trust.watch(&request.into_inner().resume_cursor).map_err(refuse)?;
        Ok(Response::new(Box::pin(stream::unfold(Some(watch), next))))
    }
}

/// The next message, and the watch unless it has ended. Nothing is read ahead: what a caller has not read waits in the
/// log that all share.
async fn next(watch: Option<TrustWatch>) -> Option<(Result<wire::WatchTrustResponse, Status>, Option<TrustWatch>)> {
    let mut watch = watch?;
    Some(match watch.next().await {
        Ok(message) => (Ok(response(message)), Some(watch)),
        Err(error) => (Err(refuse(error)), None),
    })
}

fn response(message: TrustMessage) -> wire::WatchTrustResponse {
    let event = match message.news {
        TrustNews::Snapshot { keys, revocations, is_complete } => Event::Snapshot(wire::Snapshot {
            keys: keys.iter().flat_map(|keys| keys.iter()).map(signing_key).collect(),
            revocations: revocations.iter().map(revocation).collect(),
            complete: is_complete,
        }),
        TrustNews::Change(change) => Event::Delta(match change.as_ref() {
            TrustChange::Keys(keys) => {
                wire::Delta { keys: keys.iter().map(signing_key).collect(), revocations: Vec::new() }
            }
            TrustChange::Revocations(revoked) => {
                wire::Delta { keys: Vec::new(), revocations: revoked.iter().map(revocation).collect() }
            }
        }),
        TrustNews::Heartbeat => Event::Heartbeat(wire::Heartbeat {}),
    };
    let age_micros = i64::try_from(message.age.as_micros()).unwrap_or(i64::MAX);
    wire::WatchTrustResponse { cursor: message.cursor.to_string(), age_micros, event: Some(event) }
}

fn signing_key(key: &TrustKey) -> wire::SigningKey {
    let state = match key.state {
        KeyState::Standby => State::Standby,
        KeyState::Current => State::Current,
        KeyState::Retired => State::Retired,
        KeyState::Revoked => State::Revoked,
    };
    // A key whose numbers cannot be read is one that no verifier takes, and that is what they say then.
    let number = |text: &str| match state {
        State::Revoked => Vec::new(),
        _ => URL_SAFE_NO_PAD.decode(text).unwrap_or_default(),
    };
    wire::SigningKey { kid: key.kid.clone(), state: state.into(), modulus: number(&key.n), exponent: number(&key.e) }
}

fn revocation(logged: &LoggedRevocation) -> wire::Revocation {
    let tokens = match &logged.revocation {
        Revocation::Session { session, .. } => Tokens::Session(session.as_uuid().as_bytes().to_vec()),
        Revocation::Subject { account, minimum_version } => Tokens::Subject(wire::SubjectCutoff {
            subject: account.as_uuid().as_bytes().to_vec(),
            minimum_version: i64::try_from(*minimum_version).unwrap_or(i64::MAX),
        }),
        Revocation::Key { kid } => Tokens::Kid(kid.clone()),
        Revocation::All => Tokens::All(true),
    };
    wire::Revocation {
        tokens: Some(tokens),
        revoke_time: Some(logged.revoked_at.into()),
        expire_time: Some(logged.expires_at.into()),
    }
}
