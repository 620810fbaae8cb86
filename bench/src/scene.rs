//! The people of the benchmark and their notes, made through the services' own methods.

use std::net::SocketAddr;

use http::HeaderValue;
use prost::Message as _;
use prost_types::Timestamp;
use proto::auth::v1::auth_service_client::AuthServiceClient;
use proto::auth::v1::{LoginRequest, RefreshTokenRequest, RefreshTokenResponse, RegisterRequest};
use proto::notes::v1::notes_service_client::NotesServiceClient;
use proto::notes::v1::{CreateNoteRequest, GetNoteRequest, ListNotesRequest, Note, SearchNotesRequest, SearchOrder};
use tonic::Request;
use tonic::transport::Channel;

use crate::Failure;
use crate::load::Call;

/// Length of a note's content, in characters.
const CONTENT: usize = 256;

/// How many notes one ListNotes call of the benchmark asks for.
const PAGE: i32 = 20;

/// Notes before the 2,000th of such pages.
pub(crate) const DEEP: usize = 1_999 * 20;

/// The password of everybody here.
const PASSWORD: &str = "four cups of bench tea";

/// Somebody with an account, a session and notes.
#[derive(Clone)]
pub(crate) struct Person {
    email: String,
    /// The value of the `authorization` header.
    authorization: HeaderValue,
    /// The last refresh token.
    refresh_token: String,
    /// Names of the first notes.
    notes: Vec<String>,
}

impl Person {
    /// Somebody with this token and these notes, and no account.
    pub(crate) fn with_token(token: &str, notes: Vec<String>) -> Self {
        let authorization = format!("Bearer {token}").parse().expect("a token is ASCII");
        Self { email: String::new(), authorization, refresh_token: String::new(), notes }
    }

    /// A call of GetNote for one of this person's notes, another one for each `index`.
    pub(crate) fn get_note(&self, index: usize) -> Call {
        let name = self.notes[index % self.notes.len()].clone();
        Call::new(Some(self.authorization.clone()), &GetNoteRequest { name, ..Default::default() })
    }

    /// A call of ListNotes for the page that this token leads to, the first one if it is empty.
    pub(crate) fn list_notes(&self, page_token: &str) -> Call {
        self.list_page(PAGE, page_token)
    }

    /// A call of ListNotes for a page of this size.
    pub(crate) fn list_page(&self, page_size: i32, page_token: &str) -> Call {
        let request = ListNotesRequest { page_size, page_token: page_token.to_owned(), ..Default::default() };
        Call::new(Some(self.authorization.clone()), &request)
    }

    /// A call of SearchNotes for the newest notes.
    pub(crate) fn search_newest(&self, query: &str) -> Call {
        let order = SearchOrder::UpdateTime.into();
        let request = SearchNotesRequest { query: query.to_owned(), order, page_size: PAGE, ..Default::default() };
        Call::new(Some(self.authorization.clone()), &request)
    }

    /// A call of CreateNote.
    pub(crate) fn create_note(&self) -> Call {
        let request = CreateNoteRequest { note: Some(new_note()), ..Default::default() };
        Call::new(Some(self.authorization.clone()), &request)
    }

    /// A call of RefreshToken with the last refresh token.
    pub(crate) fn refresh(&self) -> Call {
        Call::new(None, &RefreshTokenRequest { refresh_token: self.refresh_token.clone() })
    }

    /// Keeps the refresh token of an answer of RefreshToken, if there was one.
    pub(crate) fn take_tokens(&mut self, answer: &[u8]) {
        if let Some(tokens) = RefreshTokenResponse::decode(answer).ok().and_then(|answer| answer.tokens) {
            self.refresh_token = tokens.refresh_token;
        }
    }

    /// A call of Login with the right password.
    pub(crate) fn log_in(&self) -> Call {
        login(&self.email, PASSWORD)
    }
}

/// A call of Login that costs the service a password check and yields nothing.
pub(crate) fn guess_password(client: usize) -> Call {
    login(&format!("nobody-{client}@bench.example"), "not the password of anybody")
}

/// A note like those that the service returns: the echo answers with it.
pub(crate) fn stored_note() -> Note {
    let time = Some(Timestamp { seconds: 1_800_000_000, nanos: 123_456_000 });
    let Note { title, content, .. } = new_note();
    Note {
        name: "notes/01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        snippet: content.chars().take(200).collect(),
        content_bytes: i64::try_from(content.len()).expect("short"),
        title,
        content,
        create_time: time,
        update_time: time,
        etag: "\"0000000000000001\"".to_owned(),
        ..Default::default()
    }
}

/// Registers `count` people and makes `notes` notes for each.
///
/// # Errors
/// If the services refuse.
pub(crate) async fn populate(
    auth: SocketAddr,
    notes: SocketAddr,
    count: usize,
    notes_each: usize,
) -> Result<Vec<Person>, Failure> {
    let auth = AuthServiceClient::new(channel(auth).await?);
    let notes = NotesServiceClient::new(channel(notes).await?);
    let mut people = Vec::new();
    for index in 0..count {
        let email = format!("person-{index}@bench.example");
        let register = RegisterRequest { email: email.clone(), password: PASSWORD.to_owned(), ..Default::default() };
        auth.clone().register(register).await?;
        let mut person = log_in(&auth, email).await?;
        for _ in 0..notes_each {
            let request = CreateNoteRequest { note: Some(new_note()), ..Default::default() };
            let note = notes.clone().create_note(authorized(&person, request)).await?;
            person.notes.push(note.into_inner().name);
        }
        people.push(person);
    }
    Ok(people)
}

/// Begins a new session of each person, so that no token expires while it is measured.
///
/// # Errors
/// If the service refuses.
pub(crate) async fn log_in_again(auth: SocketAddr, people: &mut [Person]) -> Result<(), Failure> {
    let auth = AuthServiceClient::new(channel(auth).await?);
    for person in people {
        let fresh = log_in(&auth, person.email.clone()).await?;
        person.authorization = fresh.authorization;
        person.refresh_token = fresh.refresh_token;
    }
    Ok(())
}

/// The page token of this person's 2,000th page, found in steps of a thousand notes.
///
/// # Errors
/// If the service refuses, or the person has fewer notes.
pub(crate) async fn deep_page(notes: SocketAddr, person: &Person) -> Result<String, Failure> {
    let mut notes = NotesServiceClient::new(channel(notes).await?);
    let (mut page_token, mut passed) = (String::new(), 0);
    while passed < DEEP {
        let page_size = i32::try_from((DEEP - passed).min(1_000))?;
        let request = ListNotesRequest { page_size, page_token, ..Default::default() };
        let page = notes.list_notes(authorized(person, request)).await?.into_inner();
        if page.next_page_token.is_empty() {
            return Err(format!("only {} notes", passed + page.notes.len()).into());
        }
        passed += page.notes.len();
        page_token = page.next_page_token;
    }
    Ok(page_token)
}

async fn log_in(auth: &AuthServiceClient<Channel>, email: String) -> Result<Person, Failure> {
    let request = LoginRequest { email: email.clone(), password: PASSWORD.to_owned(), ..Default::default() };
    let tokens = auth.clone().login(request).await?.into_inner().tokens.ok_or("a login without tokens")?;
    let authorization = format!("Bearer {}", tokens.access_token).parse()?;
    Ok(Person { email, authorization, refresh_token: tokens.refresh_token, notes: Vec::new() })
}

pub(crate) fn authorized<T>(person: &Person, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = person.authorization.to_str().expect("a token is ASCII");
    request.metadata_mut().insert("authorization", value.parse().expect("a header value"));
    request
}

fn login(email: &str, password: &str) -> Call {
    let request = LoginRequest { email: email.to_owned(), password: password.to_owned(), ..Default::default() };
    Call::new(None, &request)
}

pub(crate) fn new_note() -> Note {
    Note { title: "A note of the benchmark".to_owned(), content: "x".repeat(CONTENT), ..Default::default() }
}

pub(crate) async fn channel(address: SocketAddr) -> Result<Channel, Failure> {
    Ok(Channel::from_shared(format!("http://{address}"))?.connect().await?)
}
