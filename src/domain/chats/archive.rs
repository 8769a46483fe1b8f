//! A new message returns a chat from the archive of a member who has not muted it.
//!
//! A flag of the chat says that there may be such a member, so sending to other chats costs nothing.

use std::collections::HashMap;

use entity::{chat, member};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::own_state::FOR_EVER;
use crate::clock::Timestamp;
use crate::domain::{events, users};
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::platform::bus::Delivery;
use crate::protocol::own_state::OwnChatChange;

/// Returns these chats from the archives of members who have not muted them. The caller holds the locks of the chats.
/// Returns the events with their chats.
pub async fn leave_archives(
    conn: &impl ConnectionTrait,
    chats: &[i64],
    now: i64,
) -> Result<Vec<(ChatId, Delivery)>> {
    if chats.is_empty() {
        return Ok(Vec::new());
    }
    let archived = member::Entity::present()
        .filter(member::Column::ChatId.is_in(chats.iter().copied()))
        .filter(member::Column::Archived.eq(true))
        .filter(member::Column::MutedUntil.is_null().or(member::Column::MutedUntil.lt(FOR_EVER)));
    let (muted, returning): (Vec<member::Model>, Vec<member::Model>) = archived
        .all(conn)
        .await?
        .into_iter()
        .partition(|row| row.muted_until.is_some_and(|until| until > now));
    let ids: Vec<UserId> = returning.iter().map(|row| UserId(row.user_id)).collect();
    let revs: HashMap<UserId, i64> = users::advance(conn, &ids).await?.into_iter().collect();
    let mut told = Vec::with_capacity(returning.len());
    for row in returning {
        let (chat, user) = (ChatId(row.chat_id), UserId(row.user_id));
        let user_rev = revs.get(&user).copied().unwrap_or(row.user_rev);
        member::Entity::update_many()
            .col_expr(member::Column::Archived, false.into())
            .col_expr(member::Column::UserRev, user_rev.into())
            .filter(member::Column::ChatId.eq(row.chat_id))
            .filter(member::Column::UserId.eq(row.user_id))
            .exec(conn)
            .await?;
        let change = OwnChatChange { chat, user_rev, at: Timestamp(now) };
        told.push((chat, events::chat_unarchived::to_user(user, &change)?));
    }
    // Those who have muted the chat for a time keep the flag: a message after that time returns it.
    let settled = chats.iter().copied().filter(|id| muted.iter().all(|row| row.chat_id != *id));
    chat::Entity::update_many()
        .col_expr(chat::Column::LeavesArchive, false.into())
        .filter(chat::Column::Id.is_in(settled))
        .exec(conn)
        .await?;
    Ok(told)
}
