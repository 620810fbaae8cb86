use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "note_tags")]
pub(in crate::repository) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) owner_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) note_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(in crate::repository) tag_id: Uuid,
    pub(in crate::repository) trash_epoch: i64,
    pub(in crate::repository) create_us: i64,
    pub(in crate::repository) update_us: i64,
    pub(in crate::repository) title_key: Vec<u8>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(in crate::repository) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
