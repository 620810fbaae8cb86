//! The contracts of both services and nothing else: messages, clients and servers in modules named like their
//! packages, the encoded [`FILE_DESCRIPTOR_SET`], and the [`access`] rule of every method.
//!
//! Begin with the `.proto` files beside this crate's `src`; their comments state limits and errors. What is not here:
//! conversions to domain values (each service has its own) and anything that runs.
//!
//! Messages that hold a field marked `debug_redact` print only their name with `{:?}`.

/// Everything of package `access`.
pub mod access {
    /// Who may call a method.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Rule {
        /// Anybody; an `authorization` header is not looked at.
        Public,
        /// A caller whose verified access token carries this scope (RFC 6749 §3.3).
        Scope(&'static str),
        /// A service of the same operator, which shows the credential for this audience instead of an access token.
        Service(&'static str),
    }

    /// The rule of every method of every service by its full path, `/package.Service/Method`, sorted by path.
    pub static ACCESS: &[(&str, Rule)] = include!(concat!(env!("OUT_DIR"), "/access.rs"));
}

/// Everything of package `auth`.
pub mod auth {
    /// What is for the services of one operator.
    pub mod internal {
        /// Package `auth.internal.v1`: what verifiers must know at once.
        #[expect(clippy::allow_attributes, reason = "generated code")]
        pub mod v1 {
            tonic::include_proto!("auth.internal.v1");
        }
    }

    /// Package `auth.v1`: accounts, sessions, tokens and keys.
    #[expect(clippy::allow_attributes, reason = "generated code")]
    pub mod v1 {
        tonic::include_proto!("auth.v1");
    }
}

/// Everything of package `notes`.
pub mod notes {
    /// Package `notes.v1`: the notes of one owner.
    #[expect(clippy::allow_attributes, reason = "generated code")]
    pub mod v1 {
        tonic::include_proto!("notes.v1");
    }
}

/// Every contract as an encoded `google.protobuf.FileDescriptorSet`, with imports, comments and custom options.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

include!(concat!(env!("OUT_DIR"), "/redacted.rs"));
