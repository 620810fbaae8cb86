//! Secrets at work.

mod page_token;
mod page_token_secret;

pub use page_token::PageTokens;
pub use page_token_secret::page_token_secret;
