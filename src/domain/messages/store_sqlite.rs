//! Stores a group of messages in a SQLite file, within one transaction of statements that are prepared once.
//!
//! As on PostgreSQL (see `store_postgres`), the messages of a chat are stored only if all of them can be accepted as they
//! are; the others are left to the caller, who decides them one by one in another transaction.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use entity::enums::Role;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Result, Row, Transaction, params};

use super::batch::{Positioned, message_of};
use super::store_postgres::{Stored, accepted_chats};
use super::writer::Job;
use crate::domain::mentions::Mentions;
use crate::ids::{ChatId, MessageId, UserId};
use crate::platform::bus::ChatPosition;
use crate::protocol::users::Author;

/// Reads the counter of a chat that accepts messages.
const CHAT: &str = "SELECT rev FROM chats \
    WHERE id = ?1 AND deleted_at IS NULL AND NOT leaves_archive AND slow_mode_secs = 0 AND (is_group OR (approved AND NOT blocked))";

/// Reads a member who may send.
const SENDER: &str = "SELECT username, name, photo, role FROM users \
    WHERE id = ?2 AND deleted_at IS NULL AND (banned_at IS NULL OR banned_until <= ?3) \
    AND EXISTS (SELECT 1 FROM members WHERE chat_id = ?1 AND user_id = ?2 AND left_at IS NULL)";

const HAS_CLIENT_ID: &str = "SELECT 1 FROM messages WHERE user_id = ?1 AND client_id = ?2";

const IS_IN_CHAT: &str = "SELECT 1 FROM messages WHERE id = ?1 AND chat_id = ?2";

const INSERT: &str = "INSERT INTO messages \
    (chat_id, seq, rev, user_id, message_type, content, client_id, fingerprint, reply_to, created_at) \
    VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const INDEX: &str = "INSERT INTO message_terms (rowid, terms) VALUES (?1, ?2)";

const ADVANCE: &str =
    "UPDATE chats SET rev = ?2, last_seq = ?2, visible = TRUE, last_activity_at = ?3 WHERE id = ?1";

/// Stores messages. Returns the stored ones by their index.
pub fn store_at_once(tx: &Transaction<'_>, jobs: &[&Job], now: i64) -> Result<HashMap<usize, Stored>> {
    let mut stored = HashMap::with_capacity(jobs.len());
    for (chat, indexes) in accepted_chats(jobs) {
        let Some(mut rev) = tx.prepare_cached(CHAT)?.query_row([chat.0], first).optional()? else { continue };
        let messages: Vec<(usize, &Job)> =
            indexes.into_iter().filter_map(|index| Some((index, *jobs.get(index)?))).collect();
        let Some(authors) = authors(tx, chat, &messages, now)? else { continue };
        for (index, job) in messages {
            let Some(author) = authors.get(&job.user_id) else { continue };
            let position = ChatPosition { chat_id: chat, rev: rev + 1, prev: rev };
            rev = position.rev;
            let draft = &job.draft;
            tx.prepare_cached(INSERT)?.execute(params![
                chat.0,
                rev,
                job.user_id.0,
                draft.message_type.id(),
                draft.content,
                draft.client_id,
                draft.fingerprint(chat.0),
                draft.reply_to.map(|it| it.0),
                now,
            ])?;
            let id = MessageId(tx.last_insert_rowid());
            let entry = draft.index_entry(chat, job.user_id, &[]);
            if !entry.is_empty() {
                tx.prepare_cached(INDEX)?.execute(params![id.0, entry])?;
            }
            let (author, mentions) = (author.clone(), Mentions::default());
            let positioned = Positioned { draft, author, mentions, files: Vec::new(), position };
            stored.insert(index, (message_of(id, &positioned, now), position));
        }
        tx.prepare_cached(ADVANCE)?.execute([chat.0, rev, now])?;
    }
    Ok(stored)
}

/// Returns the senders of a chat's messages; `None` unless all of the messages can be accepted.
fn authors(
    tx: &Transaction<'_>,
    chat: ChatId,
    messages: &[(usize, &Job)],
    now: i64,
) -> Result<Option<HashMap<UserId, Author>>> {
    let mut authors = HashMap::new();
    for (_, job) in messages {
        let (user, draft) = (job.user_id, &job.draft);
        if let Entry::Vacant(unknown) = authors.entry(user) {
            let mut select = tx.prepare_cached(SENDER)?;
            let read = select.query_row([chat.0, user.0, now], |row| author(user, row)).optional()?;
            let Some(author) = read else { return Ok(None) };
            unknown.insert(author);
        }
        if let Some(client_id) = &draft.client_id
            && tx.prepare_cached(HAS_CLIENT_ID)?.exists(params![user.0, client_id])?
        {
            return Ok(None);
        }
        if let Some(answered) = draft.reply_to
            && !tx.prepare_cached(IS_IN_CHAT)?.exists([answered.0, chat.0])?
        {
            return Ok(None);
        }
    }
    Ok(Some(authors))
}

fn first(row: &Row<'_>) -> Result<i64> {
    row.get(0)
}

fn author(id: UserId, row: &Row<'_>) -> Result<Author> {
    let role: String = row.get(3)?;
    let unknown = || rusqlite::Error::FromSqlConversionFailure(3, Type::Text, format!("role {role}").into());
    Ok(Author {
        id,
        username: row.get(0)?,
        name: row.get(1)?,
        photo: row.get(2)?,
        role: Role::from_text(&role).ok_or_else(unknown)?,
    })
}
