//! Compiles the contracts without protoc: messages, services, the encoded descriptor set and the access table.
//! Fails on a method without an access rule.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};

const FILES: [&str; 15] = [
    "access/v1/access.proto",
    "auth/internal/v1/trust_service.proto",
    "auth/v1/account.proto",
    "auth/v1/account_service.proto",
    "auth/v1/auth_service.proto",
    "auth/v1/session.proto",
    "notes/v1/filter.proto",
    "notes/v1/note.proto",
    "notes/v1/notes_service.proto",
    "notes/v1/revision.proto",
    "notes/v1/search.proto",
    "notes/v1/sync.proto",
    "notes/v1/tag.proto",
    "notes/v1/tag_service.proto",
    "notes/v1/usage.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "cargo tells a build script so where it may write")]
    let out = env::var("OUT_DIR")?;
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // Encoded by protox itself: decoding and encoding again would lose the options that prost does not know.
    let descriptors = compiler.encode_file_descriptor_set();
    fs::write(Path::new(&out).join("descriptors.bin"), &descriptors)?;

    let pool = DescriptorPool::decode(descriptors.as_slice())?;
    fs::write(Path::new(&out).join("access.rs"), access_table(&pool)?)?;

    let secretive: Vec<_> = pool.all_messages().filter(holds_a_secret).collect();
    fs::write(Path::new(&out).join("redacted.rs"), redacted(&secretive)?)?;
    let codegen = tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .skip_debug(secretive.iter().map(|message| format!(".{}", message.full_name())));
    codegen.compile_fds(compiler.file_descriptor_set())?;

    println!("cargo:rerun-if-changed=build.rs");
    for folder in ["access", "auth", "notes"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    Ok(())
}

/// The Rust source of `&[("/package.Service/Method", Rule), …]`, sorted by path.
fn access_table(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let extension =
        pool.get_extension_by_name("access.v1.rule").ok_or("access/v1/access.proto does not define access.v1.rule")?;
    let mut rows = Vec::new();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let options = method.options();
        if !options.has_extension(&extension) {
            return Err(format!("{path} has no access rule: add `option (access.v1.rule)`").into());
        }
        let rule = match options.get_extension(&extension).as_message() {
            Some(rule) => rule_source(rule).ok_or_else(|| format!("the access rule of {path} is empty"))?,
            None => return Err(format!("the access rule of {path} is not a message").into()),
        };
        rows.push(format!("    ({path:?}, {rule}),\n"));
    }
    rows.sort();
    Ok(format!("&[\n{}]", rows.concat()))
}

fn rule_source(rule: &DynamicMessage) -> Option<String> {
    if rule.get_field_by_name("public").as_deref() == Some(&Value::Bool(true)) {
        return Some("Rule::Public".to_owned());
    }
    let text = |name| match rule.get_field_by_name(name).as_deref() {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let scope = text("scope").map(|scope| format!("Rule::Scope({scope:?})"));
    scope.or_else(|| text("service").map(|audience| format!("Rule::Service({audience:?})")))
}

fn holds_a_secret(message: &MessageDescriptor) -> bool {
    message
        .fields()
        .any(|field| field.options().get_field_by_name("debug_redact").as_deref() == Some(&Value::Bool(true)))
}

/// `Debug` for messages with a `debug_redact` field: the name of the type and nothing of its content.
fn redacted(messages: &[MessageDescriptor]) -> Result<String, std::fmt::Error> {
    let mut source = String::new();
    for message in messages {
        let name = message.name();
        let path = format!("{}::{name}", message.package_name().replace('.', "::"));
        writeln!(
            source,
            "impl std::fmt::Debug for {path} {{\n    \
                 fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n        \
                     formatter.debug_struct({name:?}).finish_non_exhaustive()\n    }}\n}}"
        )?;
    }
    Ok(source)
}
