//! Pins messages in their chat, for all members.

use entity::message;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::edit::{Locked, lock_message, no_such_message};
use crate::domain::chats::{Page, begin_change, change_at, find_visible, require_open};
use crate::domain::dispatch::CommandHandler;
use crate::domain::message_view::{show, show_one};
use crate::domain::{Actor, AppContext, Caller, events};
use crate::error::{Error, Result};
use crate::ids::ChatId;
use crate::platform::db::Outcome;
use crate::protocol::members::ChatRole;
use crate::protocol::messages::{Message, MessageChanged};
use crate::protocol::pins::{MessagePinReply, ToggleMessagePin};

/// Pinned messages of a chat.
const MAX_PINNED: u64 = 100;

impl CommandHandler for ToggleMessagePin {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<MessagePinReply>> {
        let user_id = caller.actor.user_id;
        let tx = context.db.begin().await?;
        let Locked { mut chat, message, role } = lock_message(&tx, self.message.0.id, caller).await?;
        let Some(role) = role.filter(|_| message.deleted_at.is_none()) else { return Err(no_such_message()) };
        if chat.is_group && role < ChatRole::Admin {
            return Err(Error::forbidden("only the chat's owner and admins may pin messages"));
        }
        let was = message.pinned_at.is_some();
        let pinned = self.message.0.pinned.unwrap_or(!was);
        if pinned == was {
            return tx.unchanged(MessagePinReply { pinned }).await;
        }
        require_open(&chat, "message.id")?;
        let others = message::Entity::of_chat(chat.id).filter(message::Column::PinnedAt.is_not_null());
        if pinned && others.count(tx.conn()).await? >= MAX_PINNED {
            let problem = format!("the chat has {MAX_PINNED} pinned messages, which is the limit");
            return Err(Error::invalid("message.id", problem));
        }
        let now = context.clock.now();
        let open = begin_change(tx, &mut chat).await?;
        let mut row = message.into_active_model();
        row.pinned_at = Set(pinned.then_some(now));
        row.rev = Set(open.position().rev);
        let row = row.update(open.conn()).await?;
        let mut shown = show_one(open.conn(), row, user_id, context.links()).await?;
        shown.my = None;
        let event = MessageChanged { change: change_at(open.position(), user_id, now), message: &shown };
        let at = if pinned { events::message_pinned::at } else { events::message_unpinned::at };
        let event = at(open.position(), &event)?;
        open.announce(event)?.commit(MessagePinReply { pinned }).await
    }
}

/// Returns a page of a chat's pinned messages, the latest pin first.
pub async fn pinned(
    context: &AppContext,
    actor: Actor,
    chat_id: ChatId,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<Message>> {
    let conn = context.db.read();
    find_visible(conn, chat_id, actor.user_id).await?;
    let mut select = message::Entity::of_chat(chat_id.0).filter(message::Column::PinnedAt.is_not_null());
    if let Some((at, id)) = cursor.and_then(|text| text.split_once('-')) {
        let (at, id) = (at.parse::<i64>(), id.parse::<i64>());
        let (Ok(at), Ok(id)) = (at, id) else { return Err(Error::invalid("cursor", "is not valid")) };
        let earlier = message::Column::PinnedAt.lt(at);
        let same = message::Column::PinnedAt.eq(at).and(message::Column::Id.lt(id));
        select = select.filter(earlier.or(same));
    } else if cursor.is_some() {
        return Err(Error::invalid("cursor", "is not valid"));
    }
    let mut rows = select
        .order_by_desc(message::Column::PinnedAt)
        .order_by_desc(message::Column::Id)
        .limit(limit + 1)
        .all(conn)
        .await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let last = rows.last().map(|row| format!("{}-{}", row.pinned_at.unwrap_or_default(), row.id));
    let items = show(conn, rows, Some(actor.user_id), context.links()).await?;
    Ok(Page { items, next: last.filter(|_| more) })
}
