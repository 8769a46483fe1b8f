//! Full-text search over the messages of the asker's chats.
//!
//! The database finds the messages whose terms (see `text::terms`) fit; how well they fit, and what is shown of them, is
//! computed here, so the answers do not depend on the database. Among very many messages only the newest are ranked.

mod fill;
mod query;
mod snippet;

use std::collections::HashMap;
use std::fmt::Write as _;

use entity::{attachment, chat, member, message};
use sea_orm::sea_query::Value;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, JoinType, QueryFilter, QuerySelect, Statement,
};

pub use fill::watch;
pub use query::{Filter, Words};
use snippet::Found;

use crate::domain::chats::{Page, cut, find_visible};
use crate::domain::message_view::{attachments, kind, show};
use crate::domain::messages::index::readable;
use crate::domain::{Actor, AppContext};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::protocol::search::{SearchHit, SnippetPart};

/// Messages that are ranked.
const RANKED: u64 = 500;

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
    let (hits, next) = match order {
        Order::Date => {
            let before = cursor.map(str::parse).transpose().map_err(|_| bad_cursor())?;
            let ids = find.newest(conn, before, limit + 1).await?;
            let (ids, next) = cut(ids, limit, ToString::to_string);
            (rate(conn, &ids, words).await?, next)
        }
        Order::Rank => {
            let cursor = cursor.map(RankCursor::parse).transpose()?;
            // Messages that came after the first page do not move the following ones.
            let before = cursor.map(|it| it.newest + 1);
            let ids = find.newest(conn, before, RANKED).await?;
            let newest = ids.first().copied().unwrap_or(0);
            let mut rated = rate(conn, &ids, words).await?;
            rated.sort_by(|a, b| b.rank.total_cmp(&a.rank).then(b.row.id.cmp(&a.row.id)));
            let skip = cursor.map_or(0, |it| it.skip);
            let end = skip + limit as usize;
            let newest = cursor.map_or(newest, |it| it.newest);
            let next = (rated.len() > end).then(|| RankCursor { newest, skip: end }.to_text());
            (rated.into_iter().skip(skip).take(limit as usize).collect(), next)
        }
    };
    let (rows, shown): (Vec<message::Model>, Vec<_>) =
        hits.into_iter().map(|it| (it.row, (it.snippet, it.rank))).unzip();
    let messages = show(conn, rows, Some(actor.user_id), context.links()).await?;
    let items = messages.into_iter().zip(shown);
    let items = items.map(|(message, (snippet, rank))| SearchHit { message, snippet, rank }).collect();
    Ok(Page { items, next })
}

fn bad_cursor() -> Error {
    Error::invalid("cursor", "is not valid")
}

/// Where the next page of ranked results begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RankCursor {
    /// The newest message that was found for the first page.
    newest: i64,
    /// Results on the pages before.
    skip: usize,
}

impl RankCursor {
    fn parse(text: &str) -> Result<Self> {
        let (newest, skip) = text.split_once('.').ok_or_else(bad_cursor)?;
        let newest: i64 = newest.parse().map_err(|_| bad_cursor())?;
        let skip = skip.parse().map_err(|_| bad_cursor())?;
        if newest == i64::MAX || skip > RANKED as usize {
            return Err(bad_cursor());
        }
        Ok(Self { newest, skip })
    }

    fn to_text(self) -> String {
        format!("{}.{}", self.newest, self.skip)
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

/// A message that was found, and how well it fits.
struct Rated {
    row: message::Model,
    snippet: Vec<SnippetPart>,
    rank: f64,
}

/// Reads messages, in the order of their ids, and looks for the words in them.
async fn rate(conn: &impl ConnectionTrait, ids: &[i64], words: &Words) -> Result<Vec<Rated>> {
    let rows = message::Entity::present().filter(message::Column::Id.is_in(ids.iter().copied()));
    let mut rows: HashMap<i64, message::Model> =
        rows.all(conn).await?.into_iter().map(|row| (row.id, row)).collect();
    let with_files = rows.values().filter(|row| row.attachment_count > 0).map(|row| row.id);
    let files = attachments(conn, with_files).await?;
    Ok(ids
        .iter()
        .filter_map(|id| rows.remove(id))
        .map(|row| {
            let names = files.get(&row.id).map(Vec::as_slice).unwrap_or_default();
            let (snippet, rank) = rate_one(&row, names, words);
            Rated { row, snippet, rank }
        })
        .collect())
}

/// Returns what is shown of a message, and how well it fits: its content, or else the name of the file that fits best.
fn rate_one(row: &message::Model, files: &[attachment::Model], words: &Words) -> (Vec<SnippetPart>, f64) {
    let content = readable(&row.content, kind(row.message_type));
    let in_content = Found::in_text(&content, words);
    let mut best = (in_content.rank(words), &in_content);
    let in_names: Vec<Found<'_>> = files.iter().map(|file| Found::in_text(&file.name, words)).collect();
    for found in &in_names {
        let rank = found.rank(words);
        if rank > best.0 && (best.1.is_empty() || rank > 2.0 * best.0) {
            best = (rank, found);
        }
    }
    (best.1.snippet(), best.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_given() {
        let cursor = RankCursor { newest: 12, skip: 50 };
        assert_eq!(RankCursor::parse(&cursor.to_text()).ok(), Some(cursor));
        for text in ["", "12", "x.1", "1.x", "1.-1", "9223372036854775807.1", "1.501"] {
            assert!(RankCursor::parse(text).is_err(), "{text}");
        }
    }
}
