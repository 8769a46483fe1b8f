//! What servers must not do: lose, double or reorder messages, or end connections.

/// What should not happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Messages that listeners should have received.
    pub expected: u64,
    /// Messages that a listener did not receive.
    pub lost: u64,
    /// Messages or acknowledgements that a connection received twice.
    pub doubled: u64,
    /// Messages that arrived after a later one.
    pub reordered: u64,
    /// Messages that arrived at a connection that is not in the chat, or without a marker.
    pub stray: u64,
    /// Sends without an acknowledgement.
    pub unanswered: u64,
    /// Acknowledgements that say that the send failed.
    pub rejected: u64,
    /// Connections that ended or could not be opened.
    pub broken: u64,
}

impl Faults {
    /// Adds those of another round.
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.stray += other.stray;
        self.unanswered += other.unanswered;
        self.rejected += other.rejected;
        self.broken += other.broken;
    }

    /// Says what went wrong; empty if nothing did.
    pub fn describe(&self) -> String {
        let shares = [("lost", self.lost), ("doubled", self.doubled), ("out of order", self.reordered)];
        let share = |count: u64| count as f64 * 100.0 / self.expected.max(1) as f64;
        let shares =
            shares.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| match share(count) {
                share if share >= 1.0 => format!("{share:.0}% {name}"),
                _ => format!("{count} {name}"),
            });
        let counts = [
            ("stray", self.stray),
            ("sends unanswered", self.unanswered),
            ("sends rejected", self.rejected),
            ("connections ended", self.broken),
        ];
        let counts =
            counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}"));
        shares.chain(counts).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::Faults;

    #[test]
    fn only_what_went_wrong_is_said() {
        assert_eq!(Faults { expected: 1_000, ..Faults::default() }.describe(), "");
        let mut faults = Faults { expected: 1_000, lost: 1, reordered: 500, ..Faults::default() };
        faults.add(&Faults { expected: 1_000, reordered: 500, stray: 2, ..Faults::default() });
        assert_eq!(faults.describe(), "1 lost, 50% out of order, 2 stray");
    }
}
