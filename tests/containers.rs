//! What the container files promise, read from the files: docker-compose.yml and both Dockerfiles. Nothing is built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use auth_service::AuthService;
use notes_service::NotesService;
use runtime::command::Service;
use runtime::config::Reader;
use serde_norway::Value;

use crate::harness::stack::write_secret;

/// Ours, and the port on which each is called.
const SERVICES: [(&str, &str); 2] = [("auth-service", "50051"), ("notes-service", "50052")];

/// The user of every container: the `nonroot` of distroless images.
const USER: &str = "65532:65532";

/// Keys that Compose v2 reads and Compose 1.29 refuses.
const TOO_NEW: [&str; 3] = ["name", "include", "configs"];

#[test]
fn every_container_runs_without_root_capabilities_and_writable_files() {
    for (name, service) in services() {
        assert_eq!(text(&service["user"]), USER, "{name}");
        assert_eq!(service["read_only"], Value::Bool(true), "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert!(!texts(&service["tmpfs"]).is_empty(), "{name}");
        for key in ["privileged", "cap_add", "pid", "ipc", "network_mode", "devices", "userns_mode"] {
            assert!(service.get(key).is_none(), "{name}: {key}");
        }
    }
}

#[test]
fn every_container_is_checked_restarted_and_given_time_to_stop() {
    for (name, service) in services() {
        let check = &service["healthcheck"];
        assert_eq!(texts(&check["test"])[0], "CMD", "{name}: without a shell");
        for key in ["interval", "timeout", "start_period"] {
            assert!(text(&check[key]).ends_with('s'), "{name}: {key}");
        }
        assert!(check["retries"].is_u64(), "{name}");
        assert_eq!(text(&service["restart"]), "unless-stopped", "{name}");
        assert!(text(&service["stop_grace_period"]).ends_with('s'), "{name}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}: an endless log");
    }
}

#[test]
fn both_services_wait_for_a_healthy_database_and_for_nothing_else() {
    let services = services();
    for (name, _) in SERVICES {
        let awaited = services[name]["depends_on"].as_mapping().expect("conditions");
        assert_eq!(awaited.len(), 1, "{name}: the notes service does not need the auth service to start");
        assert_eq!(text(&awaited["postgres"]["condition"]), "service_healthy", "{name}");
    }
}

#[test]
fn only_the_loopback_interface_is_published_and_the_database_not_at_all() {
    let services = services();
    for (name, port) in SERVICES {
        assert_eq!(texts(&services[name]["ports"]), [format!("127.0.0.1:{port}:{port}")], "and no internal listener");
        assert_eq!(texts(&services[name]["networks"]), ["default", "database"]);
    }
    assert!(services["postgres"].get("ports").is_none());
    assert_eq!(texts(&services["postgres"]["networks"]), ["database"]);
    assert_eq!(compose()["networks"]["database"]["internal"], Value::Bool(true));
}

#[test]
fn images_are_named_by_a_version() {
    for (name, service) in services() {
        assert_pinned(&text(&service["image"]), &name);
        if let Some((known, _)) = SERVICES.iter().find(|(known, _)| *known == name) {
            assert_eq!(text(&service["build"]["dockerfile"]), format!("{known}/Dockerfile"));
            assert_eq!(text(&service["build"]["context"]), ".");
        }
    }
}

#[test]
fn secrets_are_files_and_never_values() {
    let compose = compose();
    let files = compose["secrets"].as_mapping().expect("secrets");
    let mut used = BTreeSet::new();
    for (name, service) in services() {
        let granted: BTreeSet<_> = texts(&service["secrets"]).into_iter().collect();
        for (key, value) in environment(&service) {
            let secret = ["SECRET", "PASSWORD", "KEY", "DATABASE_URL", "TOKEN", "CREDENTIAL"]
                .iter()
                .any(|word| key.contains(word));
            let named = value.strip_prefix("/run/secrets/");
            assert!(!secret || key.ends_with("_FILE") && named.is_some(), "{name}: {key} is not a file");
            assert!(!value.contains("${"), "{name}: {key} comes from somebody's environment");
            assert!(named.is_none_or(|named| granted.contains(named)), "{name}: {value} is not granted");
        }
        assert!(service.get("env_file").is_none(), "{name}");
        used.extend(granted);
    }
    let defined: BTreeSet<_> = files.keys().map(text).collect();
    assert_eq!(used, defined, "secrets used, and secrets defined");
    for file in files.values() {
        let file = text(&file["file"]);
        assert!(file.starts_with("./secrets/"), "{file}");
    }
    assert!(read(".gitignore").lines().any(|line| line == "/secrets"), "secrets could be committed");
}

#[test]
fn the_readme_says_how_every_secret_is_made() {
    let readme = read("README.md");
    for file in compose()["secrets"].as_mapping().expect("secrets").values() {
        let file = text(&file["file"]);
        let (_, name) = file.rsplit_once('/').expect("a path");
        // Both database URLs are made in one line, `for name in auth notes`.
        let name = name.trim_start_matches("auth").trim_start_matches("notes");
        assert!(readme.contains(name), "README.md does not say how {file} is made");
    }
}

#[test]
fn each_service_has_a_database_a_role_and_secrets_of_its_own() {
    let services = services();
    let secrets = |name: &str| texts(&services[name]["secrets"]).into_iter().collect::<BTreeSet<_>>();
    let shared: Vec<_> = secrets("auth-service").intersection(&secrets("notes-service")).cloned().collect();
    assert_eq!(shared, ["internal_credential"], "one shows it to the other, and they share no other");
    assert!(!secrets("auth-service").contains("postgres_password"));
    assert!(!secrets("notes-service").contains("postgres_password"));

    let script = "docker-compose.postgres.sql";
    let mount = format!("./{script}:/docker-entrypoint-initdb.d/databases.sql:ro");
    assert!(texts(&services["postgres"]["volumes"]).contains(&mount));
    let script = read(script);
    for name in ["auth", "notes"] {
        assert!(script.contains(&format!("/run/secrets/{name}_database_url")));
        assert!(script.contains(&format!("CREATE DATABASE {name}_service OWNER {name}_service;")));
        assert!(script.contains(&format!("REVOKE ALL ON DATABASE {name}_service FROM PUBLIC;")));
    }
}

#[test]
fn every_setting_named_is_one_that_the_service_has() {
    let services = services();
    for (name, _) in SERVICES {
        let mut settings = environment(&services[name]);
        settings.extend(dockerfile(name).into_iter().filter(|(word, _)| word == "ENV").map(|(_, rest)| {
            let (key, value) = rest.split_once('=').expect("one KEY=value in an ENV");
            (key.to_owned(), value.to_owned())
        }));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = settings.into_iter().map(|(key, value)| (key, stand_in(&value, folder.path())));
        match name {
            "auth-service" => assert_accepted::<AuthService>(settings.collect()),
            _ => assert_accepted::<NotesService>(settings.collect()),
        }
    }
}

#[test]
fn compose_1_29_reads_the_file_too() {
    let compose = compose();
    for key in TOO_NEW {
        assert!(compose.get(key).is_none(), "{key}");
    }
    for (name, service) in services() {
        assert!(service.get("develop").is_none(), "{name}");
        assert!(service["healthcheck"].get("start_interval").is_none(), "{name}");
    }
}

#[test]
fn images_build_in_stages_from_replaceable_bases_with_any_builder() {
    for (name, _) in SERVICES {
        let source = read(&format!("{name}/Dockerfile"));
        assert!(!source.lines().any(|line| line.replace(' ', "").starts_with("#syntax=")), "{name}");
        let steps = dockerfile(name);
        let first_stage = steps.iter().position(|(word, _)| word == "FROM").expect("a stage");
        let arguments: BTreeMap<_, _> =
            steps[..first_stage].iter().map(|(_, rest)| rest.split_once('=').expect("ARG with a default")).collect();
        for image in arguments.values() {
            assert_pinned(image, name);
        }
        let bases: Vec<_> =
            all(&steps, "FROM").into_iter().map(|rest| rest.split(' ').next().expect("a base")).collect();
        assert_eq!(bases, ["${RUST_IMAGE}", "${RUNTIME_IMAGE}"], "{name}");
        assert_eq!(arguments.len(), 2, "{name}");
        for command in all(&steps, "RUN") {
            assert!(!command.contains("--mount"), "{name}: {command}");
        }
        let build = format!("cargo build --locked --release --package {name} --bin {name}");
        assert!(all(&steps, "RUN").iter().any(|command| command.starts_with(&build)), "{name}");
    }
}

#[test]
fn images_run_as_nobody_in_particular_and_check_themselves() {
    for (name, port) in SERVICES {
        let steps = dockerfile(name);
        let last_stage = steps.iter().rposition(|(word, _)| word == "FROM").expect("a stage");
        let steps = &steps[last_stage..];
        assert_eq!(all(steps, "USER"), [USER], "{name}");
        assert_eq!(all(steps, "EXPOSE"), [port], "{name}");
        assert_eq!(all(steps, "ENTRYPOINT"), [format!("[\"/{name}\"]")], "{name}");
        assert_eq!(all(steps, "CMD"), ["[\"serve\"]"], "{name}");
        let check = all(steps, "HEALTHCHECK");
        assert!(check[0].ends_with(&format!("CMD [\"/{name}\", \"health\"]")), "{name}: {check:?}");
        assert!(all(steps, "RUN").is_empty(), "{name}: the runtime image has no shell");
        assert!(all(steps, "ADD").is_empty(), "{name}");
        let data = format!("--chown={USER} /out/data /data");
        assert!(all(steps, "COPY").iter().any(|copy| copy.ends_with(&data)), "{name}: /data is the user's");
        assert_eq!(all(steps, "WORKDIR"), ["/"], "{name}: the default data folder is /data");
    }
}

#[test]
fn nothing_but_sources_is_sent_to_the_builder() {
    let ignored = read(".dockerignore");
    let rules: Vec<_> = ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(rules[0], "*", "everything is left out that is not named");
    let sent: BTreeSet<_> = rules.iter().filter_map(|rule| rule.strip_prefix('!')).collect();
    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let members = manifest["workspace"]["members"].as_array().expect("members").iter();
    let folders = members.map(|member| member.as_str().expect("a path").split('/').next().expect("a folder"));
    assert_eq!(sent, folders.chain(["Cargo.lock", "Cargo.toml"]).collect());
    assert!(rules.contains(&"**/target"));
}

/// Fails unless the service takes these settings, all of them known.
fn assert_accepted<S: Service>(settings: Vec<(String, String)>) {
    let mut reader = Reader::new(S::PREFIX, None, settings).expect("readable settings");
    let _ = S::read_config(&mut reader);
    if let Err(error) = reader.finish() {
        panic!("{} refuses its settings in the container: {error}", S::NAME);
    }
}

/// A value that serves here: a secret's path becomes that of a file in `folder` with a plausible secret.
fn stand_in(value: &str, folder: &Path) -> String {
    let Some(secret) = value.strip_prefix("/run/secrets/") else { return value.to_owned() };
    let content = match secret {
        "auth_database_url" | "notes_database_url" => "postgres://role:password@postgres/database".to_owned(),
        _ => "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".to_owned(),
    };
    let path = folder.join(secret);
    write_secret(&path, &content);
    path.display().to_string()
}

#[track_caller]
fn assert_pinned(image: &str, name: &str) {
    let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no tag"));
    assert_ne!(tag, "latest", "{name}: {image}");
}

fn compose() -> Value {
    let mut compose: Value = serde_norway::from_str(&read("docker-compose.yml")).expect("YAML");
    compose.apply_merge().expect("anchors that exist");
    compose
}

fn services() -> BTreeMap<String, Value> {
    let compose = compose();
    let services = compose["services"].as_mapping().expect("services");
    assert_eq!(services.len(), SERVICES.len() + 1, "a service that these tests do not know");
    services.iter().map(|(name, service)| (text(name), service.clone())).collect()
}

fn environment(service: &Value) -> Vec<(String, String)> {
    let environment = service["environment"].as_mapping().expect("KEY: value");
    environment.iter().map(|(key, value)| (text(key), text(value))).collect()
}

/// The instructions of a Dockerfile, each with the rest of its line, continued lines joined.
fn dockerfile(service: &str) -> Vec<(String, String)> {
    let source = read(&format!("{service}/Dockerfile"));
    let lines = source.lines().filter(|line| !line.trim_start().starts_with('#') && !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let instruction = |line: &str| {
        let (word, rest) = line.split_once(' ').expect("an instruction and its argument");
        (word.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    joined.lines().map(instruction).collect()
}

fn all<'a>(steps: &'a [(String, String)], word: &str) -> Vec<&'a str> {
    steps.iter().filter(|(known, _)| known == word).map(|(_, rest)| rest.as_str()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value:?}")).to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_sequence().unwrap_or_else(|| panic!("not a list: {value:?}")).iter().map(text).collect()
}

fn read(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
