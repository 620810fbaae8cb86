//! The people of the stories. Their methods are the verbs; each returns what the service answered.

use proto::auth::v1::account_service_client::AccountServiceClient;
use proto::auth::v1::auth_service_client::AuthServiceClient;
use proto::auth::v1::{
    Account, ChangePasswordRequest, DeleteAccountRequest, GetAccountRequest, ListSessionsRequest, LoginRequest,
    LoginResponse, LogoutRequest, RefreshTokenRequest, RegisterRequest, RegisterResponse, RevokeSessionRequest,
    Session, SignOutRequest, SignOutScope, TokenPair, UpdateAccountRequest, VerifyTokenRequest, VerifyTokenResponse,
};
use proto::notes::v1::notes_service_client::NotesServiceClient;
use proto::notes::v1::tag_service_client::TagServiceClient;
use proto::notes::v1::{
    BatchCreateNotesRequest, BatchDeleteNotesRequest, BatchGetNotesRequest, BatchUpdateNotesRequest, CreateNoteRequest,
    CreateTagRequest, DeleteNoteRequest, DeleteTagRequest, EmptyTrashRequest, ExpungeNoteRequest, GetNoteRequest,
    GetNoteRevisionRequest, GetTagRequest, GetUsageRequest, ListNoteChangesRequest, ListNoteChangesResponse,
    ListNoteRevisionsRequest, ListNoteRevisionsResponse, ListNotesRequest, ListNotesResponse, ListTagsRequest,
    ListTagsResponse, Note, NoteRevision, NoteView, RollbackNoteRequest, SearchNotesRequest, SearchNotesResponse,
    SearchResult, Tag, UndeleteNoteRequest, UpdateNoteRequest, UpdateTagRequest, Usage, WatchNotesRequest,
    WatchNotesResponse,
};
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use super::assert::good;

/// A password that every rule likes.
pub const PASSWORD: &str = "seven green boats in a row";

type Answer<T> = Result<T, Status>;

/// Somebody without an account.
#[derive(Clone)]
pub struct Visitor {
    pub auth: AuthServiceClient<Channel>,
}

impl Visitor {
    pub async fn register(&mut self, email: &str, password: &str) -> Answer<RegisterResponse> {
        let request = RegisterRequest { email: email.into(), password: password.into(), display_name: String::new() };
        self.auth.register(request).await.map(tonic::Response::into_inner)
    }

    pub async fn login(&mut self, email: &str, password: &str) -> Answer<LoginResponse> {
        let request = LoginRequest { email: email.into(), password: password.into(), client_label: String::new() };
        self.auth.login(request).await.map(tonic::Response::into_inner)
    }

    pub async fn refresh(&mut self, refresh_token: &str) -> Answer<TokenPair> {
        let request = RefreshTokenRequest { refresh_token: refresh_token.into() };
        self.auth.refresh_token(request).await.map(|response| response.into_inner().tokens.expect("tokens"))
    }

    pub async fn logout(&mut self, refresh_token: &str) -> Answer<()> {
        let request = LogoutRequest { refresh_token: refresh_token.into() };
        self.auth.logout(request).await.map(drop)
    }

    pub async fn verify(&mut self, token: &str) -> Answer<VerifyTokenResponse> {
        let request = VerifyTokenRequest { token: token.into() };
        self.auth.verify_token(request).await.map(tonic::Response::into_inner)
    }
}

/// Somebody with an account and a session.
#[derive(Clone)]
pub struct Person {
    pub email: String,
    pub account: Account,
    pub session: String,
    pub tokens: TokenPair,
    pub visitor: Visitor,
    account_client: AccountServiceClient<Channel>,
    notes: NotesServiceClient<Channel>,
    tags: TagServiceClient<Channel>,
}

impl Person {
    pub async fn register(name: &str, auth: Channel, notes: Channel) -> Self {
        let email = format!("{name}@example.com");
        let mut visitor = Visitor { auth: AuthServiceClient::new(auth.clone()) };
        visitor.register(&email, PASSWORD).await.expect("registered");
        let login = visitor.login(&email, PASSWORD).await.expect("logged in");
        Self {
            email,
            account: login.account.expect("an account"),
            session: login.session.expect("a session").name,
            tokens: login.tokens.expect("tokens"),
            visitor,
            account_client: AccountServiceClient::new(auth),
            tags: TagServiceClient::new(notes.clone()),
            notes: NotesServiceClient::new(notes).max_decoding_message_size(8 << 20),
        }
    }

    /// The same person on another device: another session of the same account.
    pub async fn on_another_device(&self) -> Self {
        let mut other = self.clone();
        other.begin_session().await;
        other
    }

    /// The same person at services that have moved, with a new session.
    pub async fn at(mut self, auth: Channel, notes: Channel) -> Self {
        self.visitor = Visitor { auth: AuthServiceClient::new(auth.clone()) };
        self.account_client = AccountServiceClient::new(auth);
        self.notes_at(notes);
        self.begin_session().await;
        self
    }

    /// The same session with a notes service elsewhere.
    pub fn notes_at(&mut self, notes: Channel) {
        self.tags = TagServiceClient::new(notes.clone());
        self.notes = NotesServiceClient::new(notes).max_decoding_message_size(8 << 20);
    }

    /// The same session with an auth service elsewhere.
    pub fn auth_at(&mut self, auth: Channel) {
        self.visitor = Visitor { auth: AuthServiceClient::new(auth.clone()) };
        self.account_client = AccountServiceClient::new(auth);
    }

    async fn begin_session(&mut self) {
        let login = self.visitor.login(&self.email, PASSWORD).await.expect("logged in");
        self.session = login.session.expect("a session").name;
        self.tokens = login.tokens.expect("tokens");
    }

    /// Rotates the refresh token and keeps the new tokens.
    pub async fn refresh(&mut self) -> Answer<TokenPair> {
        let tokens = self.visitor.refresh(&self.tokens.refresh_token).await?;
        self.tokens = tokens.clone();
        Ok(tokens)
    }

    pub async fn logout(&mut self) -> Answer<()> {
        self.visitor.logout(&self.tokens.refresh_token).await
    }

    pub async fn account(&self) -> Answer<Account> {
        let request = self.signed(GetAccountRequest {});
        self.account_client.clone().get_account(request).await.map(tonic::Response::into_inner)
    }

    pub async fn update_account(&self, request: UpdateAccountRequest) -> Answer<Account> {
        self.account_client.clone().update_account(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    /// Changes the password and keeps the new tokens.
    pub async fn change_password(&mut self, current: &str, new: &str) -> Answer<()> {
        let request = ChangePasswordRequest { current_password: current.into(), new_password: new.into() };
        let response = self.account_client.clone().change_password(self.signed(request)).await?;
        self.tokens = response.into_inner().tokens.expect("tokens");
        Ok(())
    }

    pub async fn sessions(&self) -> Answer<Vec<Session>> {
        let request = self.signed(ListSessionsRequest {});
        self.account_client.clone().list_sessions(request).await.map(|response| response.into_inner().sessions)
    }

    pub async fn revoke_session(&self, name: &str) -> Answer<()> {
        let request = self.signed(RevokeSessionRequest { name: name.into() });
        self.account_client.clone().revoke_session(request).await.map(drop)
    }

    pub async fn sign_out(&self, scope: SignOutScope) -> Answer<()> {
        let request = self.signed(SignOutRequest { scope: scope.into() });
        self.account_client.clone().sign_out(request).await.map(drop)
    }

    pub async fn delete_account(&self, password: &str) -> Answer<()> {
        let request = self.signed(DeleteAccountRequest { password: password.into() });
        self.account_client.clone().delete_account(request).await.map(drop)
    }

    pub async fn create(&self, request: CreateNoteRequest) -> Answer<Note> {
        self.notes.clone().create_note(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    /// Makes a note that must succeed.
    pub async fn write(&self, title: &str, content: &str) -> Note {
        let note = Note { title: title.into(), content: content.into(), ..Note::default() };
        good(self.create(CreateNoteRequest { note: Some(note), ..Default::default() }).await.map(tonic::Response::new))
    }

    pub async fn get(&self, name: &str) -> Answer<Note> {
        self.get_view(GetNoteRequest { name: name.into(), ..Default::default() }).await
    }

    pub async fn get_view(&self, request: GetNoteRequest) -> Answer<Note> {
        self.notes.clone().get_note(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    pub async fn list(&self, request: ListNotesRequest) -> Answer<ListNotesResponse> {
        self.notes.clone().list_notes(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    /// Every note that pages of `request` lead to, in their order.
    pub async fn list_all(&self, mut request: ListNotesRequest) -> Vec<Note> {
        let mut notes = Vec::new();
        loop {
            let page = self.list(request.clone()).await.expect("a page");
            notes.extend(page.notes);
            if page.next_page_token.is_empty() {
                return notes;
            }
            request.page_token = page.next_page_token;
        }
    }

    pub async fn search(&self, request: SearchNotesRequest) -> Answer<SearchNotesResponse> {
        self.notes.clone().search_notes(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    /// Everything that pages of `request` lead to, in its order.
    pub async fn search_all(&self, mut request: SearchNotesRequest) -> Vec<SearchResult> {
        let mut results = Vec::new();
        loop {
            let page = self.search(request.clone()).await.expect("a page");
            results.extend(page.results);
            if page.next_page_token.is_empty() {
                return results;
            }
            request.page_token = page.next_page_token;
        }
    }

    pub async fn update(&self, request: UpdateNoteRequest) -> Answer<Note> {
        self.notes.clone().update_note(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    pub async fn delete(&self, request: DeleteNoteRequest) -> Answer<Note> {
        self.notes.clone().delete_note(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    pub async fn undelete(&self, name: &str) -> Answer<Note> {
        let request = UndeleteNoteRequest { name: name.into() };
        self.notes.clone().undelete_note(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    pub async fn expunge(&self, name: &str) -> Answer<()> {
        let request = ExpungeNoteRequest { name: name.into() };
        self.notes.clone().expunge_note(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    /// Removes everything in the trash for good; says how many notes.
    pub async fn empty_trash(&self) -> Answer<i64> {
        let request = self.signed(EmptyTrashRequest { force: true });
        self.notes.clone().empty_trash(request).await.map(|response| response.into_inner().note_count)
    }

    /// How many notes emptying the trash would remove.
    pub async fn count_trash(&self) -> Answer<i64> {
        let request = self.signed(EmptyTrashRequest { force: false });
        self.notes.clone().empty_trash(request).await.map(|response| response.into_inner().note_count)
    }

    pub async fn usage(&self) -> Answer<Usage> {
        self.notes.clone().get_usage(self.signed(GetUsageRequest {})).await.map(tonic::Response::into_inner)
    }

    pub async fn changes(&self, request: ListNoteChangesRequest) -> Answer<ListNoteChangesResponse> {
        self.notes.clone().list_note_changes(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    pub async fn watch(&self, request: WatchNotesRequest) -> Answer<Streaming<WatchNotesResponse>> {
        self.notes.clone().watch_notes(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    pub async fn batch_get(&self, names: Vec<String>, view: NoteView) -> Answer<Vec<Note>> {
        let request = self.signed(BatchGetNotesRequest { names, view: view.into() });
        self.notes.clone().batch_get_notes(request).await.map(|response| response.into_inner().notes)
    }

    pub async fn batch_create(&self, requests: Vec<CreateNoteRequest>, view: NoteView) -> Answer<Vec<Note>> {
        let request = self.signed(BatchCreateNotesRequest { requests, view: view.into() });
        self.notes.clone().batch_create_notes(request).await.map(|response| response.into_inner().notes)
    }

    pub async fn batch_update(&self, requests: Vec<UpdateNoteRequest>, view: NoteView) -> Answer<Vec<Note>> {
        let request = self.signed(BatchUpdateNotesRequest { requests, view: view.into() });
        self.notes.clone().batch_update_notes(request).await.map(|response| response.into_inner().notes)
    }

    pub async fn batch_delete(&self, requests: Vec<DeleteNoteRequest>, view: NoteView) -> Answer<Vec<Note>> {
        let request = self.signed(BatchDeleteNotesRequest { requests, view: view.into() });
        self.notes.clone().batch_delete_notes(request).await.map(|response| response.into_inner().notes)
    }

    pub async fn revisions(&self, request: ListNoteRevisionsRequest) -> Answer<ListNoteRevisionsResponse> {
        self.notes.clone().list_note_revisions(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    /// Every revision of a note, the newest first and whole.
    pub async fn history(&self, note: &str) -> Vec<NoteRevision> {
        let view = NoteView::Full.into();
        let mut request = ListNoteRevisionsRequest { parent: note.into(), view, ..Default::default() };
        let mut revisions = Vec::new();
        loop {
            let page = self.revisions(request.clone()).await.expect("a page");
            revisions.extend(page.revisions);
            if page.next_page_token.is_empty() {
                return revisions;
            }
            request.page_token = page.next_page_token;
        }
    }

    pub async fn revision(&self, name: &str) -> Answer<NoteRevision> {
        let request = self.signed(GetNoteRevisionRequest { name: name.into() });
        self.notes.clone().get_note_revision(request).await.map(tonic::Response::into_inner)
    }

    pub async fn rollback(&self, request: RollbackNoteRequest) -> Answer<Note> {
        self.notes.clone().rollback_note(self.signed(request)).await.map(tonic::Response::into_inner)
    }

    /// Makes a tag with this display name.
    pub async fn tag(&self, display_name: &str) -> Answer<Tag> {
        let tag = Tag { display_name: display_name.into(), ..Tag::default() };
        self.tags.clone().create_tag(self.signed(CreateTagRequest { tag: Some(tag) })).await.map(Response::into_inner)
    }

    pub async fn get_tag(&self, name: &str) -> Answer<Tag> {
        let request = self.signed(GetTagRequest { name: name.into() });
        self.tags.clone().get_tag(request).await.map(Response::into_inner)
    }

    pub async fn list_tags(&self, request: ListTagsRequest) -> Answer<ListTagsResponse> {
        self.tags.clone().list_tags(self.signed(request)).await.map(Response::into_inner)
    }

    pub async fn update_tag(&self, request: UpdateTagRequest) -> Answer<Tag> {
        self.tags.clone().update_tag(self.signed(request)).await.map(Response::into_inner)
    }

    pub async fn delete_tag(&self, request: DeleteTagRequest) -> Answer<()> {
        self.tags.clone().delete_tag(self.signed(request)).await.map(Response::into_inner)
    }

    /// Makes a note with these tags.
    pub async fn write_tagged(&self, title: &str, tags: &[&str]) -> Answer<Note> {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let note = Note { title: title.into(), tags, ..Note::default() };
        self.create(CreateNoteRequest { note: Some(note), ..Default::default() }).await
    }

    fn signed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let value = format!("Bearer {}", self.tokens.access_token).parse().expect("a token is ASCII");
        request.metadata_mut().insert("authorization", value);
        request
    }
}
