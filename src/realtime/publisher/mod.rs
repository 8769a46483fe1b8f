//! The publisher: owns the rooms and all connections of this node, whatever their transport.
//!
//! Events arrive through lanes. For each chat with local members, the publisher keeps the last counter value that was
//! delivered. If an event leaves a gap after this value, the missing changes are read from the database and delivered
//! first; changes that were already delivered are skipped (see `lanes`). Connections join and leave rooms at the right
//! position in this order. So events of another node may arrive in the same way, late, twice or with gaps.

mod catching_up;
mod ending;
mod lanes;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use crate::clock::Timestamp;
use crate::domain::sync::{Arrivals, Memberships};
use crate::domain::{AppContext, presence, sessions};
use crate::error::Result;
use crate::ids::{ChatId, ConnId, UserId};
use crate::platform::bus::{Audience, Delivery, RoomChange};
use crate::protocol::sessions::Ready;
use crate::realtime::connection::Connection;
use crate::realtime::outgoing::Outgoing;
use crate::realtime::transport::BacklogLimit;

type Connections = HashMap<ConnId, Arc<Connection>>;

/// A user's connections on this node, and how often they gained or lost a chat since the first one connected.
#[derive(Default)]
struct Devices {
    connections: Connections,
    room_changes: u64,
    /// The value of the user's own counter up to which memberships were compared with the rooms; `None` until the first
    /// connection has read it.
    compared: Option<i64>,
}

/// A chat with local members.
#[derive(Default)]
struct Room {
    connections: Connections,
    /// Changes up to this counter value were delivered here, or are part of what clients fetch when they connect.
    /// `None` until the value is known.
    delivered_rev: Option<i64>,
    /// Changes up to this value were delivered by filling a gap: their late events are duplicates.
    filled_rev: i64,
}

/// Delivers events to the connections of this node.
#[derive(Default)]
pub struct Publisher {
    next_id: AtomicU64,
    connections: DashMap<ConnId, Arc<Connection>>,
    users: DashMap<UserId, Devices>,
    rooms: DashMap<ChatId, Room>,
    arrivals: Arrivals,
    /// The limit of each client's backlog on this node.
    pub backlog_limit: Arc<BacklogLimit>,
}

impl Publisher {
    /// Returns an id for a new connection.
    pub fn next_id(&self) -> ConnId {
        ConnId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns the number of connections.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Returns the last value delivered in a chat; `None` if the chat has no room here or the value is not known yet.
    fn delivered_rev(&self, chat: ChatId) -> Option<i64> {
        self.rooms.get(&chat).and_then(|room| room.delivered_rev)
    }

    /// Delivers an event unless its change was already delivered by filling a gap.
    ///
    /// An event at or below `delivered_rev` may still be in flight when a room is created here. It is delivered,
    /// because it may change rooms, and the connections that were there before have not received it.
    fn deliver_once(&self, delivery: &Delivery) {
        let filled_rev = |chat| self.rooms.get(&chat).map_or(0, |room| room.filled_rev);
        if delivery.position.is_none_or(|position| position.rev > filled_rev(position.chat_id)) {
            self.deliver(delivery);
        }
    }

    fn deliver(&self, delivery: &Delivery) {
        let position = delivery.position;
        if let (Some(position), RoomChange::Join(users)) = (position, &delivery.rooms) {
            for connection in self.note_room_change(users) {
                self.join(&connection, position.chat_id, Some(position.prev));
            }
        }
        match &delivery.audience {
            Audience::Chat(chat) => {
                if let (Some(position), Some(mut room)) = (position, self.rooms.get_mut(chat)) {
                    room.delivered_rev = room.delivered_rev.max(Some(position.rev));
                }
                // Sending to a large room takes a while; a read lock lets other readers proceed meanwhile.
                if let Some(room) = self.rooms.get(chat) {
                    let outgoing = Outgoing::new(delivery.event, &delivery.payload);
                    room.connections.values().for_each(|connection| send(connection, delivery, &outgoing));
                }
            }
            audience => {
                let outgoing = Outgoing::new(delivery.event, &delivery.payload);
                for connection in self.audience(audience) {
                    send(&connection, delivery, &outgoing);
                    // Only in this branch, which holds no room: dismissing a connection locks its rooms.
                    if delivery.closes {
                        connection.dismiss(delivery.event);
                    }
                }
            }
        }
        if let (Some(position), RoomChange::Leave(users)) = (position, &delivery.rooms) {
            for connection in self.note_room_change(users) {
                self.leave(&connection, position.chat_id);
                if connection.scope == Some(position.chat_id) {
                    connection.dismiss(delivery.event);
                }
            }
        }
    }

    /// Returns the connections of an audience.
    fn audience(&self, audience: &Audience) -> Vec<Arc<Connection>> {
        match audience {
            Audience::Chat(chat) => self.in_any(&[*chat]).into_values().collect(),
            Audience::Chats(chats) => self.in_any(chats).into_values().collect(),
            // A socket for a single chat receives only events of that chat.
            Audience::User(user) => self.devices(*user).into_iter().filter(|it| it.scope.is_none()).collect(),
            Audience::Session(user, session) => {
                self.devices(*user).into_iter().filter(|it| it.actor.session_id == *session).collect()
            }
            Audience::Connections(ids) => {
                ids.iter().filter_map(|id| self.connections.get(id).map(|it| it.clone())).collect()
            }
        }
    }

    fn in_any(&self, chats: &[ChatId]) -> Connections {
        let mut all = Connections::new();
        for chat in chats {
            if let Some(room) = self.rooms.get(chat) {
                all.extend(room.connections.iter().map(|(id, connection)| (*id, connection.clone())));
            }
        }
        all
    }

    fn devices(&self, user: UserId) -> Vec<Arc<Connection>> {
        self.users.get(&user).map(|it| it.connections.values().cloned().collect()).unwrap_or_default()
    }

    /// Counts a change of rooms before it is made, so that a concurrent read of the memberships is repeated.
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

    /// Adds a connection to a room. `delivered_rev` is the initial value of a room that is new here.
    fn join(&self, connection: &Arc<Connection>, chat: ChatId, delivered_rev: Option<i64>) {
        if connection.scope.is_some_and(|scope| scope != chat) {
            return;
        }
        let mut rooms = connection.rooms.lock();
        let Some(rooms) = rooms.as_mut() else { return };
        if !rooms.insert(chat) {
            return;
        }
        let mut room = self.rooms.entry(chat).or_default();
        if room.connections.is_empty() {
            room.delivered_rev = delivered_rev;
        }
        room.connections.insert(connection.id, connection.clone());
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
            room.connections.remove(&connection);
        }
        self.rooms.remove_if(&chat, |_, room| room.connections.is_empty());
    }

    /// Returns the `ready` event of a connection.
    pub fn ready(context: &AppContext, connection: &Connection) -> Ready {
        Ready {
            user_id: connection.actor.user_id,
            session_id: connection.actor.session_id,
            epoch: context.epoch.clone(),
            server_time: Timestamp(context.clock.now()),
        }
    }

    /// Registers a connection and joins its rooms. From then on it misses no event.
    ///
    /// The user is registered before the memberships are read: a chat gained or lost meanwhile is either part of the
    /// result, or counted, and then the memberships are read again before any room is joined.
    pub async fn register(&self, context: &Arc<AppContext>, connection: &Arc<Connection>) -> Result<()> {
        let user = connection.actor.user_id;
        let watchers = {
            // Under this lock a connection is either registered or gone, never both.
            let rooms = connection.rooms.lock();
            if rooms.is_none() {
                return Ok(());
            }
            self.connections.insert(connection.id, connection.clone());
            self.users.entry(user).or_default().connections.insert(connection.id, connection.clone());
            context.presence.arrived(user, connection.id)
        };
        let chats = loop {
            let before = self.users.get(&user).map_or(0, |devices| devices.room_changes);
            let Memberships { user_rev, chats } = self.arrivals.memberships(context, user).await?;
            // While this lock is held, no room of the user is gained or lost.
            let Some(mut devices) =
                self.users.get_mut(&user).filter(|it| it.connections.contains_key(&connection.id))
            else {
                return Ok(());
            };
            devices.compared.get_or_insert(user_rev);
            if devices.room_changes == before {
                for chat in &chats {
                    self.join(connection, *chat, None);
                }
                connection.settled.store(true, Ordering::Release);
                break chats;
            }
        };
        self.read_heads(context, &chats).await?;
        presence::tell_arrival(context, user, watchers).await;
        // The session may have ended before this connection could be notified.
        sessions::require_live(context, connection.actor).await
    }

    /// Reads the counters of rooms whose value is not known yet. After `ready`, clients fetch everything that was
    /// committed up to then; everything later is delivered.
    ///
    /// Every connection does so itself before it is `ready`, and the first value counts: with a later value, changes
    /// that were committed after another client had fetched would count as delivered.
    async fn read_heads(&self, context: &AppContext, chats: &[ChatId]) -> Result<()> {
        let unknown: Vec<ChatId> = chats
            .iter()
            .copied()
            .filter(|chat| self.rooms.get(chat).is_some_and(|room| room.delivered_rev.is_none()))
            .collect();
        for (chat, rev) in self.arrivals.heads(context, unknown).await? {
            if let Some(mut room) = self.rooms.get_mut(&chat) {
                room.delivered_rev.get_or_insert(rev);
            }
        }
        Ok(())
    }

    /// Removes a connection that is gone.
    pub fn unregister(&self, context: &AppContext, connection: &Arc<Connection>) {
        let user = connection.actor.user_id;
        let Some(rooms) = connection.rooms.lock().take() else { return };
        connection.close_queue();
        for chat in rooms {
            self.drop_from_room(connection.id, chat);
        }
        if self.connections.remove(&connection.id).is_none() {
            return;
        }
        if let Some(mut devices) = self.users.get_mut(&user) {
            devices.connections.remove(&connection.id);
        }
        self.users.remove_if(&user, |_, devices| devices.connections.is_empty());
        context.presence.left(user, connection.id, &context.clock);
    }

    fn all_connections(&self) -> Vec<Arc<Connection>> {
        self.connections.iter().map(|it| it.clone()).collect()
    }
}

/// Sends an event to one connection of its audience, unless the connection is excluded.
fn send(connection: &Connection, delivery: &Delivery, outgoing: &Outgoing<'_>) {
    let left_out = delivery.except == Some(connection.id)
        || delivery.except_users.contains(&connection.actor.user_id)
        || delivery.only_user.is_some_and(|user| user != connection.actor.user_id)
        || (delivery.volatile && connection.is_behind());
    if !left_out {
        connection.send(outgoing);
    }
}
