//! The settings for people: in force, and as a reference.

use std::fmt::Write as _;

use super::{SECRET, Setting};

/// TOML, the settings outside every table first, then table by table.
pub(super) fn toml(settings: &[Setting]) -> String {
    let mut text = String::new();
    let mut ordered: Vec<_> = settings.iter().map(|setting| (split(&setting.key), setting)).collect();
    ordered.sort_by_key(|((table, _), _)| *table);
    let mut last = "";
    for ((table, name), setting) in ordered {
        if table != last {
            text.push_str(&format!("\n[{table}]\n"));
            last = table;
        }
        let line = match &setting.value {
            Some(value) => format!("{name} = {value} # {}", setting.origin),
            None if setting.bounds == SECRET && setting.origin != "unset" => {
                format!("# {name} is a secret, from: {}", setting.origin)
            }
            None => format!("# {name} is not set"),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// A Markdown table in the order of reading.
pub(super) fn markdown(settings: &[Setting]) -> String {
    let mut text = String::from("| key | default | bounds | meaning |\n|---|---|---|---|\n");
    for Setting { key, default, bounds, doc, .. } in settings {
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        writeln!(text, "| `{key}` | {default} | {bounds} | {doc} |").expect("a String takes all");
    }
    text
}

fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}
