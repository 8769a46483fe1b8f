//! Prints every number with its meaning, then all of them as one line of JSON.

use serde_json::{Map, Value};

/// The numbers of one run.
pub struct Report {
    values: Map<String, Value>,
}

impl Report {
    /// Creates the report of a subcommand.
    pub fn new(bench: &str, label: Option<&str>) -> Self {
        let mut values = Map::new();
        values.insert("bench".into(), bench.into());
        if let Some(label) = label {
            values.insert("label".into(), label.into());
            println!("{bench}, {label}");
        } else {
            println!("{bench}");
        }
        Self { values }
    }

    /// Prints a number with its meaning, and stores it under `key`.
    pub fn number(&mut self, key: &str, value: f64, meaning: &str) {
        // More than three decimals would be noise.
        let rounded = (value * 1_000.0).round() / 1_000.0;
        let value = if rounded.fract() == 0.0 { Value::from(rounded as i64) } else { Value::from(rounded) };
        println!("{:>14}  {meaning}", value.to_string());
        self.values.insert(key.into(), value);
    }

    /// Prints p50, p95, p99 and the maximum in milliseconds; `micros` are microseconds.
    pub fn latency(&mut self, key: &str, mut micros: Vec<u32>, meaning: &str) {
        micros.sort_unstable();
        for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
            let value = f64::from(quantile(&micros, share)) / 1_000.0;
            self.number(&format!("{key}_{name}_ms"), value, &format!("ms, {name} {meaning}"));
        }
    }

    /// Prints the line for scripts; returns `ok`, for the exit status.
    pub fn finish(mut self, ok: bool) -> bool {
        self.values.insert("ok".into(), ok.into());
        if !ok {
            println!("               NOT OK: see the numbers above that should be 0");
        }
        println!("{}", Value::Object(self.values));
        ok
    }
}

/// Returns the smallest value that `share` of the sorted values do not exceed (nearest rank), or 0 if there are none.
fn quantile(sorted: &[u32], share: f64) -> u32 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<u32> = (1..=100).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99), quantile(&values, 1.0)), (50, 99, 100));
        assert_eq!(quantile(&[], 0.5), 0);
    }
}
