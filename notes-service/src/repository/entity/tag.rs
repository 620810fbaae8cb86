use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tags")]
pub(in crate::repository) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) owner_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) tag_id: Uuid,
    pub(in crate::repository) display_name: String,
    pub(in crate::repository) name_key: Vec<u8>,
    pub(in crate::repository) color: i16,
    pub(in crate::repository) note_count: i64,
    pub(in crate::repository) create_us: i64,
    pub(in crate::repository) update_us: i64,
    pub(in crate::repository) revision: i64,
    pub(in crate::repository) digest: i64,
    pub(in crate::repository) change_seq: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(in crate::repository) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
