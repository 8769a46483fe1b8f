//! Chats: who may see and do what in them, their counter, making them, their members, lists of them.

mod access;
mod approval;
mod bounds;
mod create;
mod delete;
mod leave;
mod list;
mod members;
mod own_state;
mod read;
mod roles;
mod typing;
mod update;
mod view;

pub use access::{Membership, find_visible, judge_block, lock, membership, require_open};
pub use leave::leave;
pub use list::{Page, State, list, members, one};
pub use typing::TypingNow;
pub use view::{Viewer, load, own, show_member, show_members, unread};

use entity::chat;
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;

use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::platform::bus::Place;
use crate::platform::db::Tx;
use crate::protocol::events::Change;

/// The chat's counter takes its next value for a change of a message. The row must be locked (see [`lock`]).
pub async fn advance(tx: &mut Tx, chat: &mut chat::Model) -> Result<Place> {
    let place = Place { chat_id: ChatId(chat.id), rev: chat.rev + 1, prev: chat.rev };
    chat::ActiveModel { id: Set(chat.id), rev: Set(place.rev), ..Default::default() }
        .update(tx.conn())
        .await?;
    chat.rev = place.rev;
    tx.took_place(place);
    Ok(place)
}

/// The same for a change of the chat itself or of its members.
pub async fn advance_meta(tx: &mut Tx, chat: &mut chat::Model) -> Result<Place> {
    let place = advance(tx, chat).await?;
    chat::ActiveModel { id: Set(chat.id), meta_rev: Set(place.rev), ..Default::default() }
        .update(tx.conn())
        .await?;
    chat.meta_rev = place.rev;
    Ok(place)
}

/// What the event of a change says of it.
pub fn change_at(place: Place, by: UserId, at: i64) -> Change {
    Change::new(place.chat_id, place.rev, place.prev, by, at)
}
