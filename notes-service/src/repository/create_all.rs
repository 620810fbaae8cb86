use std::sync::Arc;

use runtime::database::{Connection, DatabaseError, Outcome};
use sea_orm::DbErr;
use uuid::Uuid;

use super::create::{Batch, CreateCommand, CreateNote, Creation, CreationRefused};
use super::{OwnedNotes, notes};
use crate::domain::{Note, View, fits_an_answer};

/// What became of several notes to make: all were made, or none.
#[derive(Debug)]
pub enum CreatedAll {
    /// The notes in the order asked for; those of repeated requests as they now are.
    Done(Vec<Note>),
    /// The one at this place was not made.
    Refused(usize, CreationRefused),
    /// The notes would not fit one answer.
    TooLarge,
}

impl OwnedNotes<'_> {
    /// Makes several notes in one transaction, all or none.
    ///
    /// # Errors
    /// If the store fails; nothing is made then.
    pub async fn create_all(self, notes: Vec<CreateNote>, view: View) -> Result<CreatedAll, DatabaseError> {
        let owner = self.owner_id();
        let commands: Arc<[_]> = notes.into_iter().map(|note| CreateCommand::new(owner, note)).collect();
        let work = self.repository.write([owner], move |transaction| {
            let commands = Arc::clone(&commands);
            Box::pin(async move { create_all(transaction, owner, &commands, view).await })
        });
        work.await
    }
}

async fn create_all(
    transaction: &Connection,
    owner: Uuid,
    commands: &[CreateCommand],
    view: View,
) -> Result<Outcome<CreatedAll>, DbErr> {
    let mut batch = Batch::read(transaction, commands).await?;
    let mut made = Vec::with_capacity(commands.len());
    for (index, command) in commands.iter().enumerate() {
        let note = match batch.decide(command) {
            Creation::Created(note) => note,
            Creation::Repeated(id) => match notes::find(transaction, owner, id, View::Full).await? {
                Some(note) => note,
                None => return Ok(Outcome::Rollback(CreatedAll::Refused(index, CreationRefused::Expunged))),
            },
            Creation::Refused(refusal) => return Ok(Outcome::Rollback(CreatedAll::Refused(index, refusal))),
        };
        made.push(match view {
            View::Full => note,
            View::Basic => Note { content: None, ..note },
        });
    }
    if view == View::Full && !fits_an_answer(made.iter().map(|note| note.content_bytes)) {
        return Ok(Outcome::Rollback(CreatedAll::TooLarge));
    }
    if batch.is_empty() {
        return Ok(Outcome::Rollback(CreatedAll::Done(made)));
    }
    batch.store(&transaction.unanswered()).await?;
    Ok(Outcome::Commit(CreatedAll::Done(made)))
}
