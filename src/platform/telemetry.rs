//! What the server has done lately: counts and latencies, sampled every few seconds and kept for ten minutes. It describes
//! this process only.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Time between samples.
pub const EVERY: Duration = Duration::from_secs(5);

/// Samples that are kept.
const KEPT: usize = 120;

/// Latencies of a sample that are kept; with more, every second one is dropped.
const LATENCIES: usize = 4_096;

/// Counters of the process; see the module documentation.
#[derive(Debug, Default)]
pub struct Telemetry {
    messages: AtomicU64,
    /// Errors in the log at the last sample.
    errors_before: AtomicU64,
    latencies: Mutex<Latencies>,
    samples: Mutex<VecDeque<Sample>>,
}

/// Microseconds, of which every `step`-th is kept.
#[derive(Debug, Default)]
struct Latencies {
    kept: Vec<u32>,
    step: u32,
    skipped: u32,
}

impl Latencies {
    fn add(&mut self, micros: u32) {
        self.skipped += 1;
        if self.skipped <= self.step {
            return;
        }
        self.skipped = 0;
        if self.kept.len() == LATENCIES {
            let mut odd = false;
            self.kept.retain(|_| {
                odd = !odd;
                odd
            });
            self.step = 2 * self.step + 1;
        }
        self.kept.push(micros);
    }

    /// Returns the value that this share of the latencies does not exceed, in milliseconds. They must be sorted.
    fn quantile(sorted: &[u32], share: f64) -> Option<f64> {
        let last = sorted.len().checked_sub(1)?;
        let index = (share * last as f64).round() as usize;
        sorted.get(index).map(|micros| f64::from(*micros) / 1_000.0)
    }
}

/// What happened between two samples, and the state at the second one.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When it was taken, milliseconds since the Unix epoch.
    pub at: i64,
    /// Open connections.
    pub connections: u64,
    /// Users with a connection.
    pub users_online: u64,
    /// Messages that were stored.
    pub messages: u64,
    /// Errors in the log: what failed by the server's fault.
    pub errors: u64,
    /// Median time from the arrival of a message to its acknowledgement, milliseconds; `None` without messages.
    pub send_p50_ms: Option<f64>,
    /// The time that 99 % of the messages did not exceed.
    pub send_p99_ms: Option<f64>,
    /// Messages that wait for the writer.
    pub queue: u64,
}

/// The state of the server at the time of a sample.
#[derive(Clone, Copy, Debug)]
pub struct Gauges {
    /// Open connections.
    pub connections: u64,
    /// Users with a connection.
    pub users_online: u64,
    /// Messages that wait for the writer.
    pub queue: u64,
    /// Errors in the log since the process started.
    pub errors: u64,
}

impl Telemetry {
    /// Counts a stored message.
    pub fn message_stored(&self, took: Duration) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.latencies.lock().add(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// Takes a sample and begins the next one.
    pub fn sample(&self, at: i64, gauges: Gauges) {
        let mut latencies = std::mem::take(&mut *self.latencies.lock()).kept;
        latencies.sort_unstable();
        let sample = Sample {
            at,
            connections: gauges.connections,
            users_online: gauges.users_online,
            messages: self.messages.swap(0, Ordering::Relaxed),
            errors: gauges.errors - self.errors_before.swap(gauges.errors, Ordering::Relaxed),
            send_p50_ms: Latencies::quantile(&latencies, 0.5),
            send_p99_ms: Latencies::quantile(&latencies, 0.99),
            queue: gauges.queue,
        };
        let mut samples = self.samples.lock();
        if samples.len() == KEPT {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Returns the samples, oldest first.
    pub fn samples(&self) -> Vec<Sample> {
        self.samples.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Gauges = Gauges { connections: 2, users_online: 1, queue: 0, errors: 1 };

    #[test]
    fn a_sample_counts_what_happened_since_the_one_before() {
        let telemetry = Telemetry::default();
        for millis in 1..=100 {
            telemetry.message_stored(Duration::from_millis(millis));
        }
        telemetry.sample(1, IDLE);
        telemetry.sample(2, IDLE);
        let samples = telemetry.samples();
        assert_eq!((samples[0].messages, samples[0].errors, samples[0].connections), (100, 1, 2));
        assert_eq!((samples[0].send_p50_ms, samples[0].send_p99_ms), (Some(51.0), Some(99.0)));
        assert_eq!((samples[1].messages, samples[1].errors, samples[1].send_p50_ms), (0, 0, None));
    }

    #[test]
    fn neither_samples_nor_latencies_grow_without_bound() {
        let telemetry = Telemetry::default();
        for micros in 0..100_000 {
            telemetry.message_stored(Duration::from_micros(micros));
        }
        assert!(telemetry.latencies.lock().kept.len() <= LATENCIES);
        telemetry.sample(0, IDLE);
        let median = telemetry.samples()[0].send_p50_ms.expect("a median");
        assert!((40.0..60.0).contains(&median), "those that are kept stand for all: {median}");
        for at in 1..=200 {
            telemetry.sample(at, IDLE);
        }
        let samples = telemetry.samples();
        assert_eq!((samples.len(), samples[0].at, samples[KEPT - 1].at), (KEPT, 81, 200));
    }
}
