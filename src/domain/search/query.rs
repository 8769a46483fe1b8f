//! What is searched for.

use sea_orm::DbBackend;

use crate::domain::messages::index;
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::protocol::message_type::MessageType;
use crate::text::terms::{Word, words};

/// Maximum length of a query in characters.
const LONGEST: usize = 200;

/// Maximum number of words in a query.
const MOST_WORDS: usize = 20;

/// The words that a message must contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// In the order of the query, without repetitions.
    list: Vec<Wanted>,
}

/// A word of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    term: String,
    /// The beginning of words that are also accepted.
    beginning: Option<String>,
}

impl Words {
    /// Parses a query; with `prefix`, its last word may be the beginning of a word. All other characters only separate
    /// words: there are no operators.
    pub fn parse(text: &str, prefix: bool) -> Result<Self> {
        if text.trim().is_empty() || text.chars().count() > LONGEST || text.contains('\0') {
            return Err(Error::invalid("q", format!("must have 1 to {LONGEST} characters and no NUL")));
        }
        let mut list: Vec<Wanted> = Vec::new();
        let mut found = words(text).peekable();
        while let Some(word) = found.next() {
            // A space after the last word says that it is complete.
            let is_open = prefix && found.peek().is_none() && word.range.end == text.len();
            let wanted = Wanted { term: word.term(), beginning: is_open.then_some(word.folded) };
            if !list.contains(&wanted) {
                list.push(wanted);
            }
        }
        if list.len() > MOST_WORDS {
            return Err(Error::invalid("q", format!("must have at most {MOST_WORDS} words")));
        }
        Ok(Self { list })
    }

    /// Whether there is no word, so that nothing can be found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns the position of the wanted word that this word is, if it is one.
    pub fn position(&self, word: &Word) -> Option<usize> {
        let term = word.term();
        self.list.iter().position(|wanted| {
            let begins = |it: &String| word.folded.starts_with(it.as_str()) || term.starts_with(it.as_str());
            wanted.term == term || wanted.beginning.as_ref().is_some_and(begins)
        })
    }
}

/// Further conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only in this chat.
    pub chat: Option<ChatId>,
    /// Only by this author.
    pub author: Option<UserId>,
    /// Only of this type.
    pub message_type: Option<MessageType>,
    /// Not before this time, milliseconds since the Unix epoch.
    pub from: Option<i64>,
    /// Before this time, milliseconds since the Unix epoch.
    pub to: Option<i64>,
}

/// Returns the condition on the index in the language of the database; `chats` are alternatives, unless there are none.
/// Terms contain no character that has a meaning in either language.
pub fn condition(backend: DbBackend, words: &Words, filter: &Filter, chats: &[ChatId]) -> String {
    let syntax = if backend == DbBackend::Postgres { &TSQUERY } else { &FTS5 };
    let exact = |term: &str| format!("{0}{term}{0}", syntax.quote);
    let mut all: Vec<String> = words
        .list
        .iter()
        .map(|wanted| match &wanted.beginning {
            None => exact(&wanted.term),
            Some(beginning) => {
                format!("({}{}{}{})", exact(&wanted.term), syntax.or, exact(beginning), syntax.beginning)
            }
        })
        .collect();
    all.extend(filter.author.map(|it| exact(&index::author_term(it))));
    all.extend(filter.message_type.map(|it| exact(&index::type_term(it))));
    if !chats.is_empty() {
        let chats: Vec<String> = chats.iter().map(|it| exact(&index::chat_term(*it))).collect();
        all.push(format!("({})", chats.join(syntax.or)));
    }
    all.join(syntax.and)
}

struct Syntax {
    quote: char,
    and: &'static str,
    or: &'static str,
    beginning: &'static str,
}

const FTS5: Syntax = Syntax { quote: '"', and: " AND ", or: " OR ", beginning: " *" };
const TSQUERY: Syntax = Syntax { quote: '\'', and: " & ", or: " | ", beginning: ":*" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_words_and_no_operators() {
        let parse = |text| Words::parse(text, false).expect("valid");
        assert_eq!(parse("cats NOT dogs"), parse("\"cat\" -(not) dog*"));
        assert_eq!(parse("cat cats").len(), 1);
        assert!(parse("% \" * :").is_empty());
        for text in ["", "  ", "a\0b"] {
            assert!(Words::parse(text, false).is_err(), "{text:?}");
        }
        assert!(Words::parse(&"a ".repeat(100), false).is_ok());
        assert!(Words::parse(&"a".repeat(201), false).is_err());
        let many = (0..21).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        assert!(Words::parse(&many, false).is_err());
    }

    #[test]
    fn the_last_word_may_be_a_beginning() {
        let fits = |query, word| {
            let wanted = Words::parse(query, true).expect("valid");
            words(word).all(|it| wanted.position(&it).is_some())
        };
        assert!(fits("mess", "messages") && fits("messages", "message") && fits("happ", "happy"));
        assert!(!fits("mess ", "messages") && !fits("mess up", "messages"));
        let chats = [ChatId(4), ChatId(5)];
        let wanted = Words::parse("big dog", true).expect("valid");
        let filter = Filter { author: Some(UserId(7)), ..Filter::default() };
        assert_eq!(
            condition(DbBackend::Sqlite, &wanted, &filter, &chats),
            "\"big\" AND (\"dog\" OR \"dog\" *) AND \"\u{e001}7\" AND (\"\u{e000}4\" OR \"\u{e000}5\")"
        );
        assert_eq!(
            condition(DbBackend::Postgres, &wanted, &Filter::default(), &[]),
            "'big' & ('dog' | 'dog':*)"
        );
    }
}
