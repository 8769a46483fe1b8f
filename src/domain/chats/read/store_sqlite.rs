//! Moves a group of read marks in a SQLite file, within one transaction of statements that are prepared once.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Result, Transaction, params};

use super::ANNOUNCED_UP_TO;
use super::marks::{Mark, Marked, Moved, Upto};

const FIND: &str = "SELECT chats.rev, last_seq, approved AND NOT blocked AND member_count <= ?3, last_read_seq \
    FROM chats JOIN members ON members.chat_id = chats.id \
    WHERE chats.id = ?1 AND user_id = ?2 AND deleted_at IS NULL AND left_at IS NULL";

const SEQ: &str = "SELECT seq FROM messages WHERE id = ?1 AND chat_id = ?2";

const ADVANCE: &str = "UPDATE users SET user_rev = user_rev + 1 WHERE id = ?1 RETURNING user_rev";

const MOVE: &str = "UPDATE members SET last_read_seq = ?3, user_rev = ?4 WHERE chat_id = ?1 AND user_id = ?2";

/// Moves marks. Returns the outcomes by the index of the mark; the others have to be moved one by one.
pub(super) fn store(tx: &Transaction<'_>, marks: &[Mark]) -> Result<HashMap<usize, Marked>> {
    let mut stored = HashMap::with_capacity(marks.len());
    for (index, mark) in marks.iter().enumerate() {
        stored.extend(store_one(tx, mark)?.map(|marked| (index, marked)));
    }
    Ok(stored)
}

fn store_one(tx: &Transaction<'_>, mark: &Mark) -> Result<Option<Marked>> {
    let (chat, user) = (mark.chat_id.0, mark.user_id.0);
    let mut find = tx.prepare_cached(FIND)?;
    let found = find.query_row(params![chat, user, ANNOUNCED_UP_TO], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    let Some((rev, last_seq, is_announced, last_read_seq)) = found.optional()? else { return Ok(None) };
    let last_seq: i64 = last_seq;
    let upto = match mark.upto {
        Upto::Message(id) => {
            let seq = tx.prepare_cached(SEQ)?.query_row([id.0, chat], |row| row.get(0)).optional()?;
            let Some(seq) = seq else { return Ok(None) };
            seq
        }
        Upto::Seq(seq) => seq,
        Upto::Newest => last_seq,
    };
    let mut seq: i64 = last_read_seq;
    let mut moved = None;
    if upto.min(last_seq) > seq {
        seq = upto.min(last_seq);
        let user_rev = tx.prepare_cached(ADVANCE)?.query_row([user], |row| row.get(0))?;
        tx.prepare_cached(MOVE)?.execute([chat, user, seq, user_rev])?;
        moved = Some(Moved { rev, user_rev, is_announced });
    }
    Ok(Some(Marked { seq, is_behind: seq < last_seq, moved }))
}
