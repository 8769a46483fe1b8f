//! Chats: access, the change counter, creation, members, lists.

mod access;
mod approval;
mod archive;
mod bans;
mod bounds;
mod create;
mod delete;
mod draft;
mod invites;
mod joining;
mod leave;
mod list;
pub mod lobby;
mod members;
mod own_state;
mod read;
mod roles;
mod slow_mode;
mod typing;
mod update;
mod view;

pub use access::{Membership, find_visible, judge_block, lock, membership, require_open};
pub use archive::leave_archives;
pub use bans::bans;
pub use create::{Opened, open};
pub use invites::{
    create_invite, invites, join_requests, preview, require_invite, revoke_invite, use_invite,
};
pub use leave::leave;
pub use list::{Page, State, cut, id_cursor, list, members, one};
pub use read::{ANNOUNCED_UP_TO, ReadMarks};
pub use slow_mode::note_sent;
pub use typing::TypingNow;
pub use update::{NewPhoto, set_photo};
pub use view::{Viewer, load, own, show_member, show_members, unread};

use entity::chat;
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;

use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::platform::bus::ChatPosition;
use crate::platform::db::{OpenChange, Tx};
use crate::protocol::change::Change;

/// Begins a change of a message: advances the chat's counter. The row must be locked (see [`lock`]).
pub async fn begin_change(tx: Tx, chat: &mut chat::Model) -> Result<OpenChange> {
    let position = ChatPosition { chat_id: ChatId(chat.id), rev: chat.rev + 1, prev: chat.rev };
    chat::ActiveModel { id: Set(chat.id), rev: Set(position.rev), ..Default::default() }
        .update(tx.conn())
        .await?;
    chat.rev = position.rev;
    Ok(tx.take_position(position))
}

/// Begins a change of the chat itself or of its members.
pub async fn begin_meta_change(tx: Tx, chat: &mut chat::Model) -> Result<OpenChange> {
    let change = begin_change(tx, chat).await?;
    let rev = change.position().rev;
    chat::ActiveModel { id: Set(chat.id), meta_rev: Set(rev), ..Default::default() }
        .update(change.conn())
        .await?;
    chat.meta_rev = rev;
    Ok(change)
}

/// Returns the description of a change for its event.
pub fn change_at(position: ChatPosition, by: UserId, at: i64) -> Change {
    Change::new(position.chat_id, position.rev, position.prev, by, at)
}
