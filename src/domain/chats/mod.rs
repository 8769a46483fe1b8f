//! Chats: who may see and do what in them, their counter, making them, their members, lists of them.

mod access;
mod create;
mod list;
mod members;
mod pin;
mod view;

pub use access::{Membership, find_visible, lock, membership};
pub use list::{Page, State, list, members, one};
pub use view::{load, unread};

use entity::chat;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ConnectionTrait};

use crate::error::Result;
use crate::ids::ChatId;
use crate::platform::db::{Place, Tx};

/// The chat's counter takes its next value for a change. The row must be locked (see [`lock`]).
pub async fn advance(tx: &mut Tx, chat: &mut chat::Model) -> Result<Place> {
    let place = Place { chat_id: ChatId(chat.id), rev: chat.rev + 1, prev: chat.rev };
    set_rev(tx.conn(), chat.id, place.rev).await?;
    chat.rev = place.rev;
    tx.took_place(place);
    Ok(place)
}

async fn set_rev(conn: &impl ConnectionTrait, chat_id: i64, rev: i64) -> Result<()> {
    chat::ActiveModel { id: Set(chat_id), rev: Set(rev), ..Default::default() }.update(conn).await?;
    Ok(())
}
