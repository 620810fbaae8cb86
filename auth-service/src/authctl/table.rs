use std::time::SystemTime;

use serde_json::{Map, Value, json};

/// Between two columns.
const GAP: &str = "  ";

/// What a command has to say: rows of values under names, for people or for programs.
#[derive(Debug)]
pub(super) struct Table {
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

impl Table {
    /// An empty table.
    pub(super) const fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row with one value for each column.
    pub(super) fn push(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.columns.len(), "one value for each column");
        self.rows.push(row);
    }

    /// Aligned columns beneath their names; a value that is not there is a dash.
    pub(super) fn text(&self) -> String {
        let head = self.columns.iter().map(|name| name.to_uppercase()).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(word).collect());
        let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let padded = |line: &Vec<String>| {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned() + "\n"
        };
        lines.iter().map(padded).collect()
    }

    /// An array of objects, one on each line.
    pub(super) fn json(&self) -> String {
        let object = |row: &Vec<Value>| {
            let members = self.columns.iter().map(|name| (*name).to_owned()).zip(row.iter().cloned());
            Value::Object(members.collect::<Map<_, _>>()).to_string()
        };
        format!("[{}]\n", self.rows.iter().map(object).collect::<Vec<_>>().join(",\n "))
    }
}

/// A time as RFC 3339 writes it, in UTC.
pub(super) fn time(at: SystemTime) -> Value {
    json!(prost_types::Timestamp::from(at).to_string())
}

/// What somebody else has typed must not be able to draw on the operator's terminal.
fn word(value: &Value) -> String {
    let word = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(word).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["name", "uses", "last_used_at"]);
        table.push(vec![json!("tea"), json!(12), time(UNIX_EPOCH + Duration::from_secs(1_800_000_000))]);
        table.push(vec![json!("coffee\u{1b}[2J"), json!(3), Value::Null]);
        table
    }

    #[test]
    fn people_read_aligned_columns_that_cannot_draw_on_their_terminal() {
        let expected = "NAME        USES  LAST_USED_AT\n\
                        tea         12    2027-01-15T08:00:00Z\n\
                        coffee\u{fffd}[2J  3     -\n";
        assert_eq!(table().text(), expected);
    }

    #[test]
    fn programs_read_objects() {
        let objects: Value = serde_json::from_str(&table().json()).expect("JSON");
        assert_eq!(objects[0], json!({"name": "tea", "uses": 12, "last_used_at": "2027-01-15T08:00:00Z"}));
        assert_eq!(objects[1]["last_used_at"], Value::Null);
        assert_eq!(Table::new(&["name"]).json(), "[]\n");
    }
}
