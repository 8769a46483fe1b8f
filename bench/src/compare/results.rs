//! Collects the outcomes of all rounds, and writes them as a table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::faults::Faults;
use super::metrics::{METRICS, Metric};
use super::scenarios::Outcome;

/// All outcomes.
#[derive(Default)]
pub struct Results {
    /// The columns: id and title of each server.
    servers: Vec<(String, String)>,
    /// The values of all rounds by column and key.
    values: BTreeMap<(usize, String), Vec<f64>>,
    /// What went wrong, by column and name of the outcome.
    faults: BTreeMap<(usize, String), Faults>,
}

impl Results {
    /// Creates results without outcomes for these columns.
    pub fn new(servers: Vec<(String, String)>) -> Self {
        Self { servers, ..Self::default() }
    }

    /// Returns the columns.
    pub fn servers(&self) -> &[(String, String)] {
        &self.servers
    }

    /// Adds an outcome of a server.
    pub fn add(&mut self, server: usize, outcome: &Outcome) {
        for (key, value) in &outcome.values {
            self.values.entry((server, key.clone())).or_default().push(*value);
        }
        self.faults.entry((server, outcome.name.clone())).or_default().add(&outcome.faults);
    }

    /// Notes that a server could not be measured.
    pub fn add_failure(&mut self, server: usize, name: &str) {
        self.faults.entry((server, name.into())).or_default().add(&Faults { broken: 1, ..Faults::default() });
    }

    /// Returns the median over all rounds.
    pub fn median(&self, server: usize, key: &str) -> Option<f64> {
        let mut values = self.values.get(&(server, key.to_owned()))?.clone();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match (values.get(middle.wrapping_sub(1)), values.get(middle)) {
            (Some(low), Some(high)) if values.len().is_multiple_of(2) => Some(f64::midpoint(*low, *high)),
            (_, value) => value.copied(),
        }
    }

    /// Returns whether these columns kept their promises in all outcomes.
    pub fn is_clean(&self, servers: &[usize]) -> bool {
        self.faults
            .iter()
            .all(|((server, _), faults)| !servers.contains(server) || faults.describe().is_empty())
    }

    /// Writes a Markdown table with a column for each server. A cell says what went wrong in its measurements.
    pub fn table(&self) -> String {
        let mut rows = vec![vec![String::new()]];
        rows[0].extend(self.servers.iter().map(|(_, title)| title.clone()));
        for metric in &METRICS {
            let cells: Vec<String> =
                (0..self.servers.len()).map(|server| self.cell(server, metric)).collect();
            if cells.iter().any(|cell| cell != "–") {
                rows.push([metric.label.to_owned()].into_iter().chain(cells).collect());
            }
        }
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..=self.servers.len()).map(width).collect();
        let mut text = String::new();
        for (index, row) in rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a string cannot fail.
                let _ = if column == 0 {
                    write!(text, "| {cell:<width$} ")
                } else {
                    write!(text, "| {cell:>width$} ")
                };
            }
            text.push_str("|\n");
            if index == 0 {
                let _ = write!(text, "|{}", "-".repeat(widths[0] + 2));
                for width in &widths[1..] {
                    let _ = write!(text, "|{}:", "-".repeat(width + 1));
                }
                text.push_str("|\n");
            }
        }
        text
    }

    fn cell(&self, server: usize, metric: &Metric) -> String {
        let name = metric.key.split('_').next().unwrap_or_default();
        let fault = self.faults.get(&(server, name.to_owned())).map(Faults::describe).unwrap_or_default();
        let Some(value) = self.median(server, metric.key) else {
            return if fault.is_empty() { "–".into() } else { "failed".into() };
        };
        // One cell per measurement suffices to say it.
        let is_first = METRICS
            .iter()
            .find(|it| it.key.starts_with(&format!("{name}_")))
            .is_some_and(|it| it.key == metric.key);
        if fault.is_empty() || !is_first {
            format_value(value)
        } else {
            format!("{} ({fault})", format_value(value))
        }
    }
}

impl Outcome {
    /// Prints the values with their meaning.
    pub fn print(&self, server: &str, time: Duration) {
        for metric in &METRICS {
            for (_, value) in self.values.iter().filter(|(key, _)| key == metric.key) {
                println!("{:>4} s  {server}, {}: {}", time.as_secs(), metric.name(), format_value(*value));
            }
        }
        let faults = self.faults.describe();
        if !faults.is_empty() {
            println!("{:>4} s  {server}, {}: {faults}", time.as_secs(), self.name);
        }
    }
}

/// Writes a number with three significant digits or more, and a comma between thousands.
pub fn format_value(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_readable() {
        let texts = [0.123, 9.876, 12.34, 123.4, 1_234.5, 1_234_567.0, f64::NAN].map(format_value);
        assert_eq!(texts, ["0.12", "9.88", "12.3", "123", "1,234", "1,234,567", "–"]);
    }

    #[test]
    fn a_cell_has_the_median_and_says_what_went_wrong() {
        let mut results = Results::new(vec![("a".into(), "A".into()), ("b".into(), "B".into())]);
        for rate in [10.0, 30.0, 20.0] {
            let faults = Faults { expected: 100, reordered: 50, lost: 0, broken: 1, ..Faults::default() };
            let values = vec![("churn_per_s".into(), rate)];
            results.add(0, &Outcome { name: "churn".into(), values, faults });
        }
        assert_eq!(results.median(0, "churn_per_s"), Some(20.0));
        let table = results.table();
        assert!(table.contains("| 20.0 (50% out of order, 3 connections ended) | – |"), "{table}");
        assert!(!results.is_clean(&[0]) && results.is_clean(&[1]));
    }
}
