use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tag_tombstones")]
pub(in crate::repository) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) owner_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) tag_id: Uuid,
    pub(in crate::repository) change_seq: i64,
    pub(in crate::repository) expire_us: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(in crate::repository) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
