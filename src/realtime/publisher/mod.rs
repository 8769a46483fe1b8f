//! The publisher: owns the rooms and knows every connection of this node, whatever its transport.
//!
//! Events come in by lane. Per chat with local members it keeps the last value of the counter that it gave;
//! what lies between that and an event is read from the database and given first, and what was given
//! already is not given again (see `lanes`). Rooms are joined and left at their place in that order. So events of
//! another node can come in by the same way, late, twice or with holes.

mod catching_up;
mod ending;
mod lanes;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use crate::clock::Timestamp;
use crate::domain::{AppContext, presence, sessions, sync};
use crate::error::Result;
use crate::ids::{ChatId, ConnId, UserId};
use crate::platform::bus::{Audience, Delivery, RoomChange};
use crate::protocol::sessions::Ready;
use crate::realtime::connection::Connection;
use crate::realtime::transport::BacklogLimit;

type Connections = HashMap<ConnId, Arc<Connection>>;

/// A user's devices here, and how often they gained or lost a chat since the first came.
#[derive(Default)]
struct Devices {
    connections: Connections,
    room_changes: u64,
    /// The value of the user's own counter up to which memberships were compared with the rooms; none before the
    /// first of the devices has read them.
    compared: Option<i64>,
}

/// A chat with local members.
#[derive(Default)]
struct Room {
    connections: Connections,
    /// Up to this value of the counter nothing is missing here: it was given, or is in what clients fetch
    /// when they come. None before anything is known.
    delivered_rev: Option<i64>,
    /// Up to this value it was given by filling: what comes late of it was told already.
    filled_rev: i64,
}

/// See the file.
#[derive(Default)]
pub struct Publisher {
    next_id: AtomicU64,
    connections: DashMap<ConnId, Arc<Connection>>,
    users: DashMap<UserId, Devices>,
    rooms: DashMap<ChatId, Room>,
    /// What may wait for each client of this node.
    pub backlog_limit: Arc<BacklogLimit>,
}

impl Publisher {
    /// A number for a new connection.
    pub fn next_id(&self) -> ConnId {
        ConnId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// How many connections there are.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// The last value given in a chat; none where nobody is there or nothing is known yet.
    fn delivered_rev(&self, chat: ChatId) -> Option<i64> {
        self.rooms.get(&chat).and_then(|room| room.delivered_rev)
    }

    /// Hands an event out, unless filling has given it already.
    ///
    /// An event at or below `delivered_rev` may be on its way when a room is new here: it still changes rooms, and
    /// who was there before has not heard it.
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
                // Telling a large room takes a while: others may read meanwhile.
                if let Some(room) = self.rooms.get(chat) {
                    room.connections.values().for_each(|connection| send(connection, delivery));
                }
            }
            audience => {
                for connection in self.audience(audience) {
                    send(&connection, delivery);
                    // Only here, where no room is held: dismissing comes back for the rooms.
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

    /// The connections of an audience.
    fn audience(&self, audience: &Audience) -> Vec<Arc<Connection>> {
        match audience {
            Audience::Chat(chat) => self.in_any(&[*chat]).into_values().collect(),
            Audience::Chats(chats) => self.in_any(chats).into_values().collect(),
            // A chat's own socket is about that chat alone.
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

    /// Puts a connection into a room. `delivered_rev` is what a room that is new here starts from.
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

    /// What `ready` says to a connection.
    pub fn ready(context: &AppContext, connection: &Connection) -> Ready {
        Ready {
            user_id: connection.actor.user_id,
            session_id: connection.actor.session_id,
            epoch: context.epoch.clone(),
            server_time: Timestamp(context.clock.now()),
        }
    }

    /// Makes a connection known and joins its rooms. From here on it misses nothing.
    ///
    /// The user is known before memberships are read: a chat gained or lost meanwhile is either in what is
    /// read, or counted, and then they are read again before any room is joined.
    pub async fn register(&self, context: &Arc<AppContext>, connection: &Arc<Connection>) -> Result<()> {
        let user = connection.actor.user_id;
        let watchers = {
            // Under this lock a connection is either known or gone, never both.
            let rooms = connection.rooms.lock();
            if rooms.is_none() {
                return Ok(());
            }
            self.connections.insert(connection.id, connection.clone());
            self.users.entry(user).or_default().connections.insert(connection.id, connection.clone());
            context.presence.arrived(user, connection.id)
        };
        let compared = sync::user_rev(context, user).await?;
        if let Some(mut devices) = self.users.get_mut(&user) {
            devices.compared.get_or_insert(compared);
        }
        let chats = loop {
            let before = self.users.get(&user).map_or(0, |devices| devices.room_changes);
            let chats = sync::chats_of(context, user).await?;
            // While this is held nobody gains or loses a room.
            let Some(devices) =
                self.users.get_mut(&user).filter(|it| it.connections.contains_key(&connection.id))
            else {
                return Ok(());
            };
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
        // It may have ended while nobody could tell this connection.
        sessions::require_live(context, connection.actor).await
    }

    /// Reads where rooms stand that nobody knows of yet: what was committed before is in what their clients fetch after
    /// `ready`, all else is given.
    ///
    /// Every connection does so for itself before it is `ready`, and the first value counts: a later one would take
    /// for given what was committed after somebody else had fetched.
    async fn read_heads(&self, context: &AppContext, chats: &[ChatId]) -> Result<()> {
        let unknown: Vec<ChatId> = chats
            .iter()
            .copied()
            .filter(|chat| self.rooms.get(chat).is_some_and(|room| room.delivered_rev.is_none()))
            .collect();
        for (chat, rev) in sync::heads(context.db.read(), &unknown).await? {
            if let Some(mut room) = self.rooms.get_mut(&chat) {
                room.delivered_rev.get_or_insert(rev);
            }
        }
        Ok(())
    }

    /// Forgets a connection that is gone.
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

/// Tells one connection of an event's audience, unless it is left out.
fn send(connection: &Connection, delivery: &Delivery) {
    let left_out = delivery.except == Some(connection.id)
        || delivery.except_users.contains(&connection.actor.user_id)
        || delivery.only_user.is_some_and(|user| user != connection.actor.user_id)
        || (delivery.volatile && connection.is_behind());
    if !left_out {
        connection.send(delivery.event, &delivery.payload);
    }
}
