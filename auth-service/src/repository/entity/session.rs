use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) account_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) sid: Uuid,
    pub(crate) nonce: Vec<u8>,
    pub(crate) generation: i64,
    pub(crate) rotated_at_1: Option<i64>,
    pub(crate) rotated_at_2: Option<i64>,
    pub(crate) rotated_at_3: Option<i64>,
    pub(crate) rotated_at_4: Option<i64>,
    pub(crate) child_confirmed: bool,
    pub(crate) barrier_generation: i64,
    pub(crate) created_at: i64,
    pub(crate) last_used_at: i64,
    pub(crate) idle_expires_at: i64,
    pub(crate) absolute_expires_at: i64,
    pub(crate) auth_time: i64,
    pub(crate) amr: String,
    pub(crate) client_label: String,
    pub(crate) user_agent: String,
    pub(crate) ip_prefix: String,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) revoke_reason: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
