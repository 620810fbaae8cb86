use std::sync::Arc;

use authn::RequestExt as _;
use proto::auth::v1::account_service_server::AccountService;
use proto::auth::v1::{Account, GetAccountRequest};
use tonic::{Request, Response, Status};

use super::convert;
use super::status::{refuse, reject};
use crate::app::App;
use crate::domain;

/// `auth.v1.AccountService`: whatever it does, it does to the account of the caller.
#[derive(Debug)]
pub(super) struct AccountRpc {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl AccountService for AccountRpc {
    async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<Account>, Status> {
        let caller = self.caller(&request).await?;
        Ok(Response::new(convert::account(caller)))
    }
}

impl AccountRpc {
    async fn caller<T: Sync>(&self, request: &Request<T>) -> Result<domain::Account, Status> {
        let principal = request.principal().map_err(reject)?;
        self.app.admit(&principal).await.map_err(refuse)
    }
}
