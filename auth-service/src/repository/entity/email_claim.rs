use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "email_claims")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) email_key: String,
    pub(crate) account_id: Uuid,
    pub(crate) state: String,
}

impl ActiveModelBehavior for ActiveModel {}
