//! Stores a group of messages on PostgreSQL with one statement that commits by itself.
//!
//! The statement stores the messages of a chat only if it can accept all of them as they are; otherwise it leaves the
//! chat alone, and the caller decides its messages one by one in a transaction. So there is one place that explains a
//! refusal, and the order within a chat is kept.
//!
//! Memberships are read as of the beginning of the statement, while the chat's row is read again when it is locked. Every
//! change of members raises the chat's `meta_rev`, so equal values prove that the memberships are still current. Chats
//! that another transaction has locked are skipped.

use std::collections::{HashMap, HashSet};

use entity::enums::Role;
use sea_orm::sqlx::postgres::{PgArguments, PgRow};
use sea_orm::sqlx::{Arguments, Row};

use super::batch::{Positioned, message_of};
use super::writer::Job;
use crate::domain::mentions::Mentions;
use crate::error::{Error, Result};
use crate::ids::{ChatId, MessageId, UserId};
use crate::platform::bus::ChatPosition;
use crate::platform::db::{Autocommit, Failure};
use crate::protocol::messages::Message;
use crate::protocol::users::Author;

const STORE: &str = "\
WITH input AS (
    SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int2[], $5::text[], $6::text[], $7::text[], $8::int8[],
            $13::text[])
        AS t (chat_id, user_id, nth, message_type, content, client_id, fingerprint, reply_to, terms)
), expected AS (
    SELECT * FROM unnest($9::int8[], $10::int8[]) AS t (chat_id, n)
), locked AS (
    SELECT id, meta_rev FROM chats
    WHERE id = ANY($9) AND deleted_at IS NULL AND NOT leaves_archive AND slow_mode_secs = 0 AND (is_group OR (approved AND NOT blocked))
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
), senders AS (
    SELECT id, username, name, photo, role FROM users
    WHERE id = ANY($11) AND deleted_at IS NULL
        AND (banned_at IS NULL OR banned_until <= $12)
), accepted AS (
    SELECT input.* FROM input
    JOIN chats ON chats.id = input.chat_id
    JOIN locked ON locked.id = input.chat_id AND locked.meta_rev = chats.meta_rev
    JOIN members ON members.chat_id = input.chat_id AND members.user_id = input.user_id AND members.left_at IS NULL
    JOIN senders ON senders.id = input.user_id
    WHERE (input.client_id IS NULL OR NOT EXISTS (
            SELECT FROM messages WHERE messages.user_id = input.user_id AND messages.client_id = input.client_id))
        AND (input.reply_to IS NULL OR EXISTS (
            SELECT FROM messages WHERE messages.id = input.reply_to AND messages.chat_id = input.chat_id))
), counted AS (
    SELECT expected.* FROM expected
    JOIN (SELECT chat_id, count(*) AS n FROM accepted GROUP BY chat_id) AS found USING (chat_id, n)
), moved AS (
    UPDATE chats SET rev = rev + n, last_seq = rev + n, visible = true, last_activity_at = $12
    FROM counted WHERE chats.id = counted.chat_id
    RETURNING chats.id, chats.rev - n AS base
), stored AS (
    INSERT INTO messages
        (chat_id, seq, rev, user_id, message_type, content, client_id, fingerprint, reply_to, created_at)
    SELECT chat_id, base + nth, base + nth, user_id, message_type, content, client_id, fingerprint, reply_to, $12
    FROM accepted JOIN moved ON moved.id = accepted.chat_id
    ORDER BY chat_id, nth
    RETURNING id, chat_id, seq, user_id
), indexed AS (
    INSERT INTO message_terms (message_id, terms)
    SELECT stored.id, CAST(accepted.terms AS tsvector) FROM stored
    JOIN moved ON moved.id = stored.chat_id
    JOIN accepted ON accepted.chat_id = stored.chat_id AND accepted.nth = stored.seq - moved.base
    WHERE accepted.terms <> ''
)
SELECT stored.id, chat_id, seq, user_id, username, name, photo, role
FROM stored JOIN senders ON senders.id = user_id
ORDER BY chat_id, seq";

/// A message that was stored, and its position.
pub type Stored = (Message, ChatPosition);

/// Stores messages. Returns the stored ones by their index; the others have to be decided one by one.
pub async fn store_at_once(
    connection: &mut Autocommit,
    jobs: &[&Job],
    now: i64,
) -> std::result::Result<HashMap<usize, Stored>, Failure> {
    let by_chat = accepted_chats(jobs);
    if by_chat.is_empty() {
        return Ok(HashMap::new());
    }
    let arguments = arguments(jobs, &by_chat, now).map_err(Failure::Refused)?;
    let rows = connection.query(STORE, arguments).await?;
    // From here on, an error does not mean that nothing was stored.
    collect(jobs, &by_chat, &rows, now).map_err(Failure::Unknown)
}

/// Returns the indexes of the messages by chat, without the chats in which a `client_id` of this group is repeated, or a
/// message needs further reads.
pub(super) fn accepted_chats(jobs: &[&Job]) -> HashMap<ChatId, Vec<usize>> {
    let mut by_chat: HashMap<ChatId, Vec<usize>> = HashMap::new();
    let mut client_ids: HashMap<(UserId, &str), ChatId> = HashMap::new();
    let mut left_out: HashSet<ChatId> = HashSet::new();
    for (index, job) in jobs.iter().enumerate() {
        by_chat.entry(job.chat_id).or_default().push(index);
        if !job.draft.is_plain() {
            left_out.insert(job.chat_id);
        }
        if let Some(client_id) = &job.draft.client_id
            && let Some(first) = client_ids.insert((job.user_id, client_id), job.chat_id)
        {
            left_out.extend([first, job.chat_id]);
        }
    }
    by_chat.retain(|chat, _| !left_out.contains(chat));
    by_chat
}

fn arguments(jobs: &[&Job], by_chat: &HashMap<ChatId, Vec<usize>>, now: i64) -> Result<PgArguments> {
    let rows: Vec<(i64, &Job)> = by_chat
        .values()
        .flat_map(|indexes| (1..).zip(indexes.iter().filter_map(|index| jobs.get(*index).copied())))
        .collect();
    let numbers = |of: fn(&(i64, &Job)) -> i64| rows.iter().map(of).collect::<Vec<i64>>();
    let kinds: Vec<i16> = rows.iter().map(|(_, job)| job.draft.message_type.id()).collect();
    let contents: Vec<&str> = rows.iter().map(|(_, job)| job.draft.content.as_str()).collect();
    let client_ids: Vec<Option<&str>> = rows.iter().map(|(_, job)| job.draft.client_id.as_deref()).collect();
    let fingerprints: Vec<Option<String>> =
        rows.iter().map(|(_, job)| job.draft.fingerprint(job.chat_id.0)).collect();
    let answered: Vec<Option<i64>> = rows.iter().map(|(_, job)| job.draft.reply_to.map(|id| id.0)).collect();
    let entries: Vec<String> =
        rows.iter().map(|(_, job)| job.draft.index_entry(job.chat_id, job.user_id, &[])).collect();
    let chats: Vec<i64> = by_chat.keys().map(|chat| chat.0).collect();
    let counts: Vec<i64> = by_chat.values().map(|indexes| indexes.len() as i64).collect();
    let mut users = numbers(|(_, job)| job.user_id.0);
    users.sort_unstable();
    users.dedup();
    let mut arguments = PgArguments::default();
    let added = [
        arguments.add(numbers(|(_, job)| job.chat_id.0)),
        arguments.add(numbers(|(_, job)| job.user_id.0)),
        arguments.add(numbers(|(nth, _)| *nth)),
        arguments.add(kinds),
        arguments.add(contents),
        arguments.add(client_ids),
        arguments.add(fingerprints),
        arguments.add(answered),
        arguments.add(chats),
        arguments.add(counts),
        arguments.add(users),
        arguments.add(now),
        arguments.add(entries),
    ];
    added.into_iter().collect::<std::result::Result<Vec<()>, _>>().map_err(Error::internal)?;
    Ok(arguments)
}

/// Matches the rows, which are in the order of each chat, with the messages.
fn collect(
    jobs: &[&Job],
    by_chat: &HashMap<ChatId, Vec<usize>>,
    rows: &[PgRow],
    now: i64,
) -> Result<HashMap<usize, Stored>> {
    let mut found = HashMap::with_capacity(rows.len());
    let mut next: HashMap<ChatId, std::slice::Iter<'_, usize>> =
        by_chat.iter().map(|(chat, indexes)| (*chat, indexes.iter())).collect();
    for row in rows {
        let read = StoredRow::read(row).map_err(Error::internal)?;
        let index = next.get_mut(&read.chat).and_then(Iterator::next);
        let (index, job) = index
            .and_then(|index| Some((*index, *jobs.get(*index)?)))
            .filter(|(_, job)| job.user_id == read.author.id)
            .ok_or_else(|| Error::internal("a stored message came back that was not sent"))?;
        let position = ChatPosition { chat_id: read.chat, rev: read.seq, prev: read.seq - 1 };
        let mentions = Mentions::default();
        let positioned =
            Positioned { draft: &job.draft, author: read.author, mentions, files: Vec::new(), position };
        found.insert(index, (message_of(read.id, &positioned, now), position));
    }
    Ok(found)
}

/// A row of the result.
struct StoredRow {
    id: MessageId,
    chat: ChatId,
    seq: i64,
    author: Author,
}

impl StoredRow {
    fn read(row: &PgRow) -> std::result::Result<Self, sea_orm::sqlx::Error> {
        let role: &str = row.try_get(7)?;
        let author = Author {
            id: UserId(row.try_get(3)?),
            username: row.try_get(4)?,
            name: row.try_get(5)?,
            photo: row.try_get(6)?,
            role: Role::from_text(role)
                .ok_or_else(|| sea_orm::sqlx::Error::Decode(format!("role {role}").into()))?,
        };
        Ok(Self {
            id: MessageId(row.try_get(0)?),
            chat: ChatId(row.try_get(1)?),
            seq: row.try_get(2)?,
            author,
        })
    }
}
