//! The table.

/// One line of the table: a target, what was measured, and what it was derived from.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// What it should be; nothing for a row that others are compared with.
    pub(crate) target: String,
    /// What it was.
    pub(crate) measured: String,
    /// Whether that meets the target.
    pub(crate) met: Option<bool>,
    /// The figures behind it.
    pub(crate) behind: String,
}

impl Row {
    /// A figure without a target.
    pub(crate) fn plain(what: &str, behind: String) -> Self {
        Self { what: what.to_owned(), target: String::new(), measured: String::new(), met: None, behind }
    }

    /// A figure that should not be lower than `target`.
    pub(crate) fn at_least(what: String, measured: f64, target: f64, behind: String) -> Self {
        let met = Some(measured >= target);
        Self { what, target: format!(">= {target:.2}"), measured: format!("{measured:.2}"), met, behind }
    }

    /// A figure that should not be higher than `target`.
    pub(crate) fn at_most(what: String, measured: f64, target: f64, behind: String) -> Self {
        let met = Some(measured <= target);
        Self { what, target: format!("<= {target:.2}"), measured: format!("{measured:.2}"), met, behind }
    }
}

const HEAD: [&str; 5] = ["what", "target", "measured", "met", "behind it"];

/// Prints the rows under each other.
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
pub(crate) fn print(rows: &[Row]) {
    let lines: Vec<[&str; 5]> = std::iter::once(HEAD).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    println!();
    for [what, target, measured, met, behind] in lines {
        let [w, t, m, y] = widths;
        println!("{what:<w$}  {target:>t$}  {measured:>m$}  {met:<y$}  {behind}");
    }
}

fn cells(row: &Row) -> [&str; 5] {
    let met = match row.met {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    [&row.what, &row.target, &row.measured, met, &row.behind]
}
