//! Typing: sent to connected members, never stored, ended by a timeout.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::access::{Membership, find_visible, require_open};
use super::read::ANNOUNCED_UP_TO;
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, events};
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::platform::bus::{Batch, Delivery};
use crate::platform::db::Outcome;
use crate::protocol::change::Done;
use crate::protocol::presence::Typing;
use crate::protocol::presence::TypingChanged;

/// Typing ends by itself after this time, milliseconds.
const LASTS_MS: i64 = 6_000;

/// Continued typing is announced again after this time, milliseconds.
const AGAIN_MS: i64 = 3_000;

/// The users who are typing on this node: for each, when it ends and when it was last announced, in milliseconds of
/// uptime.
#[derive(Default)]
pub struct TypingNow {
    until: Mutex<HashMap<(ChatId, UserId), (i64, i64)>>,
}

impl TypingNow {
    /// Stores whether a user is typing; returns whether to announce it.
    fn note(&self, chat: ChatId, user: UserId, is_typing: bool, now: i64) -> bool {
        let mut until = self.until.lock();
        if !is_typing {
            return until.remove(&(chat, user)).is_some();
        }
        let told = until.get(&(chat, user)).map(|(_, told)| *told);
        let due = told.is_none_or(|told| now - told >= AGAIN_MS);
        until.insert((chat, user), (now + LASTS_MS, told.filter(|_| !due).unwrap_or(now)));
        due
    }

    /// Ends the typing of a user who has sent their message; returns the event for it, if they were typing.
    pub fn end(&self, chat: ChatId, user: UserId) -> Option<Delivery> {
        self.until.lock().remove(&(chat, user))?;
        ended(chat, user)
    }

    /// Removes and returns those whose typing has timed out.
    fn over(&self, now: i64) -> Vec<(ChatId, UserId)> {
        let mut over = Vec::new();
        self.until.lock().retain(|who, (until, _)| {
            let typing = *until > now;
            if !typing {
                over.push(*who);
            }
            typing
        });
        over
    }

    /// Ends typing that has timed out, every half second.
    pub fn watch(context: &Arc<AppContext>) {
        context.keep("typing", |context| async move {
            let mut tick = tokio::time::interval(Duration::from_millis(500));
            loop {
                tick.tick().await;
                for (chat, user_id) in context.typing.over(context.clock.uptime()) {
                    if let Some(event) = ended(chat, user_id) {
                        context.bus.publish(Batch { deliveries: vec![event], ..Batch::default() }).await;
                    }
                }
            }
        });
    }
}

impl CommandHandler for Typing {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<Done>> {
        let user_id = caller.actor.user_id;
        let Membership { chat, .. } = find_visible(context.db.read(), self.chat.0.id, user_id).await?;
        let is_news = require_open(&chat, "chat.id").is_ok()
            && chat.member_count <= ANNOUNCED_UP_TO
            && context.typing.note(self.chat.0.id, user_id, self.is_typing, context.clock.uptime());
        if !is_news {
            return Ok(Outcome::unchanged(Done {}));
        }
        let event = event(self.chat.0.id, user_id, self.is_typing)?.except(caller.conn);
        Ok(Outcome::unstored(Done {}, event))
    }
}

/// Returns the event for the end of typing.
fn ended(chat: ChatId, user_id: UserId) -> Option<Delivery> {
    event(chat, user_id, false)
        .inspect_err(|error| tracing::error!(%error, "an event could not be encoded"))
        .ok()
}

fn event(chat: ChatId, user_id: UserId, is_typing: bool) -> Result<Delivery> {
    Ok(events::typing::to_chat(chat, &TypingChanged { chat, user_id, is_typing })?.volatile())
}
