use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "note_revisions")]
pub(in crate::repository) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) owner_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) note_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) revision: i64,
    pub(in crate::repository) digest: i64,
    pub(in crate::repository) reason: i16,
    pub(in crate::repository) title: String,
    pub(in crate::repository) snippet: String,
    pub(in crate::repository) content_bytes: i64,
    pub(in crate::repository) pinned: bool,
    pub(in crate::repository) archived: bool,
    pub(in crate::repository) color: i16,
    pub(in crate::repository) update_us: i64,
    pub(in crate::repository) create_us: i64,
    pub(in crate::repository) expire_us: Option<i64>,
    pub(in crate::repository) content: Vec<u8>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(in crate::repository) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
