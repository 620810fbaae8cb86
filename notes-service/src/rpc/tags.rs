use proto::notes::v1 as wire;
use proto::notes::v1::tag_service_server::TagService;
use tonic::{Request, Response, Status};

use super::{caller, convert};
use crate::app::{App, Error};

/// `notes.v1.TagService`.
#[derive(Clone, Debug)]
pub struct Tags(App);

impl Tags {
    /// The service on these use cases.
    #[must_use]
    pub const fn new(app: App) -> Self {
        Self(app)
    }
}

#[tonic::async_trait]
impl TagService for Tags {
    async fn create_tag(&self, request: Request<wire::CreateTagRequest>) -> Result<Response<wire::Tag>, Status> {
        let caller = caller(&request)?;
        let tag = convert::create_tag(&request.into_inner())?;
        let tag = self.0.create_tag(caller, tag).await?;
        Ok(Response::new(tag.into()))
    }

    async fn get_tag(&self, request: Request<wire::GetTagRequest>) -> Result<Response<wire::Tag>, Status> {
        let caller = caller(&request)?;
        let id = convert::get_tag(&request.into_inner())?;
        let tag = self.0.notes().for_owner(caller).find_tag(id).await.map_err(Error::from)?;
        Ok(Response::new(tag.ok_or(Error::TagNotFound)?.into()))
    }

    async fn list_tags(
        &self,
        request: Request<wire::ListTagsRequest>,
    ) -> Result<Response<wire::ListTagsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let size = convert::list_tags(&request)?;
        let page = self.0.list_tags(caller, size, &request.page_token).await?;
        Ok(Response::new(page.into()))
    }

    async fn update_tag(&self, request: Request<wire::UpdateTagRequest>) -> Result<Response<wire::Tag>, Status> {
        let caller = caller(&request)?;
        let update = convert::update_tag(&request.into_inner())?;
        let tag = self.0.update_tag(caller, update).await?;
        Ok(Response::new(tag.into()))
    }

    async fn delete_tag(&self, request: Request<wire::DeleteTagRequest>) -> Result<Response<()>, Status> {
        let caller = caller(&request)?;
        let delete = convert::delete_tag(&request.into_inner())?;
        self.0.delete_tag(caller, delete).await?;
        Ok(Response::new(()))
    }
}
