//! Reacts to messages with emoji. The message's row holds the numbers of all reactions, so showing a message reads no other
//! table.

use entity::{message, reaction};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, EntityTrait};

use super::edit::{Locked, lock_message, no_such_message};
use crate::domain::chats::{begin_change, change_at, require_open};
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, events, message_view};
use crate::error::{Error, Result};
use crate::platform::db::Outcome;
use crate::protocol::reactions::{Emoji, MessageReacted, Reaction, ReactionReply, ToggleReaction};

/// Different emoji on one message.
const MAX_KINDS: usize = 20;

impl CommandHandler for ToggleReaction {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ReactionReply>> {
        let user_id = caller.actor.user_id;
        let emoji = self.message.0.emoji;
        let tx = context.db.begin().await?;
        let Locked { mut chat, message, role } = lock_message(&tx, self.message.0.id, caller).await?;
        if role.is_none() || message.deleted_at.is_some() {
            return Err(no_such_message());
        }
        let key = (message.id, user_id.0, emoji.as_str().to_owned());
        let was = reaction::Entity::find_by_id(key.clone()).one(tx.conn()).await?.is_some();
        let on = self.on.unwrap_or(!was);
        let mut reactions = message_view::reactions(&message);
        if on == was {
            return tx.unchanged(ReactionReply { emoji, on, reactions }).await;
        }
        require_open(&chat, "message.id")?;
        count(&mut reactions, emoji, on)?;
        let now = context.clock.now();
        let open = begin_change(tx, &mut chat).await?;
        if on {
            reaction::Entity::insert(reaction::ActiveModel {
                message_id: Set(message.id),
                user_id: Set(user_id.0),
                emoji: Set(key.2),
                created_at: Set(now),
            })
            .exec_without_returning(open.conn())
            .await?;
        } else {
            reaction::Entity::delete_by_id(key).exec(open.conn()).await?;
        }
        message::ActiveModel {
            id: Set(message.id),
            reactions: Set(column(&reactions)?),
            rev: Set(open.position().rev),
            ..Default::default()
        }
        .update(open.conn())
        .await?;
        let change = change_at(open.position(), user_id, now);
        let message_id = self.message.0.id;
        let event = MessageReacted { change, message_id, emoji, on, reactions: reactions.clone() };
        let event = events::message_reacted::at(open.position(), &event)?;
        open.announce(event)?.commit(ReactionReply { emoji, on, reactions }).await
    }
}

/// Counts one reaction more or less.
fn count(reactions: &mut Vec<Reaction>, emoji: Emoji, on: bool) -> Result<()> {
    if let Some(reaction) = reactions.iter_mut().find(|it| it.emoji == emoji.as_str()) {
        reaction.count += if on { 1 } else { -1 };
    } else if reactions.len() < MAX_KINDS {
        reactions.push(Reaction { emoji: emoji.as_str().to_owned(), count: 1 });
    } else {
        let problem = format!("the message has {MAX_KINDS} different emoji already; use one of them");
        return Err(Error::invalid("message.emoji", problem));
    }
    reactions.retain(|it| it.count > 0);
    Ok(())
}

/// Returns the value of the message's column.
fn column(reactions: &[Reaction]) -> Result<Option<String>> {
    let text = (!reactions.is_empty()).then(|| serde_json::to_string(reactions)).transpose();
    text.map_err(Error::internal)
}
