//! Moves a group of read marks on PostgreSQL with one statement that commits by itself and waits for no row: it leaves
//! out the marks whose rows another transaction has locked.

use std::collections::HashMap;

use sea_orm::sqlx::postgres::{PgArguments, PgRow};
use sea_orm::sqlx::{Arguments, Error as SqlxError, Row};

use super::ANNOUNCED_UP_TO;
use super::marks::{Mark, Marked, Moved, Upto};
use crate::error::{Error, Result};
use crate::platform::db::{Autocommit, Failure};

const STORE: &str = "\
WITH input AS (
    SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[])
        AS t (nth, user_id, chat_id, message_id, seq)
), found AS (
    SELECT nth, input.user_id, input.chat_id, chats.rev, last_seq,
        approved AND NOT blocked AND member_count <= $6 AS is_announced,
        LEAST(CASE WHEN message_id IS NULL THEN COALESCE(input.seq, last_seq) ELSE messages.seq END, last_seq) AS seq
    FROM input
    JOIN chats ON chats.id = input.chat_id AND chats.deleted_at IS NULL
    LEFT JOIN messages ON messages.id = message_id AND messages.chat_id = input.chat_id
    WHERE message_id IS NULL OR messages.id IS NOT NULL
), lagging AS (
    SELECT members.chat_id, members.user_id FROM members JOIN found USING (chat_id, user_id)
    WHERE left_at IS NULL AND last_read_seq < found.seq
    FOR NO KEY UPDATE OF members SKIP LOCKED
), readers AS (
    SELECT id FROM users WHERE id IN (SELECT user_id FROM lagging) FOR NO KEY UPDATE SKIP LOCKED
), advanced AS (
    UPDATE users SET user_rev = user_rev + 1 FROM readers WHERE users.id = readers.id
    RETURNING users.id, users.user_rev
), moved AS (
    UPDATE members SET last_read_seq = found.seq, user_rev = advanced.user_rev
    FROM found JOIN lagging USING (chat_id, user_id) JOIN advanced ON advanced.id = found.user_id
    WHERE members.chat_id = found.chat_id AND members.user_id = found.user_id
        AND members.left_at IS NULL AND members.last_read_seq < found.seq
    RETURNING found.nth, members.last_read_seq, members.user_rev
), outcome AS (
    SELECT found.*, moved.user_rev, COALESCE(moved.last_read_seq, members.last_read_seq) AS mark
    FROM found
    JOIN members ON members.chat_id = found.chat_id AND members.user_id = found.user_id AND left_at IS NULL
    LEFT JOIN moved USING (nth)
    WHERE moved.nth IS NOT NULL OR members.last_read_seq >= found.seq
)
SELECT nth, mark, rev, user_rev, is_announced, mark < last_seq FROM outcome";

/// Moves the marks of different users. Returns the outcomes by the index of the mark; the others have to be moved one by
/// one.
pub(super) async fn store(
    connection: &mut Autocommit,
    marks: &[Mark],
) -> std::result::Result<HashMap<usize, Marked>, Failure> {
    let arguments = arguments(marks).map_err(Failure::Refused)?;
    let rows = connection.query(STORE, arguments).await?;
    // From here on, an error does not mean that nothing was stored.
    let read = rows.iter().map(read).collect::<std::result::Result<_, _>>();
    read.map_err(|error| Failure::Unknown(Error::internal(error)))
}

fn arguments(marks: &[Mark]) -> Result<PgArguments> {
    let column = |of: fn(&Mark) -> Option<i64>| marks.iter().map(of).collect::<Vec<Option<i64>>>();
    let message = |mark: &Mark| if let Upto::Message(id) = mark.upto { Some(id.0) } else { None };
    let seq = |mark: &Mark| if let Upto::Seq(seq) = mark.upto { Some(seq) } else { None };
    let mut arguments = PgArguments::default();
    let added = [
        arguments.add((0..marks.len() as i64).collect::<Vec<i64>>()),
        arguments.add(column(|mark| Some(mark.user_id.0))),
        arguments.add(column(|mark| Some(mark.chat_id.0))),
        arguments.add(column(message)),
        arguments.add(column(seq)),
        arguments.add(ANNOUNCED_UP_TO),
    ];
    added.into_iter().collect::<std::result::Result<Vec<()>, _>>().map_err(Error::internal)?;
    Ok(arguments)
}

fn read(row: &PgRow) -> std::result::Result<(usize, Marked), SqlxError> {
    let index =
        usize::try_from(row.try_get::<i64, _>(0)?).map_err(|error| SqlxError::Decode(error.into()))?;
    let (rev, is_announced): (i64, bool) = (row.try_get(2)?, row.try_get(4)?);
    let user_rev: Option<i64> = row.try_get(3)?;
    let moved = user_rev.map(|user_rev| Moved { rev, user_rev, is_announced });
    Ok((index, Marked { seq: row.try_get(1)?, is_behind: row.try_get(5)?, moved }))
}
