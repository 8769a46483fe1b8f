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
    // The names come first, so that they are indexed whatever the length of the content.
    terms(files.iter().copied().chain([&*content]))
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
    let (mut rest, mut has_end) = (content, true);
    while let Some(start) = rest.find('<').filter(|_| has_end) {
        let (before, from) = rest.split_at(start);
        text.push_str(before);
        let is_tag = from[1..].starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
        let end = if is_tag { from.find('>').map(|end| end + 1) } else { Some(1) };
        // Without an end, no later tag has one either.
        has_end = end.is_some();
        text.extend(std::iter::repeat_n(' ', end.unwrap_or(0)));
        rest = &from[end.unwrap_or(0)..];
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

/// Stores the entries of new messages; empty ones need none.
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

/// Replaces the entries of messages; an empty entry removes the one that is there.
pub async fn replace(conn: &impl ConnectionTrait, entries: Vec<(i64, String)>) -> Result<()> {
    let backend = conn.get_database_backend();
    let key = if backend == DbBackend::Postgres { "message_id" } else { "rowid" };
    let gone: Vec<String> =
        entries.iter().filter(|(_, entry)| entry.is_empty()).map(|(id, _)| id.to_string()).collect();
    if !gone.is_empty() {
        let sql = format!("DELETE FROM message_terms WHERE {key} IN ({})", gone.join(", "));
        conn.execute_raw(Statement::from_string(backend, sql)).await?;
    }
    put(conn, entries).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content: &str, name: &str) -> String {
        terms_of(content, MessageType::from_name(name).expect("a type"), &["photo_1.jpg"])
    }

    #[test]
    fn words_of_text_and_of_file_names_are_found_and_tags_are_not() {
        assert_eq!(found("a < b", "text"), "photo 1 jpg a b");
        assert_eq!(found("<p class=\"x\">One</p><br/>two <3 <", "html"), "photo 1 jpg one two 3");
        assert_eq!(found("<unclosed one", "html"), "photo 1 jpg unclos one");
        assert_eq!(found("aGVsbG8=", "binary"), "photo 1 jpg");
        let content = "<b>ё</b> & more";
        let html = MessageType::from_name("html").expect("a type");
        assert_eq!(readable(content, html).len(), content.len());
        assert_eq!(readable("1 < 2 <p>3 < 4", html), "1   2    3   4");
        let hostile = "<a".repeat(200_000);
        assert_eq!(readable(&hostile, html), hostile, "in time that grows with the length only");
    }
}
