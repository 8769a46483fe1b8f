//! Draws the results as bars relative to the first column, as an SVG file.

use std::fmt::Write;

use super::metrics::METRICS;
use super::results::{Results, format_value};

/// Colours that also people with colour vision deficiency can tell apart (Okabe and Ito), and two greys.
const COLORS: [&str; 10] = [
    "#999999", "#56b4e9", "#f0e442", "#e69f00", "#cc79a7", "#009e73", "#0072b2", "#d55e00", "#000000",
    "#555555",
];

const BAR: f64 = 9.0;
const GAP: f64 = 26.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 70.0;
const HEIGHT: f64 = 380.0;
const BOTTOM: f64 = 110.0;

/// The ends of the axis.
const RANGE: (f64, f64) = (0.05, 100.0);

/// Draws all metrics that have a short label. Longer bars are better: where less is better, the ratio is inverted.
pub fn draw(results: &Results) -> String {
    let servers = results.servers();
    let groups: Vec<(&str, Vec<Option<f64>>)> = METRICS
        .iter()
        .filter_map(|metric| {
            let base = results.median(0, metric.key).filter(|value| *value > 0.0)?;
            let ratio = |server| {
                let value = results.median(server, metric.key).filter(|value| *value > 0.0)?;
                Some(if metric.more { value / base } else { base / value })
            };
            Some((metric.plot?, (0..servers.len()).map(ratio).collect()))
        })
        .collect();
    let group_width = servers.len() as f64 * BAR + GAP;
    let width = (LEFT + groups.len() as f64 * group_width + 20.0).max(900.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        TOP + HEIGHT + BOTTOM
    );
    let base = servers.first().map_or("", |(_, title)| title);
    let title = format!("Times better than {base} (logarithmic; upwards is better in every group)");
    text(&mut svg, (LEFT, 20.0), "font-size=\"15\"", &title);
    let mut x = LEFT;
    for (index, (_, name)) in servers.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"36\" width=\"12\" height=\"12\" fill=\"{}\"/>",
            COLORS[index % COLORS.len()]
        );
        text(&mut svg, (x + 16.0, 47.0), "", name);
        x += 36.0 + name.chars().count() as f64 * 6.6;
    }
    for ratio in [0.05_f64, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0] {
        let color = if (ratio - 1.0).abs() < f64::EPSILON { "#000" } else { "#ddd" };
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{color}\"/>",
            width - 20.0,
            y = y(ratio)
        );
        text(&mut svg, (LEFT - 8.0, y(ratio) + 4.0), "text-anchor=\"end\"", &format!("{ratio} ×"));
    }
    for (group, (label, ratios)) in groups.iter().enumerate() {
        let left = LEFT + GAP / 2.0 + group as f64 * group_width;
        for (server, ratio) in ratios.iter().enumerate() {
            let Some(ratio) = ratio else { continue };
            let (from, to) = (y(1.0).min(y(*ratio)), y(1.0).max(y(*ratio)));
            let _ = writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{from:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"><title>{}: {label}: {} ×</title></rect>",
                left + server as f64 * BAR,
                BAR - 1.0,
                (to - from).max(1.0),
                COLORS[server % COLORS.len()],
                servers[server].1,
                format_value(*ratio)
            );
        }
        let (x, y) = (left + servers.len() as f64 * BAR / 2.0, TOP + HEIGHT + 14.0);
        text(
            &mut svg,
            (x, y),
            &format!("text-anchor=\"end\" transform=\"rotate(-35 {x:.1} {y:.1})\""),
            label,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Returns the height of a ratio on the page.
fn y(ratio: f64) -> f64 {
    let (low, high) = RANGE;
    let share = (ratio.clamp(low, high) / low).ln() / (high / low).ln();
    TOP + HEIGHT * (1.0 - share)
}

/// Adds a text at a position.
pub fn text(svg: &mut String, (x, y): (f64, f64), attributes: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{content}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::faults::Faults;
    use crate::compare::scenarios::Outcome;

    #[test]
    fn bars_are_relative_to_the_first_column() {
        let mut results = Results::new(vec![("a".into(), "A & B".into()), ("b".into(), "C".into())]);
        for (server, rate, kb) in [(0, 10.0, 20.0), (1, 100.0, 40.0)] {
            let values = vec![("churn_per_s".into(), rate), ("idle_kb".into(), kb)];
            results.add(server, &Outcome { name: "churn".into(), values, faults: Faults::default() });
        }
        let svg = draw(&results);
        assert!(svg.contains("<title>C: churn: 10.0 ×</title>"), "{svg}");
        assert!(svg.contains("<title>C: memory: 0.50 ×</title>"), "{svg}");
        assert!(svg.contains("A &amp; B</text>"));
    }
}
