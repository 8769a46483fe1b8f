//! Counts durations in buckets that are at most 1% wide, so that millions of them need a few kilobytes.

/// Values below this have a bucket of their own; above it, each doubling has half as many buckets.
const EXACT: u64 = 256;

/// A histogram of microseconds.
#[derive(Clone, Default)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Histogram {
    /// Counts a duration in microseconds.
    pub fn record(&mut self, micros: u64) {
        let index = bucket(micros);
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, 0);
        }
        self.buckets[index] += 1;
        self.count += 1;
    }

    /// Returns the milliseconds that `share` of the durations do not exceed, or `None` if there are none.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let rank = ((share * self.count as f64).ceil() as u64).max(1);
        let mut below = 0;
        let index = self.buckets.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        Some(lowest(index as u64) as f64 / 1_000.0)
    }
}

fn bucket(value: u64) -> usize {
    let value = value.min(u64::from(u32::MAX));
    if value < EXACT {
        return value as usize;
    }
    let shift = u64::from(value.ilog2()) - 7;
    (EXACT + (shift - 1) * (EXACT / 2) + (value >> shift) - EXACT / 2) as usize
}

/// Returns the lowest value in a bucket.
fn lowest(index: u64) -> u64 {
    if index < EXACT {
        return index;
    }
    let (shift, offset) = ((index - EXACT) / (EXACT / 2) + 1, (index - EXACT) % (EXACT / 2));
    (EXACT / 2 + offset) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_at_most_one_percent_wide() {
        for value in (0..100_000).chain([1 << 20, u64::from(u32::MAX)]) {
            let index = bucket(value);
            let low = lowest(index as u64);
            assert!(low <= value && value as f64 <= low as f64 * 1.01, "{value}: {low}");
            assert!(bucket(value + 1) - index <= 1);
        }
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_ms(0.5), None);
        (1..=100).for_each(|value| histogram.record(value));
        let quantile = |share| histogram.quantile_ms(share).expect("there are values");
        assert!((quantile(0.5) - 0.05).abs() < 1e-9 && (quantile(0.99) - 0.099).abs() < 1e-9);
    }
}
