//! The README tells the truth: its settings are those of the code, and its first calls run as they stand.

use std::fs;
use std::path::Path;
use std::process::Command;

use auth_service::AuthService;
use notes_service::NotesService;
use runtime::command::Service;
use runtime::config::Reader;
use runtime::telemetry::LogConfig;

use crate::harness::process::Program;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).expect("a README")
}

/// What stands in the README between this comment and the next fence's end.
fn block(after: &str) -> String {
    let readme = readme();
    let (_, rest) = readme.split_once(after).unwrap_or_else(|| panic!("{after} is not in the README"));
    let (_, rest) = rest.split_once("```").expect("a fence").1.split_once('\n').expect("a block");
    rest.split_once("```").expect("the end of the fence").0.to_owned()
}

/// The settings of a service as rows of a table.
fn settings<S: Service>() -> Vec<String> {
    let mut reader = Reader::new(S::PREFIX, None, []).expect("no file");
    S::read_config(&mut reader);
    LogConfig::read(&mut reader);
    reader.reference().lines().map(str::to_owned).collect()
}

#[track_caller]
fn check_table(rows: impl Iterator<Item = String>) {
    let table: String = rows.map(|row| row + "\n").collect();
    assert!(readme().contains(&table), "this table should be in the README:\n{table}");
}

#[test]
fn the_settings_are_those_of_the_code() {
    let (auth, notes) = (settings::<AuthService>(), settings::<NotesService>());
    let head = auth[..2].to_vec();
    let in_both = |row: &String| auth.contains(row) && notes.contains(row);
    check_table(auth.iter().filter(|row| in_both(row)).cloned());
    check_table(head.iter().chain(auth.iter().filter(|row| !in_both(row))).cloned());
    check_table(head.iter().chain(notes.iter().filter(|row| !in_both(row))).cloned());
}

#[test]
fn the_first_calls_run_as_they_stand() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [
        ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
        ("AUTH_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0"),
        ("NOTES_SERVICE_LISTEN", "127.0.0.1:0"),
        ("NOTES_SERVICE_OPERATIONS_LISTEN", "127.0.0.1:0"),
    ];
    let mut program = Program::start("standalone", folder.path(), &settings, 4);
    while program.log.iter().filter(|line| line.contains("\"ready\":true")).count() < 2 {
        program.next_line().expect("both services become ready");
    }
    let script = block("<!-- first calls -->")
        .replace("127.0.0.1:50051", &program.listeners["auth"].to_string())
        .replace("127.0.0.1:50052", &program.listeners["notes"].to_string());

    let output = Command::new("bash").args(["-euo", "pipefail", "-c", &script]).output().expect("bash runs");

    let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complaints}");
    assert_eq!(shape(&said), shape(&block("<!-- their output -->")), "the output in the README is another:\n{said}");
}

/// The output without what differs from run to run: ids, times, etags.
fn shape(text: &str) -> Vec<String> {
    let is_varying = |key: &str| ["name", "etag", "syncToken"].contains(&key) || key.ends_with("Time");
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| match line.trim().split_once(':') {
            Some((key, _)) if is_varying(key.trim_matches('"')) => key.to_owned(),
            _ => line.trim().to_owned(),
        })
        .collect()
}
