//! The rows of the table.

/// One row.
pub struct Metric {
    /// The key of its values: name of the outcome, underscore, name of the value.
    pub key: &'static str,
    /// What it is, with its unit.
    pub label: &'static str,
    /// A short label for the plot, if it is in it.
    pub plot: Option<&'static str>,
    /// Whether more is better.
    pub more: bool,
}

impl Metric {
    /// Returns its label; one that refers to the row before is completed with the name of the measurement.
    pub fn name(&self) -> String {
        let name = self.key.split('_').next().unwrap_or_default();
        self.label
            .strip_prefix("the same")
            .map_or_else(|| self.label.to_owned(), |rest| format!("{name}{rest}"))
    }
}

const fn more(key: &'static str, label: &'static str, plot: Option<&'static str>) -> Metric {
    Metric { key, label, plot, more: true }
}

const fn less(key: &'static str, label: &'static str, plot: Option<&'static str>) -> Metric {
    Metric { key, label, plot, more: false }
}

/// All rows, in order.
pub const METRICS: [Metric; 23] = [
    more("connect_per_s", "connect, authenticate, join rooms: connections/s", Some("connect")),
    more("churn_per_s", "connect and disconnect: connections/s", Some("churn")),
    less("idle_kb", "memory per idle connection: KB", Some("memory")),
    more("fanout100_per_s", "fan-out, 100 members: deliveries/s", Some("fan-out 100")),
    less("fanout100_cpu", "the same: server CPU-s per 1 M deliveries", Some("its CPU")),
    more("fanout1000_per_s", "fan-out, 1,000 members: deliveries/s", Some("fan-out 1,000")),
    less("fanout1000_cpu", "the same: server CPU-s per 1 M deliveries", Some("its CPU")),
    less(
        "fixed100_cpu",
        "20,000 deliveries/s, 100 members: server CPU-s per 1 M",
        Some("20 k/s to 100: CPU"),
    ),
    less("fixed100_p50", "the same: delivery p50 ms", None),
    less("fixed100_p99", "the same: delivery p99 ms", Some("its p99")),
    less(
        "fixed1000_cpu",
        "20,000 deliveries/s, 1,000 members: server CPU-s per 1 M",
        Some("20 k/s to 1,000: CPU"),
    ),
    less("fixed1000_p50", "the same: delivery p50 ms", None),
    less("fixed1000_p99", "the same: delivery p99 ms", Some("its p99")),
    more("sends1_per_s", "100 chats of two, 1 in flight each: sends/s", Some("sends, 1 in flight")),
    less("sends1_p50", "the same: acknowledgement p50 ms", None),
    less("sends1_p99", "the same: acknowledgement p99 ms", None),
    less("sends1_cpu", "the same: server and PostgreSQL CPU-s per 100 k", Some("its CPU")),
    more("sends8_per_s", "100 chats of two, 8 in flight each: sends/s", Some("sends, 8 in flight")),
    less("sends8_p50", "the same: acknowledgement p50 ms", None),
    less("sends8_p99", "the same: acknowledgement p99 ms", None),
    less("sends8_cpu", "the same: server and PostgreSQL CPU-s per 100 k", Some("its CPU")),
    less("photo_ms", "12-megapixel JPEG to 400, 100, 50 pixels (WebP): ms", Some("photo")),
    less("photo_mb", "the same: rise of the peak memory, MB", Some("its memory")),
];
