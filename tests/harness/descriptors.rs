//! What holds for every RPC is asked of every RPC: the list comes from the contracts themselves.

use prost_reflect::{DescriptorPool, MethodDescriptor};
use proto::access::{ACCESS, Rule};

/// One RPC of ours.
pub struct Rpc {
    /// `/package.Service/Method`.
    pub path: String,
    pub rule: Rule,
    pub method: MethodDescriptor,
}

impl Rpc {
    /// Whether the notes service serves it, and not the auth service.
    pub fn is_of_notes(&self) -> bool {
        self.path.starts_with("/notes.")
    }

    /// Whether it is for other services of the operator, on the internal listener.
    pub fn is_internal(&self) -> bool {
        self.path.contains(".internal.")
    }
}

/// Every RPC of both services.
pub fn rpcs() -> Vec<Rpc> {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).expect("the descriptors of the contracts");
    let rpcs: Vec<_> = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let rule = ACCESS.iter().find(|(known, _)| *known == path).expect("a rule for each method").1;
            Rpc { path, rule, method }
        })
        .collect();
    assert!(rpcs.len() >= 13, "the contracts were not read: {} methods", rpcs.len());
    rpcs
}
