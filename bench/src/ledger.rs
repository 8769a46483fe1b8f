//! What one connection received of one chat: whether each number arrived once, and in order.

/// The numbers that a connection received. They are `seq`s; the chat's first message has `base + 1`.
#[derive(Debug, Default)]
pub struct Ledger {
    base: i64,
    seen: Vec<bool>,
    last: i64,
    /// Numbers that arrived again.
    pub doubled: u64,
    /// Numbers that arrived after a higher one.
    pub out_of_order: u64,
}

impl Ledger {
    /// Creates a ledger for a connection that knows the chat up to `base`.
    pub fn new(base: i64) -> Self {
        Self { base, last: base, ..Self::default() }
    }

    /// Notes a number that has arrived.
    pub fn note(&mut self, seq: i64) {
        let Ok(index) = usize::try_from(seq - self.base - 1) else {
            self.out_of_order += 1;
            return;
        };
        if index >= self.seen.len() {
            self.seen.resize(index + 1, false);
        }
        if self.seen[index] {
            self.doubled += 1;
        } else if seq < self.last {
            self.out_of_order += 1;
        }
        self.seen[index] = true;
        self.last = self.last.max(seq);
    }

    /// Returns the highest number so far.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// Counts the numbers up to `head` that never arrived. In a bench only messages take a number, so none may be
    /// missing.
    pub fn missing(&self, head: i64) -> u64 {
        let expected = usize::try_from(head - self.base).unwrap_or_default();
        let came = self.seen.iter().take(expected).filter(|seen| **seen).count();
        (expected - came) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Ledger;

    fn ledger(numbers: &[i64]) -> Ledger {
        let mut ledger = Ledger::new(1);
        for seq in numbers {
            ledger.note(*seq);
        }
        ledger
    }

    #[test]
    fn numbers_in_order_leave_nothing_to_say() {
        let ledger = ledger(&[2, 3, 4]);
        assert_eq!((ledger.missing(4), ledger.doubled, ledger.out_of_order), (0, 0, 0));
    }

    #[test]
    fn a_hole_a_repeat_and_an_overtaking_are_told_apart() {
        assert_eq!(ledger(&[2, 4]).missing(5), 2);
        assert_eq!(ledger(&[2, 2, 3]).doubled, 1);
        let late = ledger(&[2, 4, 3]);
        assert_eq!((late.out_of_order, late.missing(4)), (1, 0));
    }
}
