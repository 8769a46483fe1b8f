//! Catching up: gaps in a chat's order are filled from the database, and changes without an event are found by
//! comparison.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::domain::events::{self, ConnectionEvent};
use crate::domain::sync::Standing;
use crate::domain::{AppContext, sessions, sync};
use crate::error::Result;
use crate::ids::{ChatId, SessionId, UserId};
use crate::platform::bus::{Batch, RoomChange};
use crate::protocol::catalogue::EventName;
use crate::protocol::sync::SyncHint;
use crate::realtime::connection::Connection;
use crate::realtime::outgoing::Outgoing;
use crate::realtime::publisher::{Devices, Publisher};
use crate::realtime::write_queue::batch_writes;

/// Interval at which the counters of chats are compared with the delivered values.
const COMPARE_EVERY: Duration = Duration::from_secs(4);

/// Time that an event in flight may take before it counts as missing.
const ON_ITS_WAY: Duration = Duration::from_millis(700);

impl Publisher {
    /// Delivers the changes between the last delivered value and `upto` from the database. If that is impossible,
    /// clients are told to `sync`.
    pub(super) async fn fill(&self, context: &Arc<AppContext>, chat: ChatId, upto: i64) {
        let Some(delivered_rev) = self.delivered_rev(chat).filter(|delivered_rev| *delivered_rev < upto)
        else {
            return;
        };
        tracing::info!(chat = chat.0, delivered_rev, upto, "filling a gap");
        let users = self.users_in(chat);
        match sync::fill(context, chat, delivered_rev, upto, &users).await {
            Ok(Some(events)) => batch_writes(|| events.iter().for_each(|event| self.deliver(event))),
            Ok(None) => {
                self.hint(chat, upto);
                if let Err(error) = self.sort_out(context, chat, &users).await {
                    tracing::error!(%error, chat = chat.0, "the members of a room could not be restored");
                    return;
                }
            }
            Err(error) => {
                // Late events of these changes are still delivered.
                tracing::error!(%error, chat = chat.0, "a gap could not be filled");
                return self.hint(chat, upto);
            }
        }
        if let Some(mut room) = self.rooms.get_mut(&chat) {
            room.delivered_rev = room.delivered_rev.max(Some(upto));
            room.filled_rev = room.filled_rev.max(upto);
        }
    }

    /// Removes users from a room who are no longer members of its chat. If a gap cannot be filled, those who left
    /// within it receive no event of their own.
    async fn sort_out(&self, context: &AppContext, chat: ChatId, users: &[UserId]) -> Result<()> {
        let present = sync::present_in(context, chat, users).await?;
        let gone: Vec<UserId> = users.iter().copied().filter(|user| !present.contains(user)).collect();
        for connection in self.note_room_change(&gone) {
            self.leave(&connection, chat);
            if connection.scope == Some(chat) {
                connection.dismiss(EventName::member_removed);
            }
        }
        Ok(())
    }

    /// Whether a connection of the user is missing from the room of a chat they are in, or is in the room of a chat
    /// they have left.
    fn is_astray(&self, standing: &Standing) -> bool {
        self.devices(standing.user).iter().any(|it| {
            let inside = it.rooms.lock().as_ref().map(|rooms| rooms.contains(&standing.chat));
            it.scope.is_none_or(|scope| scope == standing.chat)
                && it.settled.load(Ordering::Acquire)
                && inside.is_some_and(|inside| inside != standing.present)
        })
    }

    /// Adds a user to the room of a chat that they are in, or removes them from that of a chat that they have left, if
    /// no event has done so, and notifies them.
    pub(super) async fn reconcile(&self, context: &Arc<AppContext>, user: UserId, chat: ChatId) {
        let standing = match sync::standing_in(context, user, chat).await {
            Ok(standing) => standing,
            Err(error) => {
                tracing::error!(%error, chat = chat.0, "a membership could not be read");
                return self.compare_again(user);
            }
        };
        let Some(standing) = standing.filter(|it| self.is_astray(it)) else { return };
        if standing.present {
            self.gain(context, &standing).await;
        } else {
            // The removal is among the undelivered changes and is delivered with them.
            self.fill(context, chat, standing.rev).await;
            if self.is_astray(&standing)
                && let Err(error) = self.sort_out(context, chat, &[user]).await
            {
                tracing::error!(%error, chat = chat.0, "the members of a room could not be restored");
                self.compare_again(user);
            }
        }
    }

    /// Makes the next comparison include all memberships of a user, because reading one failed.
    fn compare_again(&self, user: UserId) {
        if let Some(mut devices) = self.users.get_mut(&user) {
            devices.compared = devices.compared.map(|_| 0);
        }
    }

    /// Adds a user to a chat's room, and delivers what happened in the chat since they joined it.
    async fn gain(&self, context: &Arc<AppContext>, standing: &Standing) {
        let Standing { user, chat, rev, .. } = *standing;
        tracing::info!(chat = chat.0, user = user.0, rev, "a chat was joined without an event");
        for connection in self.note_room_change(&[user]) {
            self.join(&connection, chat, None);
        }
        let upto = match (self.delivered_rev(chat), sync::heads(context.db.background(), &[chat]).await) {
            (Some(delivered_rev), _) => delivered_rev,
            (None, Ok(heads)) => heads.first().map_or(rev, |(_, head)| *head),
            (None, Err(_)) => rev,
        };
        match sync::fill(context, chat, rev - 1, upto, &[user]).await {
            Ok(Some(mut events)) => {
                for event in &mut events {
                    event.only_user = Some(user);
                    event.rooms = RoomChange::None;
                }
                batch_writes(|| events.iter().for_each(|event| self.deliver(event)));
            }
            // The chat is gone again, or there are too many changes: the next `sync` returns the whole chat.
            Ok(None) => self.hint(chat, upto),
            Err(error) => tracing::error!(%error, chat = chat.0, "a joined chat could not be announced"),
        }
        if let Some(mut room) = self.rooms.get_mut(&chat) {
            room.delivered_rev = room.delivered_rev.max(Some(upto));
        }
    }

    /// Returns the users of a room's connections.
    fn users_in(&self, chat: ChatId) -> Vec<UserId> {
        let Some(room) = self.rooms.get(&chat) else { return Vec::new() };
        let users: HashSet<UserId> = room.connections.values().map(|it| it.actor.user_id).collect();
        users.into_iter().collect()
    }

    fn hint(&self, chat: ChatId, rev: i64) {
        match events::sync_hint::to_chat(chat, &SyncHint { chat, rev }) {
            Ok(hint) => batch_writes(|| self.deliver_once(&hint)),
            Err(error) => tracing::error!(%error, "an event could not be encoded"),
        }
    }

    /// Periodically compares the state of this node with the database: a process may have crashed between a commit and
    /// its events, or another process may have made the change.
    pub fn watch_database(self: &Arc<Self>, context: &Arc<AppContext>) {
        let publisher = self.clone();
        context.keep("comparison", move |context| {
            let publisher = publisher.clone();
            async move {
                let mut tick = interval(COMPARE_EVERY);
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    tick.tick().await;
                    if let Err(error) = publisher.compare(&context).await {
                        tracing::warn!(%error, "the state of this node could not be compared with the database");
                    }
                }
            }
        });
    }

    /// Compares once. Anything that is behind is checked twice, because its event may be in flight.
    async fn compare(&self, context: &AppContext) -> Result<()> {
        self.end_lost_sessions(context).await?;
        let chats: Vec<ChatId> =
            self.rooms.iter().filter(|room| room.delivered_rev.is_some()).map(|room| *room.key()).collect();
        let behind = |(chat, rev): &(ChatId, i64)| {
            self.delivered_rev(*chat).is_some_and(|delivered_rev| delivered_rev < *rev)
        };
        let heads = sync::heads(context.db.background(), &chats).await?;
        let suspects: Vec<(ChatId, i64)> = heads.into_iter().filter(behind).collect();
        let changed = self.changed_users(context).await?;
        let since: Vec<(UserId, i64)> =
            changed.iter().map(|(user, compared, _)| (*user, *compared)).collect();
        let standings = sync::standings_since(context, &since).await?;
        let astray: Vec<Standing> = standings.into_iter().filter(|it| self.is_astray(it)).collect();
        if !suspects.is_empty() || !astray.is_empty() {
            sleep(ON_ITS_WAY).await;
        }
        for missing in suspects.into_iter().filter(behind) {
            context.bus.publish(Batch { catch_up: Some(missing), ..Batch::default() }).await;
        }
        for standing in astray.into_iter().filter(|it| self.is_astray(it)) {
            let membership = Some((standing.user, standing.chat));
            context.bus.publish(Batch { membership, ..Batch::default() }).await;
        }
        for (user, compared, now) in changed {
            if let Some(mut devices) = self.users.get_mut(&user).filter(|it| it.compared == Some(compared)) {
                devices.compared = Some(now);
            }
        }
        Ok(())
    }

    /// Returns users whose own counter changed since their memberships were compared, with both values; gaining or
    /// losing a chat changes the counter. Users with a connection that is still joining its rooms are skipped until the
    /// next time.
    async fn changed_users(&self, context: &AppContext) -> Result<Vec<(UserId, i64, i64)>> {
        let settled =
            |devices: &Devices| devices.connections.values().all(|it| it.settled.load(Ordering::Acquire));
        let compared: HashMap<UserId, i64> = self
            .users
            .iter()
            .filter(|devices| settled(devices))
            .filter_map(|devices| Some((*devices.key(), devices.compared?)))
            .collect();
        let users: Vec<UserId> = compared.keys().copied().collect();
        let revs = sync::user_revs(context, &users).await?;
        let moved = |(user, now): (UserId, i64)| Some((user, *compared.get(&user)?, now));
        Ok(revs.into_iter().filter_map(moved).filter(|(_, compared, now)| now > compared).collect())
    }

    /// Ends connections whose session has ended without an event: the response to the commit was lost, or another
    /// process made it.
    async fn end_lost_sessions(&self, context: &AppContext) -> Result<()> {
        let mut sessions: HashMap<SessionId, Vec<Arc<Connection>>> = HashMap::new();
        for connection in self.all_connections() {
            sessions.entry(connection.actor.session_id).or_default().push(connection);
        }
        let ids: Vec<SessionId> = sessions.keys().copied().collect();
        let live = sessions::live_among(context, &ids).await?;
        for (id, connections) in sessions.into_iter().filter(|(id, _)| !live.contains(id)) {
            context.sessions.end(id);
            let Some(user) = connections.first().map(|it| it.actor.user_id) else { continue };
            let ConnectionEvent { name, payload } = sessions::end_unheard(context, user).await?;
            for connection in connections {
                tracing::info!(user = user.0, "a session had ended without an event");
                connection.send(&Outgoing::new(name, &payload));
                connection.dismiss(name);
            }
        }
        Ok(())
    }
}
