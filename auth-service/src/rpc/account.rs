use std::sync::Arc;

use authn::RequestExt as _;
use proto::auth::v1::account_service_server::AccountService;
use proto::auth::v1::{Account, GetAccountRequest};
use tonic::{Request, Response, Status};

use super::convert;
use super::status::{refuse, reject};
use crate::app::App;

/// `auth.v1.AccountService`: whatever it does, it does to the account of the caller.
#[derive(Debug)]
pub(super) struct AccountRpc {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl AccountService for AccountRpc {
    async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<Account>, Status> {
        let caller = request.subject().map_err(reject)?;
        let account = self.app.get_account(caller).await.map_err(refuse)?;
        Ok(Response::new(convert::account(account)))
    }
}
