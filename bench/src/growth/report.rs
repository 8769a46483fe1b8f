//! Writes `GROWTH.md` and the plots.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::ValueEnum;
use time::OffsetDateTime;

use super::Database;
use super::axis::{Axis, Metric};
use super::plot;
use super::series::{self, LIMIT, Outcome};
use crate::Result;
use crate::compare::report::{command, machine};

/// Writes both files into a folder.
pub fn write(folder: &Path, outcomes: &[Outcome], failures: &[String], postgres: Option<&str>) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("growth.svg"), plot::draw(outcomes))?;
    let versions = postgres.map(|it| format!(" {}.", it.replace("postgres (PostgreSQL)", "PostgreSQL")));
    let failed: String = failures.iter().flat_map(|it| ["- Not measured: ", it, "\n"]).collect();
    let text = format!(
        "# Growth\n\n\
         Written by `{}` on {}. How to read it: [README](README.md#growth).\n\n\
         Machine: {}. Kernel {}.{}\n\n\
         {}{}{failed}\n\
         ![The same as lines with logarithmic axes](growth.svg)\n",
        command(),
        OffsetDateTime::now_utc().date(),
        machine()?,
        fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
        versions.unwrap_or_default(),
        tables(outcomes),
        if failed.is_empty() { "" } else { "\n" },
    );
    Ok(fs::write(folder.join("GROWTH.md"), text)?)
}

/// Returns one Markdown table for each axis that was measured.
pub fn tables(outcomes: &[Outcome]) -> String {
    let measured = |axis: &&Axis| outcomes.iter().any(|outcome| outcome.axis == **axis);
    let tables: Vec<String> =
        Axis::value_variants().iter().filter(measured).map(|axis| table(outcomes, *axis)).collect();
    tables.join("\n")
}

fn table(outcomes: &[Outcome], axis: Axis) -> String {
    let mut sizes: Vec<u64> = outcomes.iter().filter(|it| it.axis == axis).map(|it| it.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut text = format!("## By {}\n\n| |", axis.title());
    // Writing to a string cannot fail.
    for size in &sizes {
        let _ = write!(text, " {} |", series::thousands(*size));
    }
    text.push_str(" exponent |\n|---|");
    text.push_str(&"---:|".repeat(sizes.len() + 1));
    text.push('\n');
    for metric in axis.metrics() {
        for database in Database::value_variants() {
            let points = series::points(outcomes, axis, *database, metric);
            if points.is_empty() {
                continue;
            }
            let _ = write!(text, "| {}, {} |", metric.name, database.title());
            for size in &sizes {
                let value = points.iter().find(|(found, _)| *found as u64 == *size);
                let _ = write!(text, " {} |", value.map_or("–".into(), |(_, value)| series::format(*value)));
            }
            let _ = writeln!(text, " {} |", exponent(&points, metric));
        }
    }
    text
}

/// Writes the exponent, with a word if it is large.
fn exponent(points: &[(f64, f64)], metric: &Metric) -> String {
    match series::exponent(points, metric) {
        Some(exponent) if exponent > LIMIT => format!("**{exponent:.2} grows**"),
        // Without the sign of a zero.
        Some(exponent) => format!("{:.2}", (exponent * 100.0).round() / 100.0 + 0.0),
        None => "–".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::axis::SEND;
    use super::*;

    #[test]
    fn fast_growth_is_marked() {
        let outcome = |size, value| Outcome {
            axis: Axis::Members,
            database: Database::Sqlite,
            size,
            values: vec![(&SEND, value)],
        };
        let table = tables(&[outcome(10, 1.0), outcome(1_000, 10.0)]);
        assert!(table.contains("| send ms, SQLite | 1.00 | 10.0 | **0.50 grows** |"), "{table}");
        assert!(tables(&[outcome(10, 1.0), outcome(1_000, 1.0)]).contains("| 0.00 |"));
    }
}
