//! Catching up: holes in a chat's order are filled from the database, and what nobody was told of is found by
//! comparing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Publisher;
use crate::domain::{Core, sync};
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::platform::bus::{Audience, Batch, Delivery, RoomChange};
use crate::protocol::events::SyncHint;
use crate::transport::connection::Connection;

/// How often the heads of chats are compared with what was given.
const COMPARE_EVERY: Duration = Duration::from_secs(4);

/// What is on its way gets this long before it counts as missing.
const ON_ITS_WAY: Duration = Duration::from_millis(700);

/// Clocks of nodes differ, and a commit takes its time: gained chats are looked for this far back, milliseconds.
const LATE_MS: i64 = 30_000;

impl Publisher {
    /// Gives what lies between the last value given and `upto`, from the database; where that cannot be
    /// done, clients are told to `sync`.
    pub(super) async fn fill(&self, core: &Arc<Core>, chat: ChatId, upto: i64) {
        let Some(given) = self.given(chat).filter(|given| *given < upto) else { return };
        tracing::info!(chat = chat.0, given, upto, "filling a hole");
        let users = self.users_in(chat);
        match sync::fill(core, chat, given, upto, &users).await {
            Ok(Some(events)) => events.iter().for_each(|event| self.hand_out(event)),
            Ok(None) => {
                self.hint(chat, upto);
                if let Err(error) = self.sort_out(core, chat, &users).await {
                    tracing::error!(%error, chat = chat.0, "a room could not be sorted out");
                    return;
                }
            }
            Err(error) => {
                // What comes late of it is still handed out.
                tracing::error!(%error, chat = chat.0, "a hole could not be filled");
                return self.hint(chat, upto);
            }
        }
        if let Some(mut room) = self.rooms.get_mut(&chat) {
            room.given = room.given.max(Some(upto));
            room.filled = room.filled.max(upto);
        }
    }

    /// Leaves a room to those who are in its chat now: who left in a hole that could not be told is not told
    /// of it one by one.
    async fn sort_out(&self, core: &Core, chat: ChatId, users: &[UserId]) -> Result<()> {
        let present = sync::present_in(core, chat, users).await?;
        let gone: Vec<UserId> = users.iter().copied().filter(|user| !present.contains(user)).collect();
        for connection in self.note_room_change(&gone) {
            self.leave(&connection, chat);
            if connection.scope == Some(chat) {
                connection.dismiss("member_removed");
            }
        }
        Ok(())
    }

    /// Takes a user into a chat that they are in since the value `rev`, if nobody has, and tells them what
    /// happened in it since.
    pub(super) async fn gain(&self, core: &Arc<Core>, user: UserId, chat: ChatId, rev: i64) {
        let missing = |it: &Arc<Connection>| {
            it.scope.is_none() && it.rooms.lock().as_ref().is_some_and(|rooms| !rooms.contains(&chat))
        };
        if !self.devices(user).iter().any(missing) {
            return;
        }
        tracing::info!(chat = chat.0, user = user.0, rev, "a chat was gained unheard");
        for connection in self.note_room_change(&[user]) {
            self.join(&connection, chat, None);
        }
        // They may have gone again meanwhile. Whoever goes after this is told in this lane, later.
        if let Err(error) = self.sort_out(core, chat, &[user]).await {
            tracing::error!(%error, chat = chat.0, "a membership could not be read");
            for connection in self.note_room_change(&[user]) {
                self.leave(&connection, chat);
            }
        }
        if self.devices(user).iter().all(missing) {
            return;
        }
        let upto = match (self.given(chat), sync::heads(core, &[chat]).await) {
            (Some(given), _) => given,
            (None, Ok(heads)) => heads.first().map_or(rev, |(_, head)| *head),
            (None, Err(_)) => rev,
        };
        match sync::fill(core, chat, rev - 1, upto, &[user]).await {
            Ok(Some(mut events)) => {
                for event in &mut events {
                    event.only_user = Some(user);
                    event.rooms = RoomChange::None;
                    self.hand_out(event);
                }
            }
            // The chat is gone again, or there is too much to tell: it comes whole with the next `sync`.
            Ok(None) => self.hint(chat, upto),
            Err(error) => tracing::error!(%error, chat = chat.0, "a gained chat could not be told"),
        }
        if let Some(mut room) = self.rooms.get_mut(&chat) {
            room.given = room.given.max(Some(upto));
        }
    }

    /// The users of a room's connections.
    fn users_in(&self, chat: ChatId) -> Vec<UserId> {
        let Some(room) = self.rooms.get(&chat) else { return Vec::new() };
        let users: HashSet<UserId> = room.connections.values().map(|it| it.actor.user_id).collect();
        users.into_iter().collect()
    }

    fn hint(&self, chat: ChatId, rev: i64) {
        match Delivery::new(Audience::Chat(chat), "sync_hint", &SyncHint { chat, rev }) {
            Ok(hint) => self.deliver(&hint),
            Err(error) => tracing::error!(%error, "an event could not be encoded"),
        }
    }

    /// Compares the heads of chats that have local members with what was given, now and then, and has
    /// given what is missing: after a crash of whoever committed it, or an outage of the way here.
    pub fn compare_heads(self: &Arc<Self>, core: &Arc<Core>) {
        let (publisher, core) = (self.clone(), core.clone());
        tokio::spawn(async move {
            let mut tick = interval(COMPARE_EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut since = core.clock.now();
            loop {
                tick.tick().await;
                let now = core.clock.now();
                match publisher.compare(&core, since - LATE_MS).await {
                    Ok(()) => since = now,
                    Err(error) => tracing::warn!(%error, "the heads of chats could not be compared"),
                }
            }
        });
    }

    /// What is behind is looked at twice: it may just be on its way.
    async fn compare(&self, core: &Core, since: i64) -> Result<()> {
        let chats: Vec<ChatId> =
            self.rooms.iter().filter(|room| room.given.is_some()).map(|room| *room.key()).collect();
        let behind = |(chat, rev): &(ChatId, i64)| self.given(*chat).is_some_and(|given| given < *rev);
        let suspects: Vec<(ChatId, i64)> =
            sync::heads(core, &chats).await?.into_iter().filter(behind).collect();
        let outside = |(user, chat, _): &(UserId, ChatId, i64)| {
            self.devices(*user).iter().any(|it| {
                it.scope.is_none() && it.rooms.lock().as_ref().is_some_and(|rooms| !rooms.contains(chat))
            })
        };
        let gained: Vec<_> = sync::gained_since(core, since).await?.into_iter().filter(outside).collect();
        if suspects.is_empty() && gained.is_empty() {
            return Ok(());
        }
        sleep(ON_ITS_WAY).await;
        for missing in suspects.into_iter().filter(behind) {
            core.bus.publish(Batch { catch_up: Some(missing), ..Batch::default() }).await;
        }
        for missing in gained.into_iter().filter(outside) {
            core.bus.publish(Batch { gained: Some(missing), ..Batch::default() }).await;
        }
        Ok(())
    }
}
