use std::time::SystemTime;

use runtime::database::{Outcome, from_micros, to_micros};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _};

use super::entity::signing_key::{ActiveModel, Column, Entity, Model};
use super::entity::signing_key_turn;
use super::{Repository, RepositoryError, audit, revocations};
use crate::domain::{KeyId, KeyRecord, KeyRefusal, KeyRules, KeySet, KeyState, KeyWish, PublicHalf, SealedKey};

/// What became of the keys.
#[derive(Clone, Debug)]
pub(crate) struct KeyChange {
    /// As they were.
    pub(crate) before: KeySet,
    /// As they are.
    pub(crate) after: KeySet,
}

impl Repository {
    /// Every signing key there is.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn signing_keys(&self) -> Result<KeySet, RepositoryError> {
        key_set(self.database.read(|connection| Box::pin(Entity::find().all(connection))).await?)
    }

    /// The encrypted private half of a key; nothing if there is no such key, or it signs no more.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn sealed_key(&self, id: KeyId) -> Result<Option<Vec<u8>>, RepositoryError> {
        let find = Entity::find_by_id(id.to_string()).select_only().column(Column::SealedPrivateKey);
        let find = find.into_tuple::<Option<Vec<u8>>>();
        let sealed = self.database.read(move |connection| Box::pin(find.one(connection))).await?;
        Ok(sealed.flatten())
    }

    /// Fulfils a wish by what the keys are at this moment, one caller at a time on all replicas; a new key is taken if
    /// one is needed. Private halves that sign no more are destroyed, what is revoked is written for verifiers, and
    /// each fact into the audit, in the same transaction.
    ///
    /// # Errors
    /// If the store fails; nothing is changed then.
    pub(crate) async fn change_keys(
        &self,
        wish: KeyWish,
        rules: KeyRules,
        spare: Option<SealedKey>,
        now: SystemTime,
    ) -> Result<Result<KeyChange, KeyRefusal>, RepositoryError> {
        // As the store will have it.
        let now = from_micros(to_micros(now));
        let changed = self.database.write(move |transaction| {
            let spare = spare.clone();
            Box::pin(async move {
                take_turn(transaction).await?;
                let before = match key_set(Entity::find().all(transaction).await?) {
                    Ok(before) => before,
                    Err(corrupt) => return Ok(Outcome::Rollback(Err(corrupt))),
                };
                let after = match before.decide(wish, &rules, spare.as_ref().map(|key| &key.public), now) {
                    Ok(after) => after,
                    Err(refusal) => return Ok(Outcome::Rollback(Ok(Err(refusal)))),
                };
                let change = KeyChange { before, after };
                if !change.is_one() {
                    return Ok(Outcome::Rollback(Ok(Ok(change))));
                }
                store(transaction, &change, spare.as_ref()).await?;
                revocations::record(transaction, &change.after.revoked_since(&change.before), now).await?;
                audit::record(transaction, change.after.facts_since(&change.before), now).await?;
                Ok(Outcome::Commit(Ok(Ok(change))))
            })
        });
        let changed = changed.await??;
        if changed.as_ref().is_ok_and(KeyChange::is_one) {
            self.ring();
        }
        Ok(changed)
    }
}

impl KeyChange {
    /// Whether anything has changed.
    pub(crate) fn is_one(&self) -> bool {
        self.before != self.after
    }
}

/// Waits for everybody else who changes keys: until the end of the transaction nobody does.
async fn take_turn(transaction: &impl ConnectionTrait) -> Result<(), DbErr> {
    let next = Expr::col(signing_key_turn::Column::Turn).add(1);
    let take = signing_key_turn::Entity::update_many().col_expr(signing_key_turn::Column::Turn, next);
    take.exec(transaction).await.map(|_| ())
}

/// Writes what differs. They come in the order in which a key leaves a state before another takes it.
async fn store(transaction: &impl ConnectionTrait, change: &KeyChange, spare: Option<&SealedKey>) -> Result<(), DbErr> {
    for record in change.before.records() {
        if change.after.get(record.id()).is_none() {
            Entity::delete_by_id(record.id().to_string()).exec(transaction).await?;
        }
    }
    for record in change.after.records() {
        match change.before.get(record.id()) {
            Some(before) if before == record => {}
            Some(_) => {
                let mut update = Entity::update_many().set(changed_columns(record));
                if !record.has_private_half() {
                    update = update.col_expr(Column::SealedPrivateKey, Expr::value(None::<Vec<u8>>));
                }
                update.filter(Column::Kid.eq(record.id().to_string())).exec(transaction).await?;
            }
            None => {
                let sealed = spare.filter(|spare| spare.public == record.public).map(|spare| spare.sealed.clone());
                let row = ActiveModel {
                    kid: Set(record.id().to_string()),
                    modulus: Set(record.public.n.clone()),
                    exponent: Set(record.public.e.clone()),
                    sealed_private_key: Set(sealed),
                    created_at: Set(to_micros(record.created_at)),
                    ..changed_columns(record)
                };
                Entity::insert(row).exec_without_returning(transaction).await?;
            }
        }
    }
    Ok(())
}

/// What a key's turn changes.
fn changed_columns(record: &KeyRecord) -> ActiveModel {
    ActiveModel {
        state: Set(record.state.name().to_owned()),
        due_at: Set(record.due_at.map(to_micros)),
        activated_at: Set(record.activated_at.map(to_micros)),
        retired_at: Set(record.retired_at.map(to_micros)),
        revoked_at: Set(record.revoked_at.map(to_micros)),
        ..Default::default()
    }
}

fn key_set(rows: Vec<Model>) -> Result<KeySet, RepositoryError> {
    rows.into_iter().map(record_of).collect::<Result<_, _>>().map(KeySet::new)
}

fn record_of(row: Model) -> Result<KeyRecord, RepositoryError> {
    let corrupt = |column| RepositoryError::Corrupt { table: "signing_keys", column };
    let state = KeyState::ALL.into_iter().find(|state| state.name() == row.state);
    Ok(KeyRecord {
        public: PublicHalf {
            id: KeyId::parse(&row.kid).ok_or_else(|| corrupt("kid"))?,
            n: row.modulus,
            e: row.exponent,
        },
        state: state.ok_or_else(|| corrupt("state"))?,
        created_at: from_micros(row.created_at),
        due_at: row.due_at.map(from_micros),
        activated_at: row.activated_at.map(from_micros),
        retired_at: row.retired_at.map(from_micros),
        revoked_at: row.revoked_at.map(from_micros),
    })
}
