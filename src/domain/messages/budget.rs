//! Reads messages within a budget of bytes: a message may have 64 KiB, and grow sixfold as JSON.

use entity::message;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select};

use crate::error::Result;

/// Rows of the first read, before the size of rows is known.
const FIRST_ROWS: usize = 51;

/// Bytes of a message besides its content: names, times, its author.
const FRAME: usize = 700;

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
    /// Earliest change first.
    pub const CHANGED: Self = Self(message::Column::Rev, Order::Asc);

    fn value(&self, row: &message::Model) -> i64 {
        if matches!(self.0, message::Column::Rev) { row.rev } else { row.seq }
    }
}

/// Reads rows in this order, at least one, until there are `limit` or their `size`s exhaust `bytes`. Also returns
/// whether there are more.
pub async fn read(
    conn: &impl ConnectionTrait,
    select: Select<message::Entity>,
    by: By,
    limit: usize,
    mut bytes: usize,
    size: impl Fn(&message::Model) -> usize,
) -> Result<(Vec<message::Model>, bool)> {
    let mut rows: Vec<message::Model> = Vec::new();
    let mut some = FIRST_ROWS;
    loop {
        // One row more than needed shows whether there are more.
        let wanted = limit + 1 - rows.len();
        let asked = some.clamp(1, wanted);
        let mut next = select.clone();
        if let Some(last) = rows.last() {
            let edge = Expr::col((message::Entity, by.0));
            let value = by.value(last);
            next = next.filter(if matches!(by.1, Order::Desc) { edge.lt(value) } else { edge.gt(value) });
        }
        let found = next.order_by(by.0, by.1.clone()).limit(asked as u64).all(conn).await?;
        let is_last = found.len() < asked;
        let (mut taken, mut used) = (0, 0);
        for row in found {
            let size = size(&row);
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
    FRAME + content
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
