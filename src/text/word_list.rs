//! A list of words and phrases that is looked for in texts. They are compared as whole words, without case.

use std::collections::HashMap;

use super::terms::words;

/// The words, by the first word of each phrase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordList {
    phrases: HashMap<String, Vec<Vec<String>>>,
}

impl WordList {
    /// Creates a list of these words and phrases. One without any letter or digit matches nothing.
    pub fn new<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut phrases: HashMap<String, Vec<Vec<String>>> = HashMap::new();
        for line in lines {
            let mut line = words(line).map(|word| word.folded);
            if let Some(first) = line.next() {
                phrases.entry(first).or_default().push(line.collect());
            }
        }
        Self { phrases }
    }

    /// Whether a text contains one of them.
    pub fn is_in(&self, text: &str) -> bool {
        if self.phrases.is_empty() {
            return false;
        }
        let all: Vec<String> = words(text).map(|word| word.folded).collect();
        all.iter().enumerate().any(|(at, word)| {
            let phrases = self.phrases.get(word).into_iter().flatten();
            phrases.into_iter().any(|rest| all[at + 1..].starts_with(rest))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_and_phrases_are_found_however_they_are_written() {
        let list = WordList::new(["Spam", "buy now", "ёлка", "!!!", "日本"]);
        for text in ["SPAM!", "no,spam;here", "BUY   *now*", "Елка", "ｓｐａｍ", "in 日本語"] {
            assert!(list.is_in(text), "{text}");
        }
        for text in ["", "spammer", "buy it now", "now buy", "!!!", "日 x 本"] {
            assert!(!list.is_in(text), "{text}");
        }
        assert!(!WordList::new([]).is_in("anything"));
    }
}
