//! Records what one connection received of one chat, to check that each number arrived once and in order.

/// The `seq` numbers that a connection received; the chat's first message has `base + 1`. It keeps runs of consecutive
/// numbers, so that recording numbers in order touches one of them and allocates nothing.
#[derive(Debug)]
pub struct Ledger {
    base: i64,
    last: i64,
    /// First and last number of each run, in order. The first run begins with `base`.
    runs: Vec<(i64, i64)>,
    /// Numbers that arrived more than once.
    pub duplicates: u64,
    /// Numbers that arrived after a higher one.
    pub out_of_order: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Ledger {
    /// Creates a ledger for a connection that knows the chat up to `base`.
    pub fn new(base: i64) -> Self {
        Self { base, last: base, runs: vec![(base, base)], duplicates: 0, out_of_order: 0 }
    }

    /// Records a number that has arrived.
    pub fn record(&mut self, seq: i64) {
        if seq <= self.base {
            self.out_of_order += 1;
            return;
        }
        // The runs before `after` begin with a number that is not higher.
        let after = self.runs.iter().rposition(|(first, _)| *first <= seq).map_or(0, |index| index + 1);
        if let Some((_, end)) = after.checked_sub(1).and_then(|index| self.runs.get_mut(index)) {
            if seq <= *end {
                self.duplicates += 1;
                return;
            }
            if seq == *end + 1 {
                *end = seq;
                self.join(after);
            } else {
                self.runs.insert(after, (seq, seq));
                self.join(after + 1);
            }
        }
        if seq < self.last {
            self.out_of_order += 1;
        }
        self.last = self.last.max(seq);
    }

    /// Joins the run at `index` with the one before it, if no number is missing between them.
    fn join(&mut self, index: usize) {
        if let Some([before, run]) = self.runs.get_mut(index - 1..=index)
            && before.1 + 1 == run.0
        {
            before.1 = run.1;
            self.runs.remove(index);
        }
    }

    /// Returns the highest number received so far.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// Counts the numbers up to `head` that never arrived. In a bench only messages use numbers, so there must be no
    /// gaps.
    pub fn missing(&self, head: i64) -> u64 {
        let received: i64 = self
            .runs
            .iter()
            .map(|(first, last)| (*last).min(head) - first + 1)
            .filter(|count| *count > 0)
            .sum();
        // The runs contain `base`, which is known from the beginning.
        u64::try_from(head - self.base - (received - 1)).unwrap_or_default()
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
        assert_eq!(ledger.last(), 4);
        assert_eq!(ledger.runs, [(1, 4)]);
    }

    #[test]
    fn gaps_duplicates_and_reordering_are_counted_separately() {
        assert_eq!(ledger(&[2, 4]).missing(5), 2);
        assert_eq!(ledger(&[2, 4]).missing(3), 1);
        assert_eq!(ledger(&[2, 2, 3]).duplicates, 1);
        let reordered = ledger(&[2, 4, 3]);
        assert_eq!((reordered.out_of_order, reordered.missing(4)), (1, 0));
        assert_eq!(ledger(&[]).missing(3), 2);
    }

    #[test]
    fn any_order_and_any_repetition_of_all_numbers_leaves_one_run() {
        let ledger = ledger(&[9, 2, 7, 3, 9, 5, 4, 8, 6, 5, 0]);
        assert_eq!(ledger.runs, [(1, 9)]);
        assert_eq!((ledger.missing(9), ledger.duplicates), (0, 2));
        // 2, 7, 3, 5, 4, 8 and 6 came after 9; 0 is from before the beginning.
        assert_eq!(ledger.out_of_order, 8);
    }
}
