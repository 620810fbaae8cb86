use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notes")]
pub(in crate::repository) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) owner_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) note_id: Uuid,
    pub(in crate::repository) title: String,
    pub(in crate::repository) title_key: Vec<u8>,
    pub(in crate::repository) snippet: String,
    pub(in crate::repository) content_bytes: i64,
    pub(in crate::repository) pinned: bool,
    pub(in crate::repository) archived: bool,
    pub(in crate::repository) color: i16,
    pub(in crate::repository) state: i16,
    pub(in crate::repository) create_us: i64,
    pub(in crate::repository) update_us: i64,
    pub(in crate::repository) delete_us: Option<i64>,
    pub(in crate::repository) purge_us: Option<i64>,
    pub(in crate::repository) revision: i64,
    pub(in crate::repository) digest: i64,
    pub(in crate::repository) change_seq: i64,
    pub(in crate::repository) trash_epoch: i64,
    pub(in crate::repository) tag_ids: Option<Vec<u8>>,
    pub(in crate::repository) kept_us: Option<i64>,
    pub(in crate::repository) kept_session: Option<Uuid>,
    pub(in crate::repository) revision_count: i64,
    pub(in crate::repository) revision_bytes: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(in crate::repository) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
