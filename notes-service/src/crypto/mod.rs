//! Secrets at work.

mod page_token;
mod page_token_secret;
mod revision_page_token;
mod search_page_token;
mod sync_token;
mod tag_page_token;
mod token_keys;

pub use page_token::PageTokens;
pub use page_token_secret::page_token_secret;
pub use sync_token::{Opened, SyncTokens};
pub use token_keys::TokenKeys;
