//! Secrets at work.

mod page_token;
mod secret_file;

pub use page_token::PageTokens;
pub use secret_file::page_token_secret;
