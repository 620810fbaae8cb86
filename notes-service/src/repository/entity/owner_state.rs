use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "owner_state")]
pub(in crate::repository) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) owner_id: Uuid,
    pub(in crate::repository) change_seq: i64,
    pub(in crate::repository) epoch: i64,
    pub(in crate::repository) note_count: i64,
    pub(in crate::repository) deleted_note_count: i64,
    pub(in crate::repository) bytes: i64,
    pub(in crate::repository) last_update_us: i64,
    pub(in crate::repository) trash_epoch: i64,
    pub(in crate::repository) deleted_bytes: i64,
    pub(in crate::repository) purge_due_us: Option<i64>,
    pub(in crate::repository) tag_count: i64,
    pub(in crate::repository) notes_digest: Vec<u8>,
    pub(in crate::repository) deleted_notes_digest: Vec<u8>,
    pub(in crate::repository) tags_digest: Vec<u8>,
    pub(in crate::repository) emptied_seq: i64,
    pub(in crate::repository) forgotten_seq: i64,
    pub(in crate::repository) revision_bytes: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(in crate::repository) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
