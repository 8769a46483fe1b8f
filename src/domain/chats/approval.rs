//! `CONTACT_POLICY=approval`: the recipient of a stranger's direct chat approves or declines it.

use entity::chat;
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;

use super::access::{Membership, lock};
use super::delete::{Gone, delete_locked};
use super::view::load;
use super::{begin_meta_change, change_at};
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, events};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::{Outcome, Tx};
use crate::protocol::change::Done;
use crate::protocol::chats::ChatChanged;
use crate::protocol::contacts::{ApproveChat, DeclineChat};

impl CommandHandler for ApproveChat {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<Done>> {
        let user_id = caller.actor.user_id;
        let tx = context.db.begin().await?;
        let Membership { mut chat, .. } = lock(&tx, self.chat.0.id, user_id).await?;
        require_other_side(&chat, user_id, "approve")?;
        if chat.approved {
            return tx.unchanged(Done {}).await;
        }
        let tx = approve_locked(context, tx, &mut chat, user_id).await?;
        tx.commit(Done {}).await
    }
}

/// Approves a chat whose row is locked, and announces it.
pub(super) async fn approve_locked(
    context: &AppContext,
    tx: Tx,
    chat: &mut chat::Model,
    by: UserId,
) -> Result<Tx> {
    let now = context.clock.now();
    let change = begin_meta_change(tx, chat).await?;
    // The chat starts now, and moves up in both users' lists.
    chat::ActiveModel {
        id: Set(chat.id),
        approved: Set(true),
        created_at: Set(now),
        last_activity_at: Set(now),
        ..Default::default()
    }
    .update(change.conn())
    .await?;
    chat.approved = true;
    let details = load(change.conn(), &[ChatId(chat.id)], None, context.links()).await?.pop();
    let details = details.ok_or_else(|| Error::internal("a chat that was just changed is not there"))?;
    let event = ChatChanged { change: change_at(change.position(), by, now), details };
    let event = events::chat_approved::at(change.position(), &event)?;
    change.announce(event)
}

impl CommandHandler for DeclineChat {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<Done>> {
        let user_id = caller.actor.user_id;
        let tx = context.db.begin().await?;
        let Membership { chat, .. } = lock(&tx, self.chat.0.id, user_id).await?;
        require_other_side(&chat, user_id, "decline")?;
        if chat.approved {
            return Err(Error::forbidden(
                "the chat is already approved; archive it, or block the other user",
            ));
        }
        let tx = delete_locked(context, tx, chat, user_id, Gone::Declined).await?;
        tx.commit(Done {}).await
    }
}

/// Checks that the user is the recipient of a direct chat, not the one who opened it.
fn require_other_side(chat: &chat::Model, user_id: UserId, what: &str) -> Result<()> {
    if chat.is_group {
        return Err(Error::forbidden(format!("groups need no approval, there is nothing to {what}")));
    }
    if chat.owner_id == user_id.0 {
        return Err(Error::forbidden(format!("only its recipient may {what} the chat")));
    }
    Ok(())
}
