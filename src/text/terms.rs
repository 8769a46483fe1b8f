//! The terms that messages are found by. Both databases store and look up what this module makes of a text, so they find
//! the same messages.
//!
//! A word is a run of letters, digits and marks; in scripts that do not separate words by spaces, each character is a
//! word, and so is each emoji. All other characters only separate words. A term is a word, folded (see [`fold`]) and
//! reduced to its stem by the Snowball algorithm for English or Russian, depending on the script.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use frostem::{Algorithm, Stemmer};
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup, Script};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::fold;

/// Increased when a text yields other terms than before, so that stored messages are indexed again.
pub const VERSION: i32 = 1;

/// Characters of a word that count.
const LONGEST: usize = 40;

/// Distinct terms of a text that are indexed.
const MOST: usize = 5_000;

/// Scripts that are written without spaces between words.
const WITHOUT_SPACES: [Script; 8] = [
    Script::Han,
    Script::Hiragana,
    Script::Katakana,
    Script::Thai,
    Script::Lao,
    Script::Khmer,
    Script::Myanmar,
    Script::Tibetan,
];

static ENGLISH: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::new(Algorithm::English));
static RUSSIAN: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::new(Algorithm::Russian));

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it stands, in bytes.
    pub range: Range<usize>,
    /// The word as it is compared, before it is reduced to its stem.
    pub folded: String,
}

impl Word {
    /// Returns the term that the word is found by.
    pub fn term(&self) -> String {
        stem(&self.folded)
    }
}

/// What a character is to the words around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Part of a word.
    Inner,
    /// A word of its own.
    Single,
    /// Attached to what precedes it: a mark, or an invisible character.
    Attached,
    /// Between words.
    Outside,
}

fn part(sign: char) -> Part {
    if sign.is_ascii() {
        return if sign.is_ascii_alphanumeric() { Part::Inner } else { Part::Outside };
    }
    if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(sign) {
        return Part::Attached;
    }
    let kind = CodePointMapData::<GeneralCategory>::new().get(sign);
    if GeneralCategoryGroup::Mark.contains(kind) {
        Part::Attached
    } else if kind == GeneralCategory::OtherSymbol {
        Part::Single
    } else if GeneralCategoryGroup::Letter.contains(kind) || GeneralCategoryGroup::Number.contains(kind) {
        let script = CodePointMapData::<Script>::new().get(sign);
        if WITHOUT_SPACES.contains(&script) { Part::Single } else { Part::Inner }
    } else {
        Part::Outside
    }
}

/// Returns the words of a text, in order. A character that stands for several words yields all of them.
pub fn words(text: &str) -> impl Iterator<Item = Word> {
    let mut signs = text.char_indices().peekable();
    std::iter::from_fn(move || {
        loop {
            let (start, first) = signs.next()?;
            let kind = part(first);
            if !matches!(kind, Part::Inner | Part::Single) {
                continue;
            }
            let mut end = start + first.len_utf8();
            while let Some((at, sign)) = signs.peek().copied() {
                let next = part(sign);
                if next != Part::Attached && !(next == Part::Inner && kind == Part::Inner) {
                    break;
                }
                end = at + sign.len_utf8();
                signs.next();
            }
            return Some(start..end);
        }
    })
    .flat_map(move |range| {
        folded(&text[range.clone()]).map(move |folded| Word { range: range.clone(), folded })
    })
}

/// Returns a word as it is compared. Some characters stand for several words.
fn folded(word: &str) -> impl Iterator<Item = String> {
    let whole = if word.is_ascii() {
        word.to_ascii_lowercase()
    } else {
        let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
        fold(word).chars().filter(|sign| !ignorable.contains(*sign)).collect()
    };
    let is_separator = |sign| part(sign) == Part::Outside;
    let parts: Vec<String> = whole.split(is_separator).filter(|it| !it.is_empty()).map(shortened).collect();
    parts.into_iter()
}

fn shortened(word: &str) -> String {
    match word.char_indices().nth(LONGEST) {
        Some((end, _)) => word[..end].to_owned(),
        None => word.to_owned(),
    }
}

fn stem(word: &str) -> String {
    let stemmer = match word.chars().next() {
        Some('a'..='z') if word.bytes().all(|byte| byte.is_ascii_lowercase()) => &*ENGLISH,
        Some('а'..='я') => &*RUSSIAN,
        _ => return word.to_owned(),
    };
    stemmer.stem(word).into_owned()
}

/// Returns the distinct terms of texts, separated by spaces. They contain no other white space and no ASCII punctuation.
pub fn terms<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut known = HashSet::new();
    let mut all = String::new();
    for word in texts.into_iter().flat_map(words) {
        let term = word.term();
        if known.contains(&term) {
            continue;
        }
        if known.len() == MOST {
            break;
        }
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(&term);
        known.insert(term);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_have_the_same_term() {
        for (one, other) in [
            ("running", "runs"),
            ("Messages", "MESSAGE"),
            ("книга", "книгами"),
            ("ёлка", "Елки"),
            ("Ёлки", "е\u{308}лкой"),
            ("ﬁles", "file"),
            ("ＡＢＣ", "abc"),
            ("stra\u{ad}ße", "STRASSE"),
        ] {
            assert_eq!(terms([one]), terms([other]), "{one} {other}");
        }
        for (one, other) in [("cafe", "café"), ("и", "й"), ("abc1", "abc2"), ("running2", "runs2")] {
            assert_ne!(terms([one]), terms([other]), "{one} {other}");
        }
    }

    #[test]
    fn a_text_is_split_into_words() {
        for (text, wanted) in [
            ("", ""),
            ("  \"'*%()-+:&|!\\ ", ""),
            ("snake_case, kebab-case: dot.ted", "snake case kebab dot ted"),
            ("50% of $3", "50 of 3"),
            ("don't", "don t"),
            ("日本語", "日 本 語"),
            ("a🎉b", "a 🎉 b"),
            ("❤\u{fe0f}", "❤"),
            ("ﷺ", "صلى الله عليه وسلم"),
            ("½", "1 2"),
            ("the The THE", "the"),
        ] {
            assert_eq!(terms([text]), wanted, "{text:?}");
        }
        assert_eq!(terms(["ключи.pdf", "отчёт за май"]), "ключ pdf отчет за ма");
    }

    #[test]
    fn a_word_knows_its_place() {
        let text = "Привет, e\u{301}cole 🎉!";
        let found: Vec<&str> = words(text).map(|word| &text[word.range]).collect();
        assert_eq!(found, ["Привет", "e\u{301}cole", "🎉"]);
    }

    #[test]
    fn no_text_yields_too_much() {
        let long = "ж".repeat(10_000);
        assert_eq!(terms([long.as_str()]).chars().count(), LONGEST);
        let many = (0..20_000).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(terms([many.as_str()]).split(' ').count(), MOST);
    }

    proptest::proptest! {
        #[test]
        fn terms_of_terms_are_separated_in_the_same_way(text in "\\PC{0,40}") {
            for term in terms([text.as_str()]).split(' ').filter(|it| !it.is_empty()) {
                // Both databases split the list at spaces, and quote or escape nothing.
                let special =
                    |sign: char| sign.is_whitespace() || sign.is_ascii_punctuation() || sign == '\u{e000}';
                proptest::prop_assert!(!term.contains(special));
            }
        }
    }
}
