//! Reads messages within a budget of bytes: a message may have 64 KiB, and grow sixfold as JSON.

use entity::message;
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Query, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
};

use crate::domain::message_view::{ShownRow, shown};
use crate::error::Result;
use crate::ids::{ChatId, UserId};

/// Rows of the first read, before the size of rows is known.
const FIRST_ROWS: usize = 51;

/// Bytes of a message besides its content: names, times, its author.
const FRAME: usize = 700;

/// Bytes of an attachment: its name and its two URLs.
const FILE: usize = 4_000;

/// Bytes of what is shown of a message that is replied to.
const REPLY: usize = 800;

/// Bytes of one user in the list of those who like a message.
pub const LIKER: usize = 150;

/// The order in which rows are read.
#[derive(Clone, Debug)]
pub struct By(pub message::Column, pub Order);

impl By {
    /// Newest first.
    pub const NEWEST: Self = Self(message::Column::Seq, Order::Desc);
    /// Oldest first.
    pub const OLDEST: Self = Self(message::Column::Seq, Order::Asc);
}

/// Reads rows in this order, at least one, until there are `limit` or their `size`s exhaust `bytes`. Also returns
/// whether there are more. The rows are shown to `viewer`, if there is one.
pub async fn read(
    conn: &impl ConnectionTrait,
    select: Select<message::Entity>,
    viewer: Option<UserId>,
    by: By,
    limit: usize,
    bytes: usize,
    size: impl Fn(&message::Model) -> usize,
) -> Result<(Vec<ShownRow>, bool)> {
    let select = shown(select, viewer);
    let page = |last: Option<&message::Model>, rows| {
        let mut next = select.clone();
        if let Some(last) = last {
            let edge = Expr::col((message::Entity, by.0));
            next =
                next.filter(if matches!(by.1, Order::Desc) { edge.lt(last.seq) } else { edge.gt(last.seq) });
        }
        next.order_by(by.0, by.1.clone()).limit(rows).into_query()
    };
    read_pages(conn, page, limit, bytes, size).await
}

/// Reads the messages of a chat that changed after `since`, in the order of their latest changes; otherwise like [`read`].
pub async fn read_changes(
    conn: &impl ConnectionTrait,
    chat_id: ChatId,
    since: i64,
    viewer: Option<UserId>,
    limit: usize,
    bytes: usize,
) -> Result<(Vec<ShownRow>, bool)> {
    use message::Column;
    let column = |column: Column| Expr::col((message::Entity, column));
    // Messages that never changed, and those that did, have an index each. One statement reads both as of one moment.
    let page = |last: Option<&message::Model>, rows| {
        let since = last.map_or(since, |last| last.rev);
        let unchanged = message::Entity::of_chat(chat_id.0)
            .filter(column(Column::Rev).eq(column(Column::Seq)))
            .filter(Column::Seq.gt(since))
            .order_by_asc(Column::Seq);
        let changed =
            message::Entity::changed_later(chat_id.0).filter(Column::Rev.gt(since)).order_by_asc(Column::Rev);
        let [unchanged, changed] =
            [unchanged, changed].map(|select| shown(select, viewer).limit(rows).into_query());
        let changed = Query::select().column(Asterisk).from_subquery(changed, "changed").to_owned();
        Query::select()
            .column(Asterisk)
            .from_subquery(unchanged, "unchanged")
            .union(UnionType::All, changed)
            .order_by("rev", Order::Asc)
            .limit(rows)
            .to_owned()
    };
    read_pages(conn, page, limit, bytes, size).await
}

/// Reads page after page; `page` gets the last row so far, and the number of rows to select.
async fn read_pages(
    conn: &impl ConnectionTrait,
    page: impl Fn(Option<&message::Model>, u64) -> SelectStatement,
    limit: usize,
    mut bytes: usize,
    size: impl Fn(&message::Model) -> usize,
) -> Result<(Vec<ShownRow>, bool)> {
    let mut rows: Vec<ShownRow> = Vec::new();
    let mut some = FIRST_ROWS;
    loop {
        // One row more than needed shows whether there are more.
        let wanted = limit + 1 - rows.len();
        let asked = some.clamp(1, wanted);
        let found = conn.query_all(&page(rows.last().map(|row| &row.message), asked as u64)).await?;
        let is_last = found.len() < asked;
        let (mut taken, mut used) = (0, 0);
        for row in found {
            let row = ShownRow::from_query_result(&row, "")?;
            let size = size(&row.message);
            if rows.len() == limit || (size > bytes && !rows.is_empty()) {
                return Ok((rows, true));
            }
            bytes = bytes.saturating_sub(size);
            (taken, used) = (taken + 1, used + size);
            rows.push(row);
        }
        if is_last {
            return Ok((rows, false));
        }
        let average = Ord::max(used / Ord::max(taken, 1), 1);
        some = bytes / average + 1;
    }
}

/// Returns the approximate size of a message as JSON, in bytes.
pub fn size(row: &message::Model) -> usize {
    let content = if row.deleted_at.is_some() { 0 } else { row.content.bytes().map(escaped).sum() };
    let reply = if row.reply_to.is_some() { REPLY } else { 0 };
    let origin = if row.forwarded_user_id.is_some() { LIKER } else { 0 };
    let beside = [&row.mentions, &row.reactions].into_iter().flatten().map(String::len).sum::<usize>();
    FRAME + content + reply + origin + beside + usize::try_from(row.attachment_count).unwrap_or(0) * FILE
}

/// Returns how many bytes a byte of a string takes in JSON (RFC 8259, section 7).
fn escaped(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_json() {
        for text in ["plain", "\"quoted\\\"", "\u{1}\u{7}\n\t\u{c}", "ё and 🥭"] {
            let bytes: usize = text.bytes().map(escaped).sum();
            assert_eq!(bytes + 2, serde_json::to_string(text).expect("JSON").len(), "{text:?}");
        }
    }
}
