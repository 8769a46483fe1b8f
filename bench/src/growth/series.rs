//! The measured values, and how fast they grow.

use super::Database;
use super::axis::{Axis, Metric};

pub use crate::compare::results::format_value as format;

/// A larger exponent is marked: with 0.3, a thousand times the size costs eight times as much.
pub const LIMIT: f64 = 0.3;

/// The values of one size on one database.
pub struct Outcome {
    /// What was enlarged.
    pub axis: Axis,
    /// Where the server stored its data.
    pub database: Database,
    /// The size.
    pub size: u64,
    /// The measured values.
    pub values: Vec<(&'static Metric, f64)>,
}

/// Returns the values of a metric by ascending size.
pub fn points(outcomes: &[Outcome], axis: Axis, database: Database, metric: &Metric) -> Vec<(f64, f64)> {
    let of_axis = outcomes.iter().filter(|it| it.axis == axis && it.database == database);
    of_axis
        .filter_map(|outcome| {
            let (_, value) = outcome.values.iter().find(|(found, _)| *found == metric)?;
            (*value > 0.0).then_some((outcome.size as f64, *value))
        })
        .collect()
}

/// Returns the exponent of growth between the last two points, the slope of the line with logarithmic axes.
/// For a rate, it is that of the time for one item.
pub fn exponent(points: &[(f64, f64)], metric: &Metric) -> Option<f64> {
    let [.., (from, low), (to, high)] = points else { return None };
    let slope = (high / low).ln() / (to / from).ln();
    slope.is_finite().then_some(if metric.rate { -slope } else { slope })
}

/// Writes a size with a comma between thousands.
pub fn thousands(size: u64) -> String {
    if size < 100 { size.to_string() } else { format(size as f64) }
}

#[cfg(test)]
mod tests {
    use super::super::axis::{CONNECTS, SEND};
    use super::*;

    #[test]
    fn the_exponent_is_that_of_the_last_two_points() {
        let points = [(1.0, 100.0), (10.0, 1.0), (1_000.0, 10.0)];
        assert!((exponent(&points, &SEND).unwrap_or_default() - 0.5).abs() < 1e-9);
        assert!((exponent(&points, &CONNECTS).unwrap_or_default() + 0.5).abs() < 1e-9);
        assert_eq!(exponent(&points[..1], &SEND), None);
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(
            (thousands(2), thousands(10), thousands(1_000_000)),
            ("2".into(), "10".into(), "1,000,000".into())
        );
    }
}
