use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "revocations")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) revocation_id: i64,
    pub(crate) kind: String,
    pub(crate) account_id: Option<Uuid>,
    pub(crate) sid: Option<Uuid>,
    pub(crate) minimum_version: Option<i64>,
    pub(crate) kid: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
