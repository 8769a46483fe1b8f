//! The search index: for each message, the terms that it is found by. It is changed in the transaction that changes the
//! message.
//!
//! The terms of a message's chat, author and type begin with characters that no word contains.

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::protocol::message_type::MessageType;
use crate::text::terms::terms;

/// Rows per statement; each binds two values.
const ROWS: usize = 500;

/// Returns the terms of a message's content and of the names of its files, separated by spaces.
pub fn terms_of(content: &str, message_type: MessageType, files: &[&str]) -> String {
    let content = readable(content, message_type);
    terms(std::iter::once(&*content).chain(files.iter().copied()))
}

/// Returns the part of a content in which words are found: nothing of a binary one, and only spaces instead of tags, so
/// that the words keep their places.
pub fn readable(content: &str, message_type: MessageType) -> std::borrow::Cow<'_, str> {
    if !message_type.is_text() {
        return "".into();
    }
    if !message_type.is_markup() || !content.contains('<') {
        return content.into();
    }
    let mut text = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(start) = rest.find('<') {
        let (before, from) = rest.split_at(start);
        text.push_str(before);
        let is_tag = from[1..].starts_with(|sign: char| sign.is_ascii_alphabetic() || "/!?".contains(sign));
        let end = from.find('>').filter(|_| is_tag).map_or(1, |end| end + 1);
        text.extend(std::iter::repeat_n(' ', end));
        rest = &from[end..];
    }
    text.push_str(rest);
    text.into()
}

/// Returns the term of all messages of a chat.
pub fn chat_term(chat: ChatId) -> String {
    format!("\u{e000}{}", chat.0)
}

/// Returns the term of all messages of an author.
pub fn author_term(author: UserId) -> String {
    format!("\u{e001}{}", author.0)
}

/// Returns the term of all messages of a type.
pub fn type_term(message_type: MessageType) -> String {
    format!("\u{e002}{}", message_type.id())
}

/// Returns everything that a message is found by, as it is stored; empty if its words are.
pub fn entry(words: &str, chat: ChatId, author: UserId, message_type: MessageType) -> String {
    if words.is_empty() {
        return String::new();
    }
    format!("{words} \u{e000}{} \u{e001}{} \u{e002}{}", chat.0, author.0, message_type.id())
}

/// Stores entries by message. Replaces those that are there.
pub async fn put(conn: &impl ConnectionTrait, entries: Vec<(i64, String)>) -> Result<()> {
    let backend = conn.get_database_backend();
    let mut entries = entries.into_iter().filter(|(_, entry)| !entry.is_empty()).peekable();
    while entries.peek().is_some() {
        let mut values: Vec<Value> = Vec::new();
        for (id, entry) in entries.by_ref().take(ROWS) {
            values.extend([id.into(), entry.into()]);
        }
        let row = |n: usize| match backend {
            DbBackend::Postgres => {
                format!("(${}, CAST(CAST(${} AS text) AS tsvector))", 2 * n + 1, 2 * n + 2)
            }
            _ => "(?, ?)".to_owned(),
        };
        let rows = (0..values.len() / 2).map(row).collect::<Vec<_>>().join(", ");
        let sql = match backend {
            DbBackend::Postgres => format!(
                "INSERT INTO message_terms (message_id, terms) VALUES {rows} \
                 ON CONFLICT (message_id) DO UPDATE SET terms = EXCLUDED.terms"
            ),
            _ => format!("INSERT OR REPLACE INTO message_terms (rowid, terms) VALUES {rows}"),
        };
        conn.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    }
    Ok(())
}

/// Removes the entry of a message.
pub async fn remove(conn: &impl ConnectionTrait, message_id: i64) -> Result<()> {
    let backend = conn.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => "DELETE FROM message_terms WHERE message_id = $1",
        _ => "DELETE FROM message_terms WHERE rowid = ?",
    };
    conn.execute_raw(Statement::from_sql_and_values(backend, sql, [message_id.into()])).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content: &str, name: &str) -> String {
        terms_of(content, MessageType::from_name(name).expect("a type"), &["photo_1.jpg"])
    }

    #[test]
    fn words_of_text_and_of_file_names_are_found_and_tags_are_not() {
        assert_eq!(found("a < b", "text"), "a b photo 1 jpg");
        assert_eq!(found("<p class=\"x\">One</p><br/>two <3 <", "html"), "one two 3 photo 1 jpg");
        assert_eq!(found("<unclosed one", "html"), "unclos one photo 1 jpg");
        assert_eq!(found("aGVsbG8=", "binary"), "photo 1 jpg");
        let content = "<b>ё</b> & more";
        assert_eq!(readable(content, MessageType::from_name("html").expect("a type")).len(), content.len());
    }
}
