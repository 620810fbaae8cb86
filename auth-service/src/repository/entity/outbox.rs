use sea_orm::entity::prelude::*;

/// The `kind` of the deletion of an account.
pub(crate) const ACCOUNT_DELETED: &str = "account_deleted";

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) event_id: Uuid,
    pub(crate) kind: String,
    pub(crate) account_id: Uuid,
    pub(crate) token_version: i64,
    pub(crate) created_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
