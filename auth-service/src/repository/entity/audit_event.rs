use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) event_id: i64,
    pub(crate) at: i64,
    pub(crate) event: String,
    pub(crate) account_id: Option<Uuid>,
    pub(crate) sid: Option<Uuid>,
    pub(crate) generation: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) sessions: Option<i64>,
    pub(crate) kid: Option<String>,
    pub(crate) times: i64,
}

impl ActiveModelBehavior for ActiveModel {}
