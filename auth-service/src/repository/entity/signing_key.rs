use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "signing_keys")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) kid: String,
    pub(crate) state: String,
    pub(crate) modulus: String,
    pub(crate) exponent: String,
    pub(crate) sealed_private_key: Option<Vec<u8>>,
    pub(crate) created_at: i64,
    pub(crate) due_at: Option<i64>,
    pub(crate) activated_at: Option<i64>,
    pub(crate) retired_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
