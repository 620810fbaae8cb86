use std::sync::Arc;

use proto::auth::v1::auth_service_server::AuthService;
use proto::auth::v1::{
    ListSigningKeysRequest, ListSigningKeysResponse, LoginRequest, LoginResponse, LogoutRequest, LogoutResponse,
    RefreshTokenRequest, RefreshTokenResponse, RegisterRequest, RegisterResponse, VerifyTokenRequest,
    VerifyTokenResponse,
};
use tonic::{Request, Response, Status};

use super::convert::{self, Rules};
use super::status::{invalid, refuse};
use crate::app::{App, Error};

/// `auth.v1.AuthService`.
#[derive(Debug)]
pub(super) struct AuthRpc {
    pub(super) app: Arc<App>,
    pub(super) rules: Rules,
}

#[tonic::async_trait]
impl AuthService for AuthRpc {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        let new = convert::new_account(&request.into_inner(), &self.rules).map_err(invalid)?;
        let account = self.app.register(new).await.map_err(refuse)?;
        Ok(Response::new(RegisterResponse { account: Some(convert::account(account)) }))
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let origin = convert::origin(&request);
        let attempt = convert::login_attempt(&request.into_inner(), origin).map_err(invalid)?;
        let logged_in = self.app.login(attempt).await.map_err(refuse)?;
        Ok(Response::new(LoginResponse {
            account: Some(convert::account(logged_in.account)),
            session: Some(convert::own_session(logged_in.session)),
            tokens: Some(convert::tokens(&logged_in.tokens)),
        }))
    }

    async fn refresh_token(
        &self,
        request: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenResponse>, Status> {
        let request = request.into_inner();
        let token = convert::refresh_token(&request.refresh_token).map_err(invalid)?;
        let tokens = self.app.refresh(token).await.map_err(refuse)?;
        Ok(Response::new(RefreshTokenResponse { tokens: Some(convert::tokens(&tokens)) }))
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        let request = request.into_inner();
        let token = convert::refresh_token(&request.refresh_token).map_err(invalid)?;
        self.app.logout(token).await.map_err(refuse)?;
        Ok(Response::new(LogoutResponse {}))
    }

    async fn verify_token(
        &self,
        request: Request<VerifyTokenRequest>,
    ) -> Result<Response<VerifyTokenResponse>, Status> {
        let request = request.into_inner();
        let token = convert::any_token(&request.token).map_err(invalid)?;
        let active = self.app.verify_token(token).await.map_err(refuse)?;
        Ok(Response::new(active.map_or_else(VerifyTokenResponse::default, convert::active_token)))
    }

    async fn list_signing_keys(
        &self,
        _request: Request<ListSigningKeysRequest>,
    ) -> Result<Response<ListSigningKeysResponse>, Status> {
        let keys: Vec<_> = self.app.published_keys().into_iter().map(convert::signing_key).collect();
        // An empty set would have every verifier refuse every token.
        if keys.is_empty() {
            return Err(refuse(Error::TrustNotReady));
        }
        Ok(Response::new(ListSigningKeysResponse { keys }))
    }
}
