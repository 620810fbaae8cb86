use std::sync::Arc;

use authn::RequestExt as _;
use proto::auth::v1::account_service_server::AccountService;
use proto::auth::v1::{
    Account, ChangePasswordRequest, ChangePasswordResponse, DeleteAccountRequest, DeleteAccountResponse,
    GetAccountRequest, ListSessionsRequest, ListSessionsResponse, RevokeSessionRequest, RevokeSessionResponse,
    SignOutRequest, SignOutResponse, UpdateAccountRequest,
};
use tonic::{Request, Response, Status};

use super::account_requests;
use super::convert::{self, Rules};
use super::status::{invalid, refuse, reject};
use crate::app::{App, Caller};

/// `auth.v1.AccountService`: whatever it does, it does to the account of the caller.
#[derive(Debug)]
pub(super) struct AccountRpc {
    pub(super) app: Arc<App>,
    pub(super) rules: Rules,
}

#[tonic::async_trait]
impl AccountService for AccountRpc {
    async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<Account>, Status> {
        let caller = self.caller(&request).await?;
        Ok(Response::new(convert::account(caller.account)))
    }

    async fn update_account(&self, request: Request<UpdateAccountRequest>) -> Result<Response<Account>, Status> {
        let caller = self.caller(&request).await?;
        let change = account_requests::account_change(&request.into_inner(), caller.account.id).map_err(invalid)?;
        let account = self.app.update_account(caller, &change).await.map_err(refuse)?;
        Ok(Response::new(convert::account(account)))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let caller = self.caller(&request).await?;
        let request = request.into_inner();
        let (current, new) =
            account_requests::new_password(&request, &self.rules, &caller.account.email).map_err(invalid)?;
        let tokens = self.app.change_password(caller, current, new).await.map_err(refuse)?;
        Ok(Response::new(ChangePasswordResponse { tokens: Some(convert::tokens(&tokens)) }))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let caller = self.caller(&request).await?;
        let sessions = self.app.list_sessions(&caller).await.map_err(refuse)?;
        let own = caller.session.key;
        let sessions = sessions.into_iter().map(|session| convert::session(session, own)).collect();
        Ok(Response::new(ListSessionsResponse { sessions }))
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let caller = self.caller(&request).await?;
        let session = account_requests::session_id(&request.into_inner().name).map_err(invalid)?;
        self.app.revoke_session(&caller, session).await.map_err(refuse)?;
        Ok(Response::new(RevokeSessionResponse {}))
    }

    async fn delete_account(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Result<Response<DeleteAccountResponse>, Status> {
        let caller = self.caller(&request).await?;
        let password = account_requests::presented_password(&request.into_inner().password).map_err(invalid)?;
        self.app.delete_account(caller, password).await.map_err(refuse)?;
        Ok(Response::new(DeleteAccountResponse {}))
    }

    async fn sign_out(&self, request: Request<SignOutRequest>) -> Result<Response<SignOutResponse>, Status> {
        let caller = self.caller(&request).await?;
        let scope = account_requests::sign_out_scope(request.into_inner().scope).map_err(invalid)?;
        self.app.sign_out(&caller, scope).await.map_err(refuse)?;
        Ok(Response::new(SignOutResponse {}))
    }
}

impl AccountRpc {
    async fn caller<T: Sync>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let principal = request.principal().map_err(reject)?;
        self.app.admit(&principal).await.map_err(refuse)
    }
}
