//! The publisher: owns the rooms and knows every connection of this node, whatever door it came through.
//! Events come in by lane, already in order; rooms are joined and left at their place in that order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use entity::member;
use sea_orm::QuerySelect;
use tokio::sync::mpsc;

use super::connection::Connection;
use crate::clock::Timestamp;
use crate::domain::{Core, presence};
use crate::error::Result;
use crate::ids::{ChatId, ConnId, UserId};
use crate::platform::bus::{Audience, Batch, Delivery, RoomChange};
use crate::protocol::events::{Farewell, Ready, ServerShutdown, TokenExpiring};
use crate::random;

/// `token_expiring` comes this long before the end, milliseconds.
const WARN_BEFORE_MS: i64 = 60_000;

type Connections = HashMap<ConnId, Arc<Connection>>;

/// A user's devices here, and how often they gained or lost a chat since the first came.
#[derive(Default)]
struct Devices {
    connections: Connections,
    room_changes: u64,
}

/// See the file.
#[derive(Default)]
pub struct Publisher {
    next_id: AtomicU64,
    users: DashMap<UserId, Devices>,
    rooms: DashMap<ChatId, Connections>,
}

impl Publisher {
    /// Delivers what comes through `lanes`, one task each, until the bus is gone.
    pub fn start(self: &Arc<Self>, lanes: Vec<mpsc::Receiver<Batch>>) {
        for mut lane in lanes {
            let publisher = self.clone();
            tokio::spawn(async move {
                while let Some(batch) = lane.recv().await {
                    if let Some(answer) = batch.answer {
                        answer();
                    }
                    for delivery in batch.deliveries {
                        publisher.deliver(&delivery);
                    }
                }
            });
        }
    }

    /// A number for a new connection.
    pub fn next_id(&self) -> ConnId {
        ConnId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// How many connections there are.
    pub fn connection_count(&self) -> usize {
        self.users.iter().map(|devices| devices.connections.len()).sum()
    }

    fn deliver(&self, delivery: &Delivery) {
        let chat = match &delivery.audience {
            Audience::Chat(chat) => Some(*chat),
            _ => None,
        };
        if let (Some(chat), RoomChange::Join(users)) = (chat, &delivery.rooms) {
            for connection in self.note_room_change(users) {
                self.join(&connection, chat);
            }
        }
        let tell = |connection: &Arc<Connection>| {
            if delivery.except != Some(connection.id) {
                connection.push(delivery.event, &delivery.payload);
                if delivery.closes {
                    connection.dismiss();
                }
            }
        };
        match &delivery.audience {
            Audience::Chat(chat) => {
                if let Some(room) = self.rooms.get(chat) {
                    room.values().for_each(tell);
                }
            }
            Audience::Chats(chats) => self.in_any(chats).values().for_each(tell),
            Audience::User(user) => self.devices(*user).iter().for_each(tell),
            Audience::Session(user, session) => {
                self.devices(*user).iter().filter(|it| it.actor.session_id == *session).for_each(tell);
            }
        }
        if let (Some(chat), RoomChange::Leave(users)) = (chat, &delivery.rooms) {
            for connection in self.note_room_change(users) {
                self.leave(&connection, chat);
            }
        }
    }

    fn in_any(&self, chats: &[ChatId]) -> Connections {
        let mut all = Connections::new();
        for chat in chats {
            if let Some(room) = self.rooms.get(chat) {
                all.extend(room.iter().map(|(id, connection)| (*id, connection.clone())));
            }
        }
        all
    }

    fn devices(&self, user: UserId) -> Vec<Arc<Connection>> {
        self.users.get(&user).map(|it| it.connections.values().cloned().collect()).unwrap_or_default()
    }

    /// Counts a change of rooms before it is made, so that whoever is just reading memberships reads again.
    fn note_room_change(&self, users: &[UserId]) -> Vec<Arc<Connection>> {
        let mut connections = Vec::new();
        for user in users {
            if let Some(mut devices) = self.users.get_mut(user) {
                devices.room_changes += 1;
                connections.extend(devices.connections.values().cloned());
            }
        }
        connections
    }

    fn join(&self, connection: &Arc<Connection>, chat: ChatId) {
        let mut rooms = connection.rooms.lock();
        if let Some(rooms) = rooms.as_mut()
            && rooms.insert(chat)
        {
            self.rooms.entry(chat).or_default().insert(connection.id, connection.clone());
        }
    }

    fn leave(&self, connection: &Arc<Connection>, chat: ChatId) {
        let mut rooms = connection.rooms.lock();
        if let Some(rooms) = rooms.as_mut()
            && rooms.remove(&chat)
        {
            self.drop_from_room(connection.id, chat);
        }
    }

    fn drop_from_room(&self, connection: ConnId, chat: ChatId) {
        if let Some(mut room) = self.rooms.get_mut(&chat) {
            room.remove(&connection);
        }
        self.rooms.remove_if(&chat, |_, room| room.is_empty());
    }

    /// Makes a connection known, joins its rooms, and says `ready`.
    ///
    /// The user is known before memberships are read: a chat gained or lost meanwhile is either in what is
    /// read, or counted, and then they are read again.
    pub async fn welcome(&self, core: &Arc<Core>, connection: &Arc<Connection>) -> Result<()> {
        let user = connection.actor.user_id;
        {
            // Under this lock a connection is either known or gone, never both.
            let rooms = connection.rooms.lock();
            if rooms.is_none() {
                return Ok(());
            }
            self.users.entry(user).or_default().connections.insert(connection.id, connection.clone());
            core.presence.arrived(user);
        }
        loop {
            let before = self.room_changes(user);
            let chats: HashSet<ChatId> = member::Entity::of_user(user.0)
                .select_only()
                .column(member::Column::ChatId)
                .into_tuple::<i64>()
                .all(core.db.read())
                .await?
                .into_iter()
                .map(ChatId)
                .collect();
            let held: Vec<ChatId> = connection
                .rooms
                .lock()
                .as_ref()
                .map(|rooms| rooms.iter().copied().collect())
                .unwrap_or_default();
            for chat in held.iter().filter(|chat| !chats.contains(chat)) {
                self.leave(connection, *chat);
            }
            for chat in chats {
                self.join(connection, chat);
            }
            if self.room_changes(user) == before {
                break;
            }
        }
        connection.tell(
            "ready",
            &Ready {
                user_id: user,
                session_id: connection.actor.session_id,
                epoch: core.epoch.clone(),
                server_time: Timestamp(core.clock.now()),
            },
        );
        if core.sessions.was_ended(connection.actor.session_id) {
            // It ended between the handshake and here, when nobody could tell this connection.
            let farewell = Farewell { message: "the session was ended, log in again".into() };
            connection.tell("session_ended", &farewell);
            connection.dismiss();
        }
        Ok(())
    }

    fn room_changes(&self, user: UserId) -> u64 {
        self.users.get(&user).map_or(0, |devices| devices.room_changes)
    }

    /// Forgets a connection that is gone.
    pub fn farewell(&self, core: &Arc<Core>, connection: &Arc<Connection>) {
        let user = connection.actor.user_id;
        let Some(rooms) = connection.rooms.lock().take() else { return };
        connection.close_outbox();
        for chat in rooms {
            self.drop_from_room(connection.id, chat);
        }
        let known = self
            .users
            .get_mut(&user)
            .is_some_and(|mut devices| devices.connections.remove(&connection.id).is_some());
        self.users.remove_if(&user, |_, devices| devices.connections.is_empty());
        if known && core.presence.left(user) {
            let core = core.clone();
            tokio::spawn(async move {
                if let Err(error) = presence::note_last_seen(&core, user).await {
                    tracing::warn!(%error, user = user.0, "the time of the last visit was not stored");
                }
            });
        }
    }

    /// Warns of tokens that end soon and dismisses connections whose token has ended; once a second.
    pub fn watch_tokens(self: &Arc<Self>, core: &Arc<Core>) {
        let (publisher, core) = (self.clone(), core.clone());
        tokio::spawn(async move {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            loop {
                second.tick().await;
                publisher.check_tokens(core.clock.now());
            }
        });
    }

    fn check_tokens(&self, now: i64) {
        for connection in self.everybody() {
            let end = connection.expires_at.load(Ordering::Acquire);
            if end <= now {
                connection.tell(
                    "token_expired",
                    &Farewell { message: "the token ended; connect with a new one".into() },
                );
                connection.dismiss();
            } else if end - now <= WARN_BEFORE_MS && connection.warned_of.swap(end, Ordering::AcqRel) != end {
                connection.tell("token_expiring", &TokenExpiring { expires_at: Timestamp(end) });
            }
        }
    }

    fn everybody(&self) -> Vec<Arc<Connection>> {
        self.users
            .iter()
            .flat_map(|devices| devices.connections.values().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// Tells everybody that the node goes, each to come back at a time of their own within `spread`.
    pub fn announce_shutdown(&self, spread: Duration) {
        let spread = spread.as_millis() as usize;
        for connection in self.everybody() {
            let retry_after_ms = 500 + random::below(spread.max(1)) as u64;
            connection.tell("server_shutdown", &ServerShutdown { retry_after_ms });
        }
    }

    /// Reads nothing more from anybody.
    pub fn pause_all(&self) {
        for connection in self.everybody() {
            if let Some(gate) = connection.wire.gate() {
                gate.pause();
            }
        }
    }

    /// Ends every connection's transport; the clients come back by themselves.
    pub fn end_all(&self) {
        for connection in self.everybody() {
            connection.wire.end();
        }
    }
}
