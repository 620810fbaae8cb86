//! What replicas tell each other: whose notes may have changed, and never what. Each announces the owners that it rang
//! for, together and at most twenty times a second, since a NOTIFY holds a lock of the whole database at its commit; and
//! looks once a second at those who are watched, so that an announcement which nobody heard costs a second.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use runtime::database::{Announcements, DatabaseError, Heard};
use sea_orm::DbErr;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use tokio::time::sleep;
use uuid::Uuid;

use super::NoteRepository;
use super::entity::owner_state::{Column as Field, Entity};
use super::rows::{self, Column};

const CHANNEL: &str = "notes_changed";
/// Least time between two announcements.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(50);
/// Owners in one announcement, of 22 letters each, so that it stays below 8,000 bytes.
const ANNOUNCED_AT_ONCE: usize = 300;
/// How often those who are watched are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many of them one statement looks at.
const LOOKED_AT_ONCE: usize = 500;
/// When to try again to listen.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// What stands between owners, after the sender's own name.
const SEPARATOR: char = ' ';

const COLUMNS: [Column; 2] = [Column::Binary("owner_id"), Column::Plain("change_seq")];

impl NoteRepository {
    /// Rings for what other replicas change, and tells them of what is changed here, for ever. Where there are none it
    /// waits.
    pub async fn keep_in_step(&self) -> Infallible {
        let Some(announcements) = self.database.announcements(CHANNEL) else { return std::future::pending().await };
        let own_name = Uuid::new_v4();
        let (tell, hear, look) = (self.tell(own_name), self.hear(announcements, own_name), self.look());
        tokio::select! {
            never = tell => never,
            never = hear => never,
            never = look => never,
        }
    }

    async fn tell(&self, own_name: Uuid) -> Infallible {
        loop {
            let owners: Vec<_> = self.doorbell.untold().await.into_iter().collect();
            for owners in owners.chunks(ANNOUNCED_AT_ONCE) {
                let text = spelled(own_name, owners);
                if let Err(error) = self.database.announce(CHANNEL, text).await {
                    tracing::debug!(%error, "other replicas were not told, and will look for themselves");
                }
            }
            sleep(ANNOUNCE_EVERY).await;
        }
    }

    async fn hear(&self, mut announcements: Announcements, own_name: Uuid) -> Infallible {
        loop {
            match announcements.next().await {
                Ok(Heard::Text(text)) => {
                    if let Some((teller, owners)) = read(&text)
                        && teller != own_name
                    {
                        self.doorbell.ring_here(owners);
                    }
                }
                Ok(Heard::Begun) => self.doorbell.ring_here(self.doorbell.owners()),
                Err(error) => {
                    tracing::debug!(%error, "nothing is heard of other replicas for now");
                    sleep(LISTEN_AGAIN).await;
                }
            }
        }
    }

    async fn look(&self) -> Infallible {
        let mut seen = HashMap::new();
        loop {
            sleep(LOOK_EVERY).await;
            if let Err(error) = self.look_once(&mut seen).await {
                tracing::debug!(%error, "those who are watched could not be looked at");
            }
        }
    }

    /// Rings for every owner who is watched and is not as `seen` last.
    async fn look_once(&self, seen: &mut HashMap<Uuid, i64>) -> Result<(), DatabaseError> {
        let owners = self.doorbell.owners();
        let mut now = HashMap::with_capacity(owners.len());
        for owners in owners.chunks(LOOKED_AT_ONCE) {
            let (select, owners) = (changes_of(owners.iter().copied()), owners.to_vec());
            let read = self.database.for_owners(move || owners.clone()).read(move |connection| {
                Box::pin(async move {
                    let rows = rows::fetch_all(connection, select, &COLUMNS).await?;
                    rows.iter().map(|row| Ok((row.uuid(0)?, row.integer(1)?))).collect::<Result<Vec<_>, DbErr>>()
                })
            });
            now.extend(read.await?);
        }
        self.doorbell
            .ring_here(now.iter().filter(|(owner, seq)| seen.get(*owner) != Some(*seq)).map(|(owner, _)| *owner));
        *seen = now;
        Ok(())
    }
}

/// The numbers of the last changes of these owners.
pub(super) fn changes_of(owners: impl IntoIterator<Item = Uuid>) -> SelectStatement {
    Query::select()
        .columns([Field::OwnerId, Field::ChangeSeq])
        .from(Entity)
        .and_where(Expr::col(Field::OwnerId).is_in(owners))
        .to_owned()
}

fn spelled(teller: Uuid, owners: &[Uuid]) -> String {
    let words: Vec<_> =
        std::iter::once(&teller).chain(owners).map(|id| STANDARD_NO_PAD.encode(id.as_bytes())).collect();
    words.join(&SEPARATOR.to_string())
}

/// Who announced, and whom.
fn read(text: &str) -> Option<(Uuid, Vec<Uuid>)> {
    let ids: Option<Vec<_>> =
        text.split(SEPARATOR).map(|word| Uuid::from_slice(&STANDARD_NO_PAD.decode(word).ok()?).ok()).collect();
    let ids = ids?;
    let (teller, owners) = ids.split_first()?;
    Some((*teller, owners.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_reads_back_and_fits_a_notification() {
        let ids: Vec<_> = (0..=ANNOUNCED_AT_ONCE).map(|_| Uuid::new_v4()).collect();
        let text = spelled(ids[0], &ids[1..]);
        assert!(text.len() < 8_000, "{}", text.len());
        assert_eq!(read(&text), Some((ids[0], ids[1..].to_vec())));
        for bad in ["", "x", "AAAA AAAA", &text[1..]] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
