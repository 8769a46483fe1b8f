//! Draws one small plot for each measured number, with logarithmic axes, as an SVG file: a row for each axis.

use std::fmt::Write;

use clap::ValueEnum;

use super::Database;
use super::axis::{Axis, Metric};
use super::series::{self, Outcome};
use crate::compare::plot::text;

const WIDTH: f64 = 180.0;
const HEIGHT: f64 = 130.0;

/// The distance from one plot to the next, which includes its heading and labels.
const STEP: (f64, f64) = (250.0, 215.0);

/// The top left corner of the first plot.
const ORIGIN: (f64, f64) = (60.0, 80.0);

/// The end of the page after the last plot.
const MARGIN: f64 = 10.0;

/// Draws all numbers that were measured.
pub fn draw(outcomes: &[Outcome]) -> String {
    let measured = |axis: &&Axis| outcomes.iter().any(|outcome| outcome.axis == **axis);
    let axes: Vec<Axis> = Axis::value_variants().iter().filter(measured).copied().collect();
    let columns = axes.iter().map(|axis| axis.metrics().len()).max().unwrap_or(1).max(3);
    let (width, height) = (
        ORIGIN.0 + columns as f64 * STEP.0 - (STEP.0 - WIDTH) + 40.0,
        ORIGIN.1 + axes.len() as f64 * STEP.1 - 20.0 + MARGIN,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    text(
        &mut svg,
        (20.0, 22.0),
        "font-size=\"15\"",
        "Growth (both axes are logarithmic; flat lines do not grow)",
    );
    for (index, database) in Database::value_variants().iter().enumerate() {
        let x = 20.0 + index as f64 * 100.0;
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" x2=\"{}\" y1=\"38\" y2=\"38\" stroke=\"{}\" stroke-width=\"2\"/>",
            x + 18.0,
            color(*database)
        );
        text(&mut svg, (x + 24.0, 42.0), "", database.title());
    }
    for (row, axis) in axes.into_iter().enumerate() {
        for (column, metric) in axis.metrics().iter().enumerate() {
            let corner = (ORIGIN.0 + column as f64 * STEP.0, ORIGIN.1 + row as f64 * STEP.1);
            draw_one(&mut svg, corner, outcomes, axis, metric);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Colours that also people with colour vision deficiency can tell apart (Okabe and Ito).
fn color(database: Database) -> &'static str {
    match database {
        Database::Sqlite => "#0072b2",
        Database::Postgres => "#d55e00",
    }
}

fn draw_one(svg: &mut String, (left, top): (f64, f64), outcomes: &[Outcome], axis: Axis, metric: &Metric) {
    let lines: Vec<_> = Database::value_variants()
        .iter()
        .map(|database| (*database, series::points(outcomes, axis, *database, metric)))
        .collect();
    let all: Vec<(f64, f64)> = lines.iter().flat_map(|(_, points)| points.iter().copied()).collect();
    let (x_range, y_range) = (decades(all.iter().map(|(x, _)| *x)), decades(all.iter().map(|(_, y)| *y)));
    let x = |value: f64| left + WIDTH * share(value, x_range);
    let y = |value: f64| top + HEIGHT * (1.0 - share(value, y_range));
    text(svg, (left - 30.0, top - 10.0), "font-weight=\"bold\"", metric.name);
    for power in y_range.0..=y_range.1 {
        let (value, y) = (10_f64.powi(power), y(10_f64.powi(power)));
        let _ = writeln!(
            svg,
            "<line x1=\"{left:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>",
            left + WIDTH
        );
        text(svg, (left - 6.0, y + 4.0), "text-anchor=\"end\"", &label(value));
    }
    for power in x_range.0..=x_range.1 {
        let (value, x) = (10_f64.powi(power), x(10_f64.powi(power)));
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
            top + HEIGHT
        );
        text(svg, (x, top + HEIGHT + 14.0), "text-anchor=\"middle\"", &label(value));
    }
    text(svg, (left + WIDTH / 2.0, top + HEIGHT + 30.0), "text-anchor=\"middle\"", axis.title());
    for (database, points) in &lines {
        let color = color(*database);
        let corners: Vec<String> =
            points.iter().map(|(size, value)| format!("{:.1},{:.1}", x(*size), y(*value))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            corners.join(" ")
        );
        for (size, value) in points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{color}\">\
                 <title>{}: {} {}, {}: {}</title></circle>",
                x(*size),
                y(*value),
                database.title(),
                series::thousands(*size as u64),
                axis.title(),
                metric.name,
                series::format(*value)
            );
        }
    }
}

/// Returns the powers of ten around the values, at least one decade.
fn decades(values: impl Iterator<Item = f64>) -> (i32, i32) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        (low, high) = (low.min(value), high.max(value));
    }
    if !low.is_finite() || !high.is_finite() || low <= 0.0 {
        return (0, 1);
    }
    let low = low.log10().floor() as i32;
    (low, (high.log10().ceil() as i32).max(low + 1))
}

/// Returns the place of a value between the powers of ten at both ends, from 0 to 1.
fn share(value: f64, (low, high): (i32, i32)) -> f64 {
    (value.log10() - f64::from(low)) / f64::from(high - low)
}

/// Writes a power of ten.
fn label(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e3 => format!("{} k", value / 1e3),
        value if value >= 1.0 => format!("{value:.0}"),
        value => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axes_end_at_powers_of_ten() {
        assert_eq!(decades([0.2, 3.0].into_iter()), (-1, 1));
        assert_eq!(decades([100.0, 100.0].into_iter()), (2, 3));
        assert_eq!(decades(std::iter::empty()), (0, 1));
        assert!((share(10.0, (0, 2)) - 0.5).abs() < 1e-9);
        assert_eq!((label(1e6), label(1e4), label(0.01)), ("1 M".into(), "10 k".into(), "0.01".into()));
    }
}
