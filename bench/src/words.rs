//! Texts of made-up words, whose frequencies differ as those of a language do, so that a server which indexes messages has
//! as much work as with real ones.

/// Number of different words.
const VOCABULARY: u64 = 20_000;

/// A generator of texts, always the same ones.
pub struct Words(u64);

impl Words {
    /// Creates a generator.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a text of this many bytes.
    pub fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            // The n-th word is about n times rarer than the first.
            let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
            let rank = (VOCABULARY as f64).powf(unit) as u64;
            word(rank, &mut text);
            text.push(' ');
        }
        text.truncate(bytes);
        text
    }
}

/// Appends the word of this rank; frequent words are short.
pub fn word(rank: u64, text: &mut String) {
    const FIRST: &[u8] = b"bdfghklmnprstvz";
    const SECOND: &[u8] = b"aeiou";
    let mut left = rank;
    loop {
        let (first, second) = (left % 15, left / 15 % 5);
        text.push(FIRST[first as usize] as char);
        text.push(SECOND[second as usize] as char);
        left /= 75;
        if left == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_their_length_and_repeat_themselves() {
        let (mut one, mut other) = (Words::new(7), Words::new(7));
        for bytes in [0, 1, 64, 1_000] {
            let text = one.text(bytes);
            assert_eq!((text.len(), &text), (bytes, &other.text(bytes)));
        }
    }
}
