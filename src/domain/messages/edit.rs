//! Edits messages, which only their author may do, and deletes them. An edit keeps the version that it replaces. A deleted
//! message keeps its row and its position; its content, its earlier versions, its likes and its reactions are removed.

use std::collections::HashMap;

use crate::protocol::members::ChatRole;
use entity::message::Model;
use entity::{like, mention, message, message_edit, reaction, session};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::json;

use super::batch::insert_mentions;
use super::index;
use super::screen::{self, Flagged};
use crate::domain::audit::{self, Act, Target};
use crate::domain::chats::{begin_change, change_at, membership, require_open};
use crate::domain::dispatch::CommandHandler;
use crate::domain::mentions::{Names, Naming, Resolver};
use crate::domain::message_view::{attachments as attachments_of, kind, show, show_one};
use crate::domain::{AppContext, Caller, attachments, events, users};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, MessageId, UserId};
use crate::platform::bus::{ChatPosition, Delivery};
use crate::platform::db::{OpenChange, Outcome, Tx};
use crate::protocol::message_type::MessageType;
use crate::protocol::messages::Message;
use crate::protocol::messages::MessageChanged;
use crate::protocol::messages::{BLANK, DeleteMessage, EditMessage, MessageReply};
use crate::protocol::moderation::Role;

impl CommandHandler for EditMessage {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<MessageReply>> {
        let user_id = caller.actor.user_id;
        let request = &self.message.0;
        let tx = context.db.begin().await?;
        let Locked { mut chat, message, role } = lock_message(&tx, request.id, caller).await?;
        let member = role.is_some();
        if !member || message.deleted_at.is_some() {
            return Err(no_such_message());
        }
        if message.user_id != user_id.0 {
            return Err(Error::forbidden("only its author may edit a message"));
        }
        if message.forwarded_user_id.is_some() {
            return Err(Error::forbidden("a forwarded message cannot be edited"));
        }
        require_open(&chat, "message.id")?;
        if MessageType::from_id(message.message_type.into())
            .is_some_and(|kind| kind.is_blank(&request.content))
        {
            return Err(Error::invalid("message.content", BLANK));
        }
        if message.content == request.content {
            let message = show_one(tx.conn(), message, user_id, context.links()).await?;
            return tx.unchanged(MessageReply { message }).await;
        }
        let is_flagged = screen::screen(context, &request.content, kind(message.message_type))?;
        let now = context.clock.now();
        let names = Names::of(&request.content, kind(message.message_type));
        let naming = Naming { chat_id: ChatId(chat.id), author: user_id, names: &names };
        let mentions = Resolver::read(tx.conn(), std::slice::from_ref(&naming)).await?.resolve(&naming);
        let change = begin_change(tx, &mut chat).await?;
        message_edit::ActiveModel {
            message_id: Set(message.id),
            message_type: Set(message.message_type),
            content: Set(message.content.clone()),
            replaced_at: Set(now),
            ..Default::default()
        }
        .insert(change.conn())
        .await?;
        forget_mentions(change.conn(), &message).await?;
        let rows = mentions.rows(message.chat_id, message.seq, message.id, message.user_id);
        insert_mentions(change.conn(), rows).await?;
        let mut row = message.into_active_model();
        row.content = Set(request.content.clone());
        row.mentions = Set(mentions.to_column());
        row.edited_at = Set(Some(now));
        row.rev = Set(change.position().rev);
        let row = row.update(change.conn()).await?;
        reindex(change.conn(), &row).await?;
        if is_flagged {
            let Model { id, chat_id, user_id, content, .. } = &row;
            let flagged = Flagged { id: *id, chat_id: *chat_id, user_id: *user_id, content };
            screen::report_edited(change.conn(), flagged, now).await?;
        }
        finish(context, change, row, user_id).await
    }
}

/// Replaces the index entry of an edited message.
async fn reindex(conn: &impl ConnectionTrait, row: &message::Model) -> Result<()> {
    let files = if row.attachment_count > 0 { attachments_of(conn, [row.id]).await? } else { HashMap::new() };
    let names: Vec<&str> = files.get(&row.id).into_iter().flatten().map(|file| file.name.as_str()).collect();
    let words = index::terms_of(&row.content, kind(row.message_type), &names);
    let entry = index::entry(&words, ChatId(row.chat_id), UserId(row.user_id), kind(row.message_type));
    index::replace(conn, vec![(row.id, entry)]).await
}

impl CommandHandler for DeleteMessage {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<MessageReply>> {
        let user_id = caller.actor.user_id;
        let tx = context.db.begin().await?;
        let Locked { mut chat, message, role } = lock_message(&tx, self.message.0.id, caller).await?;
        let own = role.is_some() && message.user_id == user_id.0;
        let manages = role >= Some(ChatRole::Admin) && chat.is_group;
        let by_role = !own && !manages;
        if by_role && !moderates(context, &tx, user_id).await? {
            return Err(match role {
                Some(_) => {
                    Error::forbidden("only its author, the chat's owner and admins may delete a message")
                }
                None => no_such_message(),
            });
        }
        if message.deleted_at.is_some() {
            let message = show_one(tx.conn(), message, user_id, context.links()).await?;
            return tx.unchanged(MessageReply { message }).await;
        }
        if !own {
            note_moderation(context, &tx, caller, &message).await?;
        }
        let change = begin_change(tx, &mut chat).await?;
        like::Entity::delete_many()
            .filter(like::Column::MessageId.eq(message.id))
            .exec(change.conn())
            .await?;
        reaction::Entity::delete_many()
            .filter(reaction::Column::MessageId.eq(message.id))
            .exec(change.conn())
            .await?;
        message_edit::Entity::delete_many()
            .filter(message_edit::Column::MessageId.eq(message.id))
            .exec(change.conn())
            .await?;
        forget_mentions(change.conn(), &message).await?;
        if message.attachment_count > 0 {
            attachments::release(change.conn(), message.id, context.clock.now()).await?;
            let released = context.released_attachments.clone();
            change.tx().after_commit(move || released.notify_one());
        }
        let mut row = message.into_active_model();
        row.attachment_count = Set(0);
        row.content = Set(String::new());
        row.mentions = Set(None);
        row.reactions = Set(None);
        row.likes = Set(0);
        row.pinned_at = Set(None);
        row.deleted_at = Set(Some(context.clock.now()));
        row.rev = Set(change.position().rev);
        let row = row.update(change.conn()).await?;
        // After the message's row, as the index is filled: whoever has locked that row comes first.
        index::replace(change.conn(), vec![(row.id, String::new())]).await?;
        finish(context, change, row, user_id).await
    }
}

/// Removes the mentions of a message from the numbers of unread ones.
async fn forget_mentions(conn: &impl ConnectionTrait, message: &message::Model) -> Result<()> {
    if message.mentions.is_some() {
        mention::Entity::delete_many().filter(mention::Column::MessageId.eq(message.id)).exec(conn).await?;
    }
    Ok(())
}

/// A message whose chat is locked, and the caller's role in the chat if they are a member.
pub(super) struct Locked {
    /// The chat.
    pub chat: entity::chat::Model,
    /// The message.
    pub message: message::Model,
    /// The caller's role.
    pub role: Option<ChatRole>,
}

/// Locks the chat of a message and reads both.
pub(super) async fn lock_message(tx: &Tx, id: MessageId, caller: &Caller) -> Result<Locked> {
    // A message never moves to another chat, so its chat may be read before the chat is locked.
    let found = message::Entity::find_by_id(id.0).one(tx.conn()).await?.ok_or_else(no_such_message)?;
    if !caller.may_reach(ChatId(found.chat_id)) {
        return Err(no_such_message());
    }
    let chat = entity::chat::Entity::present().filter(entity::chat::Column::Id.eq(found.chat_id));
    let chat = tx.lock_row(chat).await?.ok_or_else(no_such_message)?;
    let message = message::Entity::find_by_id(id.0).one(tx.conn()).await?.ok_or_else(no_such_message)?;
    let member = membership(tx.conn(), ChatId(chat.id), caller.actor.user_id).await?;
    Ok(Locked { chat, message, role: member.map(|row| row.role) })
}

pub(super) fn no_such_message() -> Error {
    Error::field(Code::NotFound, "message.id", "there is no such message")
}

/// Whether the user's service-wide role allows deleting the messages of others. Reads the role under the lock of the
/// user's row, so that a revoked role has no effect any more. Everywhere, chats are locked before users.
async fn moderates(context: &AppContext, tx: &Tx, user_id: UserId) -> Result<bool> {
    let user = users::lock(tx.conn(), user_id).await?;
    Ok(user.role >= Role::Moderator && !user.is_banned(context.clock.now()))
}

/// Writes an audit entry for the deletion of another user's message, with the address that the session was opened from.
async fn note_moderation(
    context: &AppContext,
    tx: &Tx,
    caller: &Caller,
    message: &message::Model,
) -> Result<()> {
    let session = session::Entity::find_by_id(caller.actor.session_id.0).one(tx.conn()).await?;
    let act = Act {
        actor: Some(caller.actor.user_id),
        action: "message.delete",
        target: Target::Message(MessageId(message.id)),
        details: json!({"chat_id": message.chat_id, "user_id": message.user_id}),
        address: session.as_ref().and_then(|row| row.address.as_deref()),
    };
    audit::record(context, tx, act).await
}

/// Returns the event of an edited or deleted message.
pub fn changed(position: ChatPosition, by: UserId, now: i64, message: &Message) -> Result<Delivery> {
    let event = MessageChanged { change: change_at(position, by, now), message };
    if message.deleted_at.is_some() {
        events::message_deleted::at(position, &event)
    } else {
        events::message_edited::at(position, &event)
    }
}

async fn finish(
    context: &AppContext,
    change: OpenChange,
    row: message::Model,
    by: UserId,
) -> Result<Outcome<MessageReply>> {
    let mine = show_one(change.conn(), row.clone(), by, context.links()).await?;
    let shown =
        show(change.conn(), vec![row], None, context.links()).await?.pop().ok_or_else(no_such_message)?;
    let event = changed(change.position(), by, context.clock.now(), &shown)?;
    change.announce(event)?.commit(MessageReply { message: mine }).await
}
