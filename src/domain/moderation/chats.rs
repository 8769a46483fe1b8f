//! Chats as moderators and admins see them. Admins read messages; each read is in the audit log.

use std::collections::HashMap;

use entity::{chat, member, message};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;

use super::Numbered;
use super::moderators::{Admin, Locked, Moderator};
use crate::clock::Timestamp;
use crate::domain::audit::{self, Act, Target};
use crate::domain::message_view::show;
use crate::domain::profiles::containing;
use crate::domain::{AppContext, chats, users};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::retry;
use crate::protocol::messages::Message;
use crate::protocol::moderation::{AdminChat, Role};
use crate::text::fold;

/// A filter of the list of chats.
#[derive(Clone, Debug, Default)]
pub struct ChatFilter {
    /// A part of a group's name, or the number of a chat.
    pub query: Option<String>,
    /// Only groups, or only direct chats.
    pub is_group: Option<bool>,
}

/// Returns a page of chats, newest first; deleted ones only by their number.
pub async fn list_chats(
    context: &AppContext,
    _: &Moderator,
    filter: &ChatFilter,
    before: Option<i64>,
    limit: u64,
) -> Result<Numbered<AdminChat>> {
    let conn = context.db.read();
    let query = filter.query.as_deref().unwrap_or_default().trim();
    if query.chars().count() > 100 || query.contains('\0') {
        return Err(Error::invalid("query", "must have at most 100 characters and no NUL"));
    }
    let mut select = chat::Entity::find().filter(chat::Column::Id.lt(before.unwrap_or(i64::MAX)));
    let is_present = chat::Column::DeletedAt.is_null();
    let name = Expr::col((chat::Entity, chat::Column::NameKey)).like(containing(&fold(query)));
    select = select.filter(match query.parse::<i64>() {
        Ok(id) => {
            Condition::any().add(chat::Column::Id.eq(id)).add(Condition::all().add(name).add(is_present))
        }
        Err(_) if query.is_empty() => Condition::all().add(is_present),
        Err(_) => Condition::all().add(name).add(is_present),
    });
    if let Some(is_group) = filter.is_group {
        select = select.filter(chat::Column::IsGroup.eq(is_group));
    }
    let rows = select.order_by_desc(chat::Column::Id).limit(limit + 1).all(conn).await?;
    let Numbered { items: rows, next } = Numbered::cut(rows, limit, |row| row.id);
    let direct: Vec<i64> = rows.iter().filter(|row| !row.is_group).map(|row| row.id).collect();
    let pairs: Vec<(i64, i64)> = member::Entity::find()
        .select_only()
        .columns([member::Column::ChatId, member::Column::UserId])
        .filter(member::Column::ChatId.is_in(direct))
        .order_by_asc(member::Column::UserId)
        .into_tuple()
        .all(conn)
        .await?;
    let people = rows.iter().map(|row| row.owner_id).chain(pairs.iter().map(|(_, user)| *user));
    let people = users::authors(conn, people).await?;
    let mut members: HashMap<i64, Vec<i64>> = HashMap::new();
    for (chat, user) in pairs {
        members.entry(chat).or_default().push(user);
    }
    let show = |row: chat::Model| {
        let members = members.remove(&row.id).unwrap_or_default();
        Some(AdminChat {
            id: ChatId(row.id),
            name: row.name,
            is_group: row.is_group,
            members: members.iter().filter_map(|id| people.get(id).cloned()).collect(),
            owner: people.get(&row.owner_id)?.clone(),
            member_count: row.member_count,
            last_seq: row.last_seq,
            created_at: Timestamp(row.created_at),
            last_activity_at: Timestamp(row.last_activity_at),
            deleted: row.deleted_at.is_some(),
        })
    };
    Ok(Numbered { items: rows.into_iter().filter_map(show).collect(), next })
}

/// Returns a page of the messages of any chat, newest first, and records that in the audit log.
pub async fn read_chat(
    context: &AppContext,
    by: &Admin,
    id: ChatId,
    before: Option<i64>,
    limit: u64,
) -> Result<(Vec<Message>, Option<i64>)> {
    retry(|| read_once(context, by.as_moderator(), id, before, limit)).await
}

async fn read_once(
    context: &AppContext,
    by: &Moderator,
    id: ChatId,
    before: Option<i64>,
    limit: u64,
) -> Result<(Vec<Message>, Option<i64>)> {
    let tx = context.db.begin().await?;
    Locked::read(context, &tx, by, Role::Admin, by.id()).await?;
    let found = chat::Entity::find_by_id(id.0).one(tx.conn()).await?;
    found.ok_or_else(|| Error::not_found("chat"))?;
    let rows = message::Entity::of_chat(id.0)
        .filter(message::Column::Seq.lt(before.unwrap_or(i64::MAX)))
        .order_by_desc(message::Column::Seq)
        .limit(limit + 1)
        .all(tx.conn())
        .await?;
    let Numbered { items: rows, next } = Numbered::cut(rows, limit, |row| row.seq);
    let shown = show(tx.conn(), rows, None, context.links()).await?;
    record(context, &tx, by, "chat.read", id).await?;
    tx.commit_silently().await?;
    Ok((shown, next))
}

/// Deletes a chat for all its members.
pub async fn delete_chat(context: &AppContext, by: &Admin, id: ChatId) -> Result<()> {
    retry(|| delete_once(context, by.as_moderator(), id)).await
}

async fn delete_once(context: &AppContext, by: &Moderator, id: ChatId) -> Result<()> {
    let tx = context.db.begin().await?;
    // Everywhere, chats are locked before users.
    let row = tx.lock_row(chat::Entity::present().filter(chat::Column::Id.eq(id.0))).await?;
    let row = row.ok_or_else(|| Error::not_found("chat"))?;
    Locked::read(context, &tx, by, Role::Admin, by.id()).await?;
    record(context, &tx, by, "chat.delete", id).await?;
    let tx = chats::delete_for_all(context, tx, row, by.id()).await?;
    context.publish(tx.commit(()).await?).await;
    Ok(())
}

async fn record(
    context: &AppContext,
    tx: &crate::platform::db::Tx,
    by: &Moderator,
    action: &'static str,
    id: ChatId,
) -> Result<()> {
    let (actor, address) = (Some(UserId(by.id().0)), by.address());
    audit::record(context, tx, Act { actor, action, target: Target::Chat(id), details: json!({}), address })
        .await
}
