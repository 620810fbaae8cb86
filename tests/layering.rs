//! Who may import what: the words inside a service and what each may name. Crate edges and privacy enforce most of it;
//! this reads the rest from the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// Paths that the files of a folder may never name.
const FORBIDDEN: [(&str, &[&str]); 5] = [
    (
        "domain",
        &[
            "tonic",
            "prost",
            "proto",
            "sea_orm",
            "tokio",
            "tracing",
            "rand",
            "std::time::Instant",
            "crate::app",
            "crate::repository",
            "crate::rpc",
            "crate::crypto",
        ],
    ),
    ("app", &["tonic", "prost", "proto", "sea_orm", "crate::rpc"]),
    ("crypto", &["tonic", "proto", "sea_orm", "crate::app", "crate::repository", "crate::rpc"]),
    ("repository", &["tonic", "proto", "authn::Clock", "crate::app", "crate::rpc"]),
    ("rpc", &["sea_orm", "std::env", "crate::repository::entity"]),
];

const SERVICES: [&str; 2] = ["auth-service", "notes-service"];

#[test]
fn no_layer_names_what_it_may_not_name() {
    let mut looked_at = 0;
    let mut wrong = Vec::new();
    for service in SERVICES {
        for (folder, forbidden) in FORBIDDEN {
            for file in rust_files(&root().join(service).join("src").join(folder)) {
                looked_at += 1;
                let source = fs::read_to_string(&file).expect("readable");
                for name in forbidden.iter().filter(|name| names(&source, name)) {
                    wrong.push(format!("{} names {name}", file.display()));
                }
            }
        }
    }
    assert!(looked_at > 30, "the sources were not found: {looked_at} files");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_status_file_of_a_service_makes_a_status() {
    let mut wrong = Vec::new();
    for service in SERVICES {
        for file in rust_files(&root().join(service).join("src")) {
            let source = fs::read_to_string(&file).expect("readable");
            if !file.ends_with("rpc/status.rs") && ["Status::new(", "Refusal::new("].iter().any(|s| source.contains(s))
            {
                wrong.push(file);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_service_depends_on_the_other() {
    for (service, other) in [("auth-service", "notes-service"), ("notes-service", "auth-service")] {
        let manifest = fs::read_to_string(root().join(service).join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = manifest.parse().expect("TOML");
        for table in ["dependencies", "dev-dependencies"] {
            assert!(!manifest[table].as_table().expect("a table").contains_key(other), "{service} knows {other}");
        }
    }
}

#[test]
fn a_name_is_found_as_a_path_and_not_inside_another_word() {
    assert!(names("use tonic::Status;", "tonic"));
    assert!(names("fn f() -> tonic::Status {", "tonic"));
    assert!(names("use {\n    sea_orm::Value,\n};", "sea_orm"));
    assert!(!names("use crate::electronic::Part;", "tonic"));
    assert!(!names("// tonic drops handlers", "tonic"));
    assert!(!names("use crate::domain::prost;", "prost"));
}

/// Whether `source` has the path `name` followed by `::`, or imports it whole, outside comments.
fn names(source: &str, name: &str) -> bool {
    source.lines().map(|line| line.split("//").next().unwrap_or_default()).any(|code| {
        code.match_indices(name).any(|(at, _)| {
            let before = code[..at].chars().next_back();
            let after = &code[at + name.len()..];
            let starts = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
            starts && (after.starts_with("::") || (name.contains("::") && after.starts_with([';', ',', '}', '.'])))
        })
    })
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return files };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
