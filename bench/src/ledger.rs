//! Records what one connection received of one chat, to check that each number arrived once and in order.

/// The `seq` numbers that a connection received; the chat's first message has `base + 1`.
#[derive(Debug, Default)]
pub struct Ledger {
    base: i64,
    seen: Vec<bool>,
    last: i64,
    /// Numbers that arrived more than once.
    pub duplicates: u64,
    /// Numbers that arrived after a higher one.
    pub out_of_order: u64,
}

impl Ledger {
    /// Creates a ledger for a connection that knows the chat up to `base`.
    pub fn new(base: i64) -> Self {
        Self { base, last: base, ..Self::default() }
    }

    /// Records a number that has arrived.
    pub fn record(&mut self, seq: i64) {
        let Ok(index) = usize::try_from(seq - self.base - 1) else {
            self.out_of_order += 1;
            return;
        };
        if index >= self.seen.len() {
            self.seen.resize(index + 1, false);
        }
        if self.seen[index] {
            self.duplicates += 1;
        } else if seq < self.last {
            self.out_of_order += 1;
        }
        self.seen[index] = true;
        self.last = self.last.max(seq);
    }

    /// Returns the highest number received so far.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// Counts the numbers up to `head` that never arrived. In a bench only messages use numbers, so there must be no
    /// gaps.
    pub fn missing(&self, head: i64) -> u64 {
        let expected = usize::try_from(head - self.base).unwrap_or_default();
        let received = self.seen.iter().take(expected).filter(|seen| **seen).count();
        (expected - received) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Ledger;

    fn ledger(numbers: &[i64]) -> Ledger {
        let mut ledger = Ledger::new(1);
        for seq in numbers {
            ledger.record(*seq);
        }
        ledger
    }

    #[test]
    fn numbers_in_order_are_complete() {
        let ledger = ledger(&[2, 3, 4]);
        assert_eq!((ledger.missing(4), ledger.duplicates, ledger.out_of_order), (0, 0, 0));
    }

    #[test]
    fn gaps_duplicates_and_reordering_are_counted_separately() {
        assert_eq!(ledger(&[2, 4]).missing(5), 2);
        assert_eq!(ledger(&[2, 2, 3]).duplicates, 1);
        let reordered = ledger(&[2, 4, 3]);
        assert_eq!((reordered.out_of_order, reordered.missing(4)), (1, 0));
    }
}
