//! The part of a text that shows why a message was found, and how well it fits.

use super::query::Words;
use crate::protocol::search::SnippetPart;
use crate::text::terms::{Word, words};

/// Maximum length of a snippet in characters.
const LONGEST: usize = 200;

/// Characters that are shown before the first hit.
const BEFORE: usize = 40;

/// Bytes of a content that are looked at.
const LOOKED_THROUGH: usize = 20_000;

/// Words of an average message, to which lengths are compared.
const USUAL_LENGTH: f64 = 20.0;

/// A text in which hits were looked for.
pub struct Found<'a> {
    text: &'a str,
    /// The words that were searched for, each with its position in the query.
    hits: Vec<(Word, usize)>,
    /// Number of words in the text.
    length: usize,
    /// Whether the words of the query follow each other somewhere.
    has_phrase: bool,
}

impl<'a> Found<'a> {
    /// Looks for words in a text.
    pub fn in_text(text: &'a str, wanted: &Words) -> Self {
        let mut end = text.len().min(LOOKED_THROUGH);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (mut hits, mut length, mut run, mut has_phrase) = (Vec::new(), 0, 0, false);
        for word in words(&text[..end]) {
            length += 1;
            let Some(position) = wanted.position(&word) else {
                run = 0;
                continue;
            };
            run = if position == run { run + 1 } else { usize::from(position == 0) };
            if run == wanted.len() {
                has_phrase = true;
                run = 0;
            }
            hits.push((word, position));
        }
        Self { text, hits, length, has_phrase }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// Returns how well the text fits, from 0 to 1: more hits in a shorter text fit better, and words that follow each
    /// other as in the query.
    pub fn rank(&self, wanted: &Words) -> f64 {
        let half = 0.5 + 0.5 * self.length as f64 / USUAL_LENGTH;
        let score = |position: usize| {
            let number = self.hits.iter().filter(|(_, it)| *it == position).count() as f64;
            number / (number + half)
        };
        let words = (0..wanted.len()).map(score).sum::<f64>() / wanted.len().max(1) as f64;
        let rank = 0.8 * words + if self.has_phrase { 0.2 } else { 0.0 };
        (rank * 10_000.0).round() / 10_000.0
    }

    /// Returns the part of the text with the most different hits.
    pub fn snippet(&self) -> Vec<SnippetPart> {
        let start = self.best_start();
        let mut text = Cutting::from(self.text, start);
        for (word, _) in self.hits.iter().filter(|(word, _)| word.range.start >= start) {
            if !text.take_until(word.range.start, false) || !text.take_until(word.range.end, true) {
                break;
            }
        }
        text.finish()
    }

    /// Returns where the snippet begins: at a word somewhat before its first hit, or at the beginning of the text.
    fn best_start(&self) -> usize {
        let reach = |first: usize| {
            let mut seen: Vec<usize> = self
                .hits
                .iter()
                .filter(|(word, _)| (first..first + LONGEST - BEFORE).contains(&word.range.start))
                .map(|(_, position)| *position)
                .collect();
            seen.sort_unstable();
            seen.dedup();
            seen.len()
        };
        let starts = self.hits.iter().map(|(word, _)| word.range.start);
        let first = starts.rev().max_by_key(|start| reach(*start)).unwrap_or(0);
        let before = &self.text[..first];
        let Some((cut, _)) = before.char_indices().rev().nth(BEFORE) else { return 0 };
        before[cut..].find(char::is_whitespace).map_or(first, |space| cut + space + 1)
    }
}

/// A snippet that is being cut from a text.
struct Cutting<'a> {
    rest: &'a str,
    /// Where the rest begins.
    at: usize,
    left: usize,
    parts: Vec<SnippetPart>,
}

impl<'a> Cutting<'a> {
    fn from(text: &'a str, start: usize) -> Self {
        let mut this =
            Self { rest: text.get(start..).unwrap_or_default(), at: start, left: LONGEST, parts: Vec::new() };
        if start > 0 {
            this.push("…", false);
        }
        this
    }

    /// Takes the text up to a position. Returns whether there was room for it.
    fn take_until(&mut self, end: usize, hit: bool) -> bool {
        let Some(part) = end.checked_sub(self.at).and_then(|length| self.rest.get(..length)) else {
            // A character that stands for several words was taken before.
            return true;
        };
        if hit && part.chars().count() > self.left {
            return false;
        }
        let (part, fits) = match part.char_indices().nth(self.left) {
            Some((cut, _)) => (&part[..cut], false),
            None => (part, true),
        };
        self.left -= part.chars().count();
        self.at += part.len();
        self.rest = &self.rest[part.len()..];
        self.push(part, hit);
        fits
    }

    fn push(&mut self, text: &str, hit: bool) {
        if text.is_empty() {
            return;
        }
        // Line breaks would tear a list of results apart.
        let text: String = text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
        match self.parts.last_mut().filter(|last| last.hit == hit && !hit) {
            Some(last) => last.text.push_str(&text),
            None => self.parts.push(SnippetPart { text, hit }),
        }
    }

    fn finish(mut self) -> Vec<SnippetPart> {
        self.take_until(self.at + self.rest.len(), false);
        if !self.rest.is_empty() {
            self.push("…", false);
        }
        self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snippet(text: &str, query: &str) -> String {
        let wanted = Words::parse(query, false).expect("valid");
        let parts = Found::in_text(text, &wanted).snippet();
        parts.into_iter().map(|it| if it.hit { format!("[{}]", it.text) } else { it.text }).collect()
    }

    fn rank(text: &str, query: &str) -> f64 {
        let wanted = Words::parse(query, false).expect("valid");
        Found::in_text(text, &wanted).rank(&wanted)
    }

    #[test]
    fn hits_are_marked_in_the_text_as_it_was_written() {
        assert_eq!(
            snippet("Lunch at <b>NOON</b>?\nlunches!", "noon lunch"),
            "[Lunch] at <b>[NOON]</b>? [lunches]!"
        );
        assert_eq!(snippet("наши Ёлки", "елка"), "наши [Ёлки]");
        assert_eq!(snippet("x ½ y", "1 2"), "x [½] y");
        assert_eq!(snippet("no such word", "missing"), "no such word");
        assert_eq!(snippet("", "missing"), "");
    }

    #[test]
    fn a_long_text_is_cut_around_its_hits() {
        let text =
            format!("lunch {} first and the lunch that we want {}", "long ".repeat(100), "tail ".repeat(100));
        let found = snippet(&text, "lunch want");
        assert!(found.starts_with("…long") && found.ends_with('…'), "{found}");
        assert!(found.contains("[lunch] that we [want]"), "{found}");
        assert!(found.replace(['[', ']'], "").chars().count() <= LONGEST + 2, "{found}");
        let glued = format!("{}lunch", "🙂".repeat(500));
        assert!(snippet(&glued, "lunch").contains("[lunch]"));
        let end = format!("{}lunch", "x".repeat(300));
        assert_eq!(snippet(&end, "lunch").chars().count(), LONGEST + 1);
    }

    #[test]
    fn more_hits_in_shorter_texts_rank_higher() {
        assert!(rank("lunch", "lunch") > rank("lunch with all of them", "lunch"));
        assert!(rank("lunch lunch a b", "lunch") > rank("lunch c a b", "lunch"));
        assert!(rank("the red car", "red car") > rank("car the red", "red car"));
        for text in ["lunch", "", &"lunch ".repeat(500)] {
            assert!((0.0..=1.0).contains(&rank(text, "lunch")), "{text}");
        }
    }
}
