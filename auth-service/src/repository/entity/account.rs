use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) account_id: Uuid,
    pub(crate) email: String,
    pub(crate) display_name: String,
    pub(crate) email_verified: bool,
    pub(crate) roles: String,
    pub(crate) state: String,
    pub(crate) password_hash: String,
    pub(crate) token_version: i64,
    pub(crate) revision: i64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) last_login_at: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
