//! Full-text search over the messages of the asker's chats.
//!
//! The database finds the messages whose terms (see `text::terms`) fit; how well they fit, and what is shown of them, is
//! computed here, so the answers do not depend on the database. Among very many messages only the newest are ranked.

mod fill;
mod query;
mod snippet;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;

use entity::{chat, member, message};
use sea_orm::sea_query::{Expr, Func, Value};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, JoinType, QueryFilter,
    QuerySelect, Statement,
};

pub use fill::{prepare, watch};
pub use query::{Filter, Words};
use snippet::{Found, RANKS};

use crate::domain::chats::{Page, find_visible};
use crate::domain::message_view::{attachments, kind, show};
use crate::domain::messages::budget;
use crate::domain::messages::index::readable;
use crate::domain::{Actor, AppContext, PAGE_BYTES};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::protocol::messages::Message;
use crate::protocol::search::SearchHit;

/// Messages that are ranked.
const RANKED: u64 = 500;

/// Characters of each content that are looked at for its rank.
const RANKED_CHARACTERS: i32 = 2_000;

/// Chats that are alternatives in the condition on the index. With more, it is the messages that are checked for them.
const FEW_CHATS: u64 = 200;

/// The order of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// What fits best comes first. Only the newest 500 messages are ranked.
    Rank,
    /// The newest message comes first.
    Date,
}

impl TryFrom<String> for Order {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        match text.as_str() {
            "rank" => Ok(Self::Rank),
            "date" => Ok(Self::Date),
            _ => Err("must be rank or date".to_owned()),
        }
    }
}

/// Returns the messages that contain all words. A filter by a chat that is not visible to the asker is refused.
pub async fn search(
    context: &AppContext,
    actor: Actor,
    words: &Words,
    filter: &Filter,
    order: Order,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<SearchHit>> {
    let conn = context.db.read();
    let chats = match filter.chat {
        Some(chat) => {
            find_visible(conn, chat, actor.user_id).await?;
            vec![chat]
        }
        None => own_chats(conn, actor.user_id).await?,
    };
    if words.is_empty() || chats.is_empty() {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let (named, member) =
        if chats.len() as u64 > FEW_CHATS { (&[][..], Some(actor.user_id)) } else { (&chats[..], None) };
    let condition = query::condition(conn.get_database_backend(), words, filter, named);
    let find = Find { condition, filter, member };
    let cursor = cursor.map(Cursor::parse).transpose()?;
    let mut ranked = match order {
        Order::Date => {
            let before = cursor.map(|it| it.id);
            find.newest(conn, before, limit + 1).await?.into_iter().map(|id| (id, 0)).collect()
        }
        Order::Rank => {
            // Messages that came after the first page do not move the following ones.
            let ids = find.newest(conn, cursor.map(|it| it.newest.saturating_add(1)), RANKED).await?;
            rank(conn, ids, words).await?
        }
    };
    let newest = cursor.map_or_else(|| ranked.iter().map(|(id, _)| *id).max().unwrap_or(0), |it| it.newest);
    if order == Order::Rank {
        ranked.sort_unstable_by_key(|(id, rank)| (Reverse(*rank), Reverse(*id)));
        let is_shown = |(id, rank): &(i64, u32)| cursor.is_some_and(|it| (*rank, *id) >= (it.rank, it.id));
        ranked.retain(|it| !is_shown(it));
    }
    let more = ranked.len() as u64 > limit;
    ranked.truncate(limit as usize);
    let (items, taken) = page(context, actor.user_id, &ranked, words).await?;
    let last = taken.checked_sub(1).and_then(|last| ranked.get(last));
    let last = last.filter(|_| more || taken < ranked.len());
    let next = last.map(|(id, rank)| Cursor { newest, rank: *rank, id: *id }.to_text());
    Ok(Page { items, next })
}

/// The last result of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    /// The newest message that was found for the first page.
    newest: i64,
    /// The rank of the last result; 0 if the results are in the order of their dates.
    rank: u32,
    /// The message of the last result.
    id: i64,
}

impl Cursor {
    fn parse(text: &str) -> Result<Self> {
        let read = || {
            let mut parts = text.split('.');
            let cursor = Self {
                newest: parts.next()?.parse().ok()?,
                rank: parts.next()?.parse().ok()?,
                id: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(cursor)
        };
        read().ok_or_else(|| Error::invalid("cursor", "is not valid"))
    }

    fn to_text(self) -> String {
        format!("{}.{}.{}", self.newest, self.rank, self.id)
    }
}

/// Returns the chats of a user: up to one more than [`FEW_CHATS`].
async fn own_chats(conn: &impl ConnectionTrait, user: UserId) -> Result<Vec<ChatId>> {
    let of_chat = member::Entity::belongs_to(chat::Entity).from(member::Column::ChatId).to(chat::Column::Id);
    let ids: Vec<i64> = member::Entity::find()
        .select_only()
        .column(member::Column::ChatId)
        .join(JoinType::InnerJoin, of_chat.into())
        .filter(member::Column::UserId.eq(user.0))
        .filter(member::Column::LeftAt.is_null())
        .filter(chat::Column::DeletedAt.is_null())
        .limit(FEW_CHATS + 1)
        .into_tuple()
        .all(conn)
        .await?;
    Ok(ids.into_iter().map(ChatId).collect())
}

/// Finds messages by the index.
struct Find<'a> {
    /// In the language of the database.
    condition: String,
    filter: &'a Filter,
    /// The member of the messages' chats, if the condition does not name these.
    member: Option<UserId>,
}

impl Find<'_> {
    /// Returns the ids of the newest messages that fit, newest first; only older ones than `before`.
    async fn newest(&self, conn: &impl ConnectionTrait, before: Option<i64>, limit: u64) -> Result<Vec<i64>> {
        let backend = conn.get_database_backend();
        let (id, fits) = match backend {
            DbBackend::Postgres => ("message_terms.message_id", "message_terms.terms @@ CAST($1 AS tsquery)"),
            _ => ("message_terms.rowid", "message_terms MATCH $1"),
        };
        let mut values: Vec<Value> = vec![self.condition.clone().into()];
        let mut more = String::new();
        if let Some(member) = self.member {
            values.push(member.0.into());
            more.push_str(
                " AND EXISTS (SELECT 1 FROM members JOIN chats ON chats.id = members.chat_id \
                 WHERE members.chat_id = messages.chat_id AND members.user_id = $2 \
                 AND members.left_at IS NULL AND chats.deleted_at IS NULL)",
            );
        }
        for (condition, value) in [
            (format!("{id} <"), before),
            ("messages.created_at >=".to_owned(), self.filter.from),
            ("messages.created_at <".to_owned(), self.filter.to),
        ] {
            if let Some(value) = value {
                values.push(value.into());
                let _ = write!(more, " AND {condition} ${}", values.len());
            }
        }
        let sql = format!(
            "SELECT messages.id AS id FROM message_terms JOIN messages ON messages.id = {id} \
             WHERE {fits} AND messages.deleted_at IS NULL{more} \
             ORDER BY {id} DESC LIMIT {limit}"
        );
        let rows = conn.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect()
    }
}

/// The beginning of a message that was found.
#[derive(FromQueryResult)]
struct Head {
    id: i64,
    message_type: i16,
    attachment_count: i32,
    content: String,
}

/// Returns how well messages fit by the beginnings of their contents and the names of their files.
async fn rank(conn: &impl ConnectionTrait, ids: Vec<i64>, words: &Words) -> Result<Vec<(i64, u32)>> {
    let beginning = Func::cust("substr").args([
        Expr::col((message::Entity, message::Column::Content)),
        1.into(),
        RANKED_CHARACTERS.into(),
    ]);
    let heads = message::Entity::present()
        .filter(message::Column::Id.is_in(ids))
        .select_only()
        .columns([message::Column::Id, message::Column::MessageType, message::Column::AttachmentCount])
        .expr_as(beginning, "content")
        .into_model::<Head>()
        .all(conn)
        .await?;
    let files = attachments(conn, heads.iter().filter(|it| it.attachment_count > 0).map(|it| it.id)).await?;
    let words = words.clone();
    let rank = move || {
        let rank = |head: &Head| {
            let content = readable(&head.content, kind(head.message_type));
            let names = files.get(&head.id).into_iter().flatten().map(|file| file.name.as_str());
            best(std::iter::once(&*content).chain(names), &words).1
        };
        heads.iter().map(|head| (head.id, rank(head))).collect()
    };
    tokio::task::spawn_blocking(rank).await.map_err(Error::internal)
}

/// Returns the text that fits best, with its rank; of equal ones the first.
fn best<'a>(texts: impl Iterator<Item = &'a str>, words: &Words) -> (Found<'a>, u32) {
    let mut best = (Found::in_text("", words), 0);
    for text in texts {
        let found = Found::in_text(text, words);
        let rank = found.rank(words);
        if rank > best.1 {
            best = (found, rank);
        }
    }
    best
}

/// Returns results, and how many of `ranked` they are made of: as many as fit into a page.
async fn page(
    context: &AppContext,
    viewer: UserId,
    ranked: &[(i64, u32)],
    words: &Words,
) -> Result<(Vec<SearchHit>, usize)> {
    let conn = context.db.read();
    let rows = message::Entity::present().filter(message::Column::Id.is_in(ranked.iter().map(|(id, _)| *id)));
    let mut rows: HashMap<i64, message::Model> =
        rows.all(conn).await?.into_iter().map(|row| (row.id, row)).collect();
    let (mut found, mut left, mut taken) = (Vec::new(), PAGE_BYTES, 0);
    for (id, rank) in ranked {
        // One that was deleted meanwhile is left out.
        if let Some(row) = rows.remove(id) {
            let size = budget::size(&row);
            if size > left && !found.is_empty() {
                break;
            }
            left = left.saturating_sub(size);
            found.push((row, *rank));
        }
        taken += 1;
    }
    let (rows, ranks): (Vec<message::Model>, Vec<u32>) = found.into_iter().unzip();
    let messages = show(conn, rows, Some(viewer), context.links()).await?;
    let words = words.clone();
    let show = move || {
        let show = |(message, rank): (Message, u32)| {
            let text = readable(&message.content, message.message_type);
            let names = message.attachments.iter().map(|file| file.name.as_str());
            let (found, whole) = best(std::iter::once(&*text).chain(names), &words);
            let snippet = found.snippet();
            let rank = f64::from(if rank == 0 { whole } else { rank }) / f64::from(RANKS);
            SearchHit { message, snippet, rank }
        };
        messages.into_iter().zip(ranks).map(show).collect()
    };
    Ok((tokio::task::spawn_blocking(show).await.map_err(Error::internal)?, taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_given() {
        let cursor = Cursor { newest: 12, rank: 50, id: 7 };
        assert_eq!(Cursor::parse(&cursor.to_text()).ok(), Some(cursor));
        for text in ["", "12", "x.1.1", "1.x.1", "1.-1.1", "1.1", "1.1.1.1"] {
            assert!(Cursor::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_text_that_fits_best_is_shown() {
        let words = Words::parse("red car", false).expect("valid");
        let (found, _) = best(["a red one", "red car.jpg"].into_iter(), &words);
        assert_eq!(found.snippet().iter().filter(|part| part.hit).count(), 2);
    }
}
