//! A new message returns a chat from the archive of a member who has not muted it.
//!
//! A flag of the chat says that there may be such a member, so sending to other chats costs nothing.

use entity::{chat, member};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

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
    // In the order of the users, whose rows are locked.
    let archived = member::Entity::present()
        .order_by_asc(member::Column::UserId)
        .order_by_asc(member::Column::ChatId)
        .filter(member::Column::ChatId.is_in(chats.iter().copied()))
        .filter(member::Column::Archived.eq(true))
        .filter(member::Column::MutedUntil.is_null().or(member::Column::MutedUntil.lt(FOR_EVER)));
    let (muted, returning): (Vec<member::Model>, Vec<member::Model>) = archived
        .all(conn)
        .await?
        .into_iter()
        .partition(|row| row.muted_until.is_some_and(|until| until > now));
    let mut told = Vec::with_capacity(returning.len());
    for row in returning {
        let (chat, user) = (ChatId(row.chat_id), UserId(row.user_id));
        // Each change has a number of its own, also if several chats of a user return at once.
        let revs = users::advance(conn, &[user]).await?;
        let user_rev = revs.first().map_or(row.user_rev, |(_, rev)| *rev);
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
