use authn::{LastWords, RequestExt as _, Verifier};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use proto::notes::v1 as wire;
use proto::notes::v1::notes_service_server::NotesService;
use tonic::{Request, Response, Status};

use super::{DOMAIN, caller, convert};
use crate::app::{App, Error, Writer};

/// `notes.v1.NotesService`.
#[derive(Clone, Debug)]
pub struct Notes(App, Verifier);

impl Notes {
    /// The service on these use cases, whose callers this verifier knows.
    #[must_use]
    pub const fn new(app: App, verifier: Verifier) -> Self {
        Self(app, verifier)
    }
}

fn writer<T>(request: &Request<T>) -> Result<Writer, Status> {
    let principal = request.principal().map_err(|rejection| rejection.into_status(DOMAIN))?;
    Ok(Writer { owner: principal.subject(), session: principal.session() })
}

#[tonic::async_trait]
impl NotesService for Notes {
    async fn create_note(&self, request: Request<wire::CreateNoteRequest>) -> Result<Response<wire::Note>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let note = convert::create_note(&request)?;
        Ok(Response::new(if request.validate_only {
            let note = convert::validated(self.0.validate_create_note(caller, note).await?);
            // A name that is drawn would be another one the next time.
            if request.note_id.is_empty() { wire::Note { name: String::new(), ..note } } else { note }
        } else {
            self.0.create_note(caller, note).await?.into()
        }))
    }

    async fn get_note(&self, request: Request<wire::GetNoteRequest>) -> Result<Response<wire::Note>, Status> {
        let caller = caller(&request)?;
        let (id, view) = convert::get_note(&request.into_inner())?;
        let note = self.0.notes().for_owner(caller).find(id, view).await.map_err(Error::from)?;
        Ok(Response::new(note.ok_or(Error::NoteNotFound)?.into()))
    }

    async fn list_notes(
        &self,
        request: Request<wire::ListNotesRequest>,
    ) -> Result<Response<wire::ListNotesResponse>, Status> {
        let caller = caller(&request)?;
        let list = convert::list_notes(request.into_inner())?;
        let page = self.0.list_notes(caller, list).await?;
        Ok(Response::new(page.into()))
    }

    async fn update_note(&self, request: Request<wire::UpdateNoteRequest>) -> Result<Response<wire::Note>, Status> {
        let writer = writer(&request)?;
        let request = request.into_inner();
        let update = convert::update_note(&request)?;
        Ok(Response::new(if request.validate_only {
            convert::validated(self.0.validate_update_note(writer, update).await?)
        } else {
            self.0.update_note(writer, update).await?.into()
        }))
    }

    async fn delete_note(&self, request: Request<wire::DeleteNoteRequest>) -> Result<Response<wire::Note>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let delete = convert::delete_note(&request)?;
        let note = if request.validate_only {
            self.0.validate_delete_note(caller, delete).await?.map(convert::validated)
        } else {
            self.0.delete_note(caller, delete).await?.map(wire::Note::from)
        };
        Ok(Response::new(note.unwrap_or_default()))
    }

    async fn undelete_note(&self, request: Request<wire::UndeleteNoteRequest>) -> Result<Response<wire::Note>, Status> {
        let caller = caller(&request)?;
        let id = convert::undelete_note(&request.into_inner())?;
        let note = self.0.undelete_note(caller, id).await?;
        Ok(Response::new(note.into()))
    }

    async fn expunge_note(&self, request: Request<wire::ExpungeNoteRequest>) -> Result<Response<()>, Status> {
        let caller = caller(&request)?;
        let id = convert::expunge_note(&request.into_inner())?;
        self.0.expunge_note(caller, id).await?;
        Ok(Response::new(()))
    }

    async fn empty_trash(
        &self,
        request: Request<wire::EmptyTrashRequest>,
    ) -> Result<Response<wire::EmptyTrashResponse>, Status> {
        let caller = caller(&request)?;
        let notes = match request.into_inner() {
            wire::EmptyTrashRequest { force: true } => self.0.empty_trash(caller).await?,
            wire::EmptyTrashRequest { force: false } => self.0.count_trash(caller).await?,
        };
        Ok(Response::new(wire::EmptyTrashResponse { note_count: convert::count(notes) }))
    }

    async fn list_note_changes(
        &self,
        request: Request<wire::ListNoteChangesRequest>,
    ) -> Result<Response<wire::ListNoteChangesResponse>, Status> {
        let caller = caller(&request)?;
        let list = convert::list_note_changes(request.into_inner())?;
        let page = self.0.list_note_changes(caller, list).await?;
        Ok(Response::new(page.into()))
    }

    type WatchNotesStream = BoxStream<'static, Result<wire::WatchNotesResponse, Status>>;

    async fn watch_notes(
        &self,
        request: Request<wire::WatchNotesRequest>,
    ) -> Result<Response<Self::WatchNotesStream>, Status> {
        let caller = request.principal().map_err(|rejection| rejection.into_status(DOMAIN))?;
        let watch = convert::watch_notes(request.into_inner())?;
        let events = self.0.watch_notes(caller, self.1.clone(), watch).await?;
        let mut response = Response::new(events.map(|event| Ok(event?.into())).boxed());
        response.extensions_mut().insert(LastWords);
        Ok(response)
    }

    async fn get_usage(&self, request: Request<wire::GetUsageRequest>) -> Result<Response<wire::Usage>, Status> {
        let caller = caller(&request)?;
        let usage = self.0.get_usage(caller).await?;
        Ok(Response::new(usage.into()))
    }

    async fn batch_get_notes(
        &self,
        request: Request<wire::BatchGetNotesRequest>,
    ) -> Result<Response<wire::BatchGetNotesResponse>, Status> {
        let caller = caller(&request)?;
        let (batch, view) = convert::batch_get_notes(&request.into_inner())?;
        let notes = self.0.batch_get_notes(caller, batch, view).await?;
        Ok(Response::new(wire::BatchGetNotesResponse { notes: notes.into_iter().map(Into::into).collect() }))
    }

    async fn batch_create_notes(
        &self,
        request: Request<wire::BatchCreateNotesRequest>,
    ) -> Result<Response<wire::BatchCreateNotesResponse>, Status> {
        let caller = caller(&request)?;
        let (batch, view) = convert::batch_create_notes(&request.into_inner())?;
        let notes = self.0.batch_create_notes(caller, batch, view).await?;
        Ok(Response::new(wire::BatchCreateNotesResponse { notes: notes.into_iter().map(Into::into).collect() }))
    }

    async fn batch_update_notes(
        &self,
        request: Request<wire::BatchUpdateNotesRequest>,
    ) -> Result<Response<wire::BatchUpdateNotesResponse>, Status> {
        let writer = writer(&request)?;
        let (batch, view) = convert::batch_update_notes(&request.into_inner())?;
        let notes = self.0.batch_update_notes(writer, batch, view).await?;
        Ok(Response::new(wire::BatchUpdateNotesResponse { notes: notes.into_iter().map(Into::into).collect() }))
    }

    async fn batch_delete_notes(
        &self,
        request: Request<wire::BatchDeleteNotesRequest>,
    ) -> Result<Response<wire::BatchDeleteNotesResponse>, Status> {
        let caller = caller(&request)?;
        let (batch, view) = convert::batch_delete_notes(&request.into_inner())?;
        let notes = self.0.batch_delete_notes(caller, batch, view).await?;
        Ok(Response::new(wire::BatchDeleteNotesResponse {
            notes: notes.into_iter().map(|note| note.map(wire::Note::from).unwrap_or_default()).collect(),
        }))
    }

    async fn list_note_revisions(
        &self,
        request: Request<wire::ListNoteRevisionsRequest>,
    ) -> Result<Response<wire::ListNoteRevisionsResponse>, Status> {
        let caller = caller(&request)?;
        let list = convert::list_note_revisions(request.into_inner())?;
        let page = self.0.list_revisions(caller, list).await?;
        Ok(Response::new(page.into()))
    }

    async fn get_note_revision(
        &self,
        request: Request<wire::GetNoteRevisionRequest>,
    ) -> Result<Response<wire::NoteRevision>, Status> {
        let caller = caller(&request)?;
        let (note, revision) = convert::get_note_revision(&request.into_inner())?;
        let revision = self.0.get_revision(caller, note, revision).await?;
        Ok(Response::new(revision.into()))
    }

    async fn rollback_note(&self, request: Request<wire::RollbackNoteRequest>) -> Result<Response<wire::Note>, Status> {
        let writer = writer(&request)?;
        let roll_back = convert::rollback_note(&request.into_inner())?;
        let note = self.0.roll_back_note(writer, roll_back).await?;
        Ok(Response::new(note.into()))
    }

    async fn search_notes(
        &self,
        request: Request<wire::SearchNotesRequest>,
    ) -> Result<Response<wire::SearchNotesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let query = convert::search_notes(&request)?;
        let page = self.0.search_notes(caller, query, &request.page_token).await?;
        Ok(Response::new(page.into()))
    }
}
