//! Batches: every entry is read as a request of its own, and its violations are named by their paths from the outermost
//! one.

use std::collections::HashSet;

use proto::notes::v1 as wire;

use super::{Malformed, Violations, create_note, delete_note, update_note};
use crate::app::{CreateNote, DeleteNote, UpdateNote};
use crate::domain::{BATCH_SIZE_MAX, NoteId, View};

const TWICE: &str = "must not be that of another entry of the batch";

pub(in crate::rpc) fn batch_get_notes(request: &wire::BatchGetNotesRequest) -> Result<(Vec<NoteId>, View), Malformed> {
    let mut batch = Batch::of("names", request.names.len());
    let mut ids = Vec::with_capacity(request.names.len());
    for (index, name) in request.names.iter().enumerate() {
        let path = format!("names[{index}]");
        if let Some(id) = batch.violations.name(&path, name) {
            batch.once(&path, id);
            ids.push(id);
        }
    }
    let view = batch.violations.view(request.view, View::Basic);
    batch.violations.unless_any(view.map(|view| (ids, view)))
}

pub(in crate::rpc) fn batch_create_notes(
    request: &wire::BatchCreateNotesRequest,
) -> Result<(Vec<CreateNote>, View), Malformed> {
    let mut batch = Batch::of("requests", request.requests.len());
    let (mut notes, mut requests) = (Vec::with_capacity(request.requests.len()), HashSet::new());
    for (index, nested) in request.requests.iter().enumerate() {
        let path = format!("requests[{index}]");
        batch.is_stored(&path, nested.validate_only);
        let Some(note) = batch.nested(&path, create_note(nested))? else { continue };
        note.id.inspect(|id| batch.once(&format!("{path}.note_id"), *id));
        if note.request.is_some_and(|request| !requests.insert(request)) {
            batch.violations.add(&format!("{path}.request_id"), TWICE);
        }
        notes.push(note);
    }
    let view = batch.violations.view(request.view, View::Basic);
    batch.violations.unless_any(view.map(|view| (notes, view)))
}

pub(in crate::rpc) fn batch_update_notes(
    request: &wire::BatchUpdateNotesRequest,
) -> Result<(Vec<UpdateNote>, View), Malformed> {
    let mut batch = Batch::of("requests", request.requests.len());
    let mut updates = Vec::with_capacity(request.requests.len());
    for (index, nested) in request.requests.iter().enumerate() {
        let path = format!("requests[{index}]");
        batch.is_stored(&path, nested.validate_only);
        if nested.allow_missing {
            batch.violations.add(&format!("{path}.allow_missing"), "must not be set: a batch makes no notes");
        }
        let Some(update) = batch.nested(&path, update_note(nested))? else { continue };
        batch.once(&format!("{path}.note.name"), update.id);
        updates.push(update);
    }
    let view = batch.violations.view(request.view, View::Basic);
    batch.violations.unless_any(view.map(|view| (updates, view)))
}

pub(in crate::rpc) fn batch_delete_notes(
    request: &wire::BatchDeleteNotesRequest,
) -> Result<(Vec<DeleteNote>, View), Malformed> {
    let mut batch = Batch::of("requests", request.requests.len());
    let mut deletions = Vec::with_capacity(request.requests.len());
    for (index, nested) in request.requests.iter().enumerate() {
        let path = format!("requests[{index}]");
        batch.is_stored(&path, nested.validate_only);
        let Some(delete) = batch.nested(&path, delete_note(nested))? else { continue };
        batch.once(&format!("{path}.name"), delete.id);
        deletions.push(delete);
    }
    let view = batch.violations.view(request.view, View::Basic);
    batch.violations.unless_any(view.map(|view| (deletions, view)))
}

/// A batch that is read: how many there are, which notes it has named, and what is wrong so far.
struct Batch {
    violations: Violations,
    named: HashSet<NoteId>,
}

impl Batch {
    fn of(field: &str, size: usize) -> Self {
        let mut violations = Violations::default();
        if !(1..=BATCH_SIZE_MAX).contains(&size) {
            violations.add(field, format!("must have 1 to {BATCH_SIZE_MAX} entries"));
        }
        Self { violations, named: HashSet::new() }
    }

    /// Takes the violations of a nested request over, with their paths from the outermost one.
    fn nested<T>(&mut self, path: &str, parsed: Result<T, Malformed>) -> Result<Option<T>, Malformed> {
        match parsed {
            Ok(value) => Ok(Some(value)),
            Err(Malformed::Fields(violations)) => {
                violations.iter().for_each(|violation| {
                    self.violations.add(&format!("{path}.{}", violation.field), &violation.description);
                });
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// What is stored is all of a batch or nothing.
    fn is_stored(&mut self, path: &str, validate_only: bool) {
        if validate_only {
            self.violations.add(&format!("{path}.validate_only"), "must not be set in a batch");
        }
    }

    /// A batch names a note once.
    fn once(&mut self, path: &str, id: NoteId) {
        if !self.named.insert(id) {
            self.violations.add(path, TWICE);
        }
    }
}
