//! Read marks. Mango has none, so imported messages count as read for every member who had read the chat up to its
//! end before.
//!
//! That end is stored when the import starts to add messages to a chat. The marks move once, when all messages are
//! imported, in the transaction that deletes the stored end. If an import is interrupted in between, the next one
//! uses the stored ends.

use entity::chat;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement};

use super::target::{LIST, Noted, Target, Writing};
use crate::domain::users;
use crate::error::Result;
use crate::ids::UserId;

/// Chats per transaction.
const CHATS: u64 = 500;

/// Moves all pending read marks.
pub async fn bring(target: &Target<'_>) -> Result<()> {
    while target.batch(async |to| advance(to).await).await? > 0 {}
    Ok(())
}

/// Moves the marks of some chats; returns the number of chats.
async fn advance(to: &Writing<'_>) -> Result<usize> {
    let ends = to.noted(Noted::End, CHATS).await?;
    if ends.is_empty() {
        return Ok(0);
    }
    let heads: Vec<(i64, i64)> = chat::Entity::find()
        .select_only()
        .columns([chat::Column::Id, chat::Column::LastSeq])
        .filter(chat::Column::Id.is_in(ends.keys().copied()))
        .order_by_asc(chat::Column::Id)
        .lock_exclusive()
        .into_tuple()
        .all(to.conn)
        .await?;
    let values = heads.iter().filter_map(|(id, last)| Some(format!("({id}, {last}, {})", ends.get(id)?)));
    let values = values.collect::<Vec<_>>().join(", ");
    let behind = "members.chat_id = v.column1 AND members.left_at IS NULL \
                  AND members.last_read_seq >= v.column3 AND members.last_read_seq < v.column2";
    // A read mark is the user's own state: moving it takes a value of the user's own counter.
    let sql = format!("SELECT DISTINCT user_id FROM members, (VALUES {values}) AS v WHERE {behind}");
    let rows = to.conn.query_all_raw(Statement::from_string(to.conn.get_database_backend(), sql)).await?;
    let mut people: Vec<i64> =
        rows.iter().map(|row| row.try_get("", "user_id")).collect::<std::result::Result<_, _>>()?;
    people.sort_unstable();
    for some in people.chunks(LIST) {
        users::advance(to.conn, &some.iter().map(|id| UserId(*id)).collect::<Vec<_>>()).await?;
    }
    let sql = format!(
        "UPDATE members SET last_read_seq = v.column2, \
         user_rev = (SELECT u.user_rev FROM users u WHERE u.id = members.user_id) \
         FROM (VALUES {values}) AS v WHERE {behind}"
    );
    to.conn.execute_unprepared(&sql).await?;
    to.forget(Noted::End, ends.keys().copied()).await?;
    Ok(ends.len())
}
