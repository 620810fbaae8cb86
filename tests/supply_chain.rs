//! What may be in the dependency tree. `.deny.toml` says it to cargo-deny; this says it wherever the tests run, and adds
//! the minimum versions: some mistakes that were fixed there stand in no advisory database.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

/// Crates that are never compiled into this workspace, and why.
const BANNED: [(&str, &str); 10] = [
    ("mimalloc", "with it an idle service has more than its 40 MB in use"),
    ("native-tls", "rustls does TLS"),
    ("openssl", "aws-lc-rs and rustls do the cryptography"),
    ("openssl-sys", "aws-lc-rs and rustls do the cryptography"),
    ("prost-protovalidate-types", "its build script runs protoc"),
    ("protobuf-src", "protox compiles the contracts"),
    ("protoc-bin-vendored", "protox compiles the contracts"),
    ("protoc-prebuilt", "protox compiles the contracts"),
    ("ring", "with two providers rustls panics at the first handshake"),
    ("rsa", "RUSTSEC-2023-0071 (Marvin attack) is fixed in no version"),
];

/// The oldest version that each crate may have, and what is wrong with older ones.
const MINIMUM: [(&str, &str, &str); 17] = [
    ("bytes", "1.11.1", "RUSTSEC-2026-0007"),
    ("h2", "0.4.20", "RUSTSEC-2026-0258, RUSTSEC-2024-0332, RUSTSEC-2024-0003; refused streams were not counted"),
    ("hyper", "1.12.0", "header limits; the order of content-length and transfer-encoding"),
    ("idna", "1.0.3", "RUSTSEC-2024-0421"),
    ("jsonwebtoken", "10.3.0", "CVE-2026-25537: exp and nbf of a wrong JSON type were taken as absent"),
    ("libsqlite3-sys", "0.37.0", "bundles SQLite 3.51.3, the first without the WAL-reset bug"),
    ("postgres-protocol", "0.6.12", "RUSTSEC-2026-0179, RUSTSEC-2026-0180"),
    ("rustls-webpki", "0.103.13", "four advisories of 2026"),
    ("sea-orm", "2.0.4", "the version that the storage was measured and tested with"),
    ("sqlx", "0.9.0", "RUSTSEC-2024-0363"),
    ("time", "0.3.47", "RUSTSEC-2026-0009"),
    ("tokio-postgres", "0.7.18", "RUSTSEC-2026-0178"),
    ("tonic", "0.14.9", "RUSTSEC-2024-0376; size limit after decompression; no deadline for HTTP/1 headers"),
    ("tonic-health", "0.14.9", "goes with tonic"),
    ("tonic-reflection", "0.14.9", "goes with tonic"),
    ("tonic-web", "0.14.9", "goes with tonic"),
    ("tracing-subscriber", "0.3.20", "RUSTSEC-2025-0055: ANSI escapes in logs"),
];

/// Crates of [`MINIMUM`] that must be there at all.
const EXPECTED: [&str; 8] =
    ["bytes", "h2", "hyper", "jsonwebtoken", "libsqlite3-sys", "rustls-webpki", "sqlx", "tonic"];

/// Crates of which two versions would be two things to keep patched.
const SINGLE: [&str; 9] =
    ["aws-lc-rs", "h2", "http", "hyper", "jsonwebtoken", "rustls", "rustls-webpki", "tokio", "tonic"];

#[test]
fn no_crate_is_older_than_the_version_that_mended_it() {
    let lock = lock();
    assert_eq!(too_old(&lock), Vec::<String>::new());
    let present: BTreeSet<_> = packages(&lock).into_iter().map(|package| package.name).collect();
    for name in EXPECTED {
        assert!(present.contains(name), "{name} has left the tree: take it off the list");
    }
}

#[test]
fn a_planted_old_version_is_found() {
    let planted = "[[package]]\nname = \"jsonwebtoken\"\nversion = \"9.3.1\"\n\n\
                   [[package]]\nname = \"h2\"\nversion = \"0.4.20\"\n";
    let found = too_old(&planted.parse().expect("TOML"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("jsonwebtoken 9.3.1"), "{found:?}");
}

#[test]
fn no_banned_crate_is_compiled() {
    // The lock file also names crates behind features that nobody asks for; the tree is what is compiled.
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--edges=all", "--prefix=none", "--format={p}"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("names");
    let compiled: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(compiled.contains("tonic") && compiled.contains("aws-lc-rs"), "the tree was not read: {compiled:?}");
    for (name, why) in BANNED {
        assert!(!compiled.contains(name), "{name} is compiled: {why}");
    }
}

#[test]
fn both_lists_of_banned_crates_are_the_same() {
    let deny = read_toml(&root().join(".deny.toml"));
    let listed = deny["bans"]["deny"].as_array().expect("a list").iter();
    let denied = listed.filter(|entry| entry.get("deny-multiple-versions").is_none());
    let denied: BTreeSet<_> = denied.map(|entry| entry["crate"].as_str().expect("a name")).collect();
    assert_eq!(denied, BANNED.map(|(name, _)| name).into_iter().collect());
}

#[test]
fn what_must_be_patched_at_once_is_there_only_once() {
    let lock = lock();
    for name in SINGLE {
        let versions: Vec<_> = packages(&lock).into_iter().filter(|package| package.name == name).collect();
        assert_eq!(versions.len(), 1, "{versions:?}");
    }
}

#[test]
fn every_crate_is_ours_or_of_the_one_registry_with_a_checksum() {
    let lock = lock();
    let ours = members();
    let ours: BTreeSet<_> = ours.iter().filter_map(|member| member["package"]["name"].as_str()).collect();
    let mut sources = BTreeSet::new();
    for package in packages(&lock) {
        match package.source {
            Some(source) => {
                assert!(source.starts_with("registry+"), "{} comes from {source}", package.name);
                assert!(package.has_checksum, "{} has no checksum", package.name);
                sources.insert(source);
            }
            None => assert!(ours.contains(package.name), "{} is a path outside", package.name),
        }
    }
    assert_eq!(sources.len(), 1, "{sources:?}");
}

#[test]
fn versions_stand_in_the_top_manifest_only() {
    let top = read_toml(&root().join("Cargo.toml"));
    for (name, dependency) in top["workspace"]["dependencies"].as_table().expect("a table") {
        let version = dependency.as_str().or_else(|| dependency.get("version")?.as_str());
        assert!(!version.is_some_and(|version| version.contains('*')), "{name}: a wildcard");
        assert!(dependency.get("git").is_none(), "{name}: a git source");
        assert!(version.is_some() || dependency.get("path").is_some(), "{name}: neither version nor path");
    }
    for member in members() {
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, dependency) in member.get(table).and_then(Value::as_table).into_iter().flatten() {
                let inherited = dependency.get("workspace").and_then(Value::as_bool) == Some(true);
                assert!(inherited, "{}: {name} has a version of its own", member["package"]["name"]);
            }
        }
        for key in ["edition", "license", "publish", "rust-version", "version"] {
            assert!(member["package"][key].get("workspace").is_some(), "{}: {key}", member["package"]["name"]);
        }
    }
}

#[derive(Debug)]
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    source: Option<&'a str>,
    has_checksum: bool,
}

fn packages(lock: &Table) -> Vec<Package<'_>> {
    let read = |entry| {
        let text = |key: &str| Value::get(entry, key).and_then(Value::as_str);
        let (name, version) = (text("name").expect("a name"), text("version").expect("a version"));
        Package { name, version, source: text("source"), has_checksum: text("checksum").is_some() }
    };
    lock["package"].as_array().expect("packages").iter().map(read).collect()
}

/// Every package below its minimum, with the reason.
fn too_old(lock: &Table) -> Vec<String> {
    let mut found = Vec::new();
    for Package { name, version, .. } in packages(lock) {
        for (_, minimum, why) in MINIMUM.iter().filter(|(known, ..)| *known == name) {
            if number(version) < number(minimum) {
                found.push(format!("{name} {version} is older than {minimum}: {why}"));
            }
        }
    }
    found
}

/// The three numbers of a version, without what follows `-` or `+`.
fn number(version: &str) -> Vec<u64> {
    let release = version.split(['-', '+']).next().expect("the first part");
    release.split('.').map(|part| part.parse().expect("a number")).collect()
}

fn members() -> Vec<Table> {
    let top = read_toml(&root().join("Cargo.toml"));
    let members = top["workspace"]["members"].as_array().expect("a list").iter();
    members.map(|member| read_toml(&root().join(member.as_str().expect("a path")).join("Cargo.toml"))).collect()
}

fn lock() -> Table {
    read_toml(&root().join("Cargo.lock"))
}

fn read_toml(path: &Path) -> Table {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}
