//! The publisher: owns the rooms and knows every connection of this node, whatever door it came through.
//!
//! Events come in by lane. Per chat with local members it keeps the last value of the counter that it gave;
//! what lies between that and an event is read from the database and given first, and what was given
//! already is not given again. Rooms are joined and left at their place in that order. So events of
//! another node can come in by the same way, late, twice or with holes.

mod catching_up;
mod ending;

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use entity::member;
use futures_util::FutureExt;
use sea_orm::QuerySelect;
use tokio::sync::mpsc;

use super::connection::Connection;
use crate::clock::Timestamp;
use crate::domain::{Core, presence, sessions, sync};
use crate::error::Result;
use crate::ids::{ChatId, ConnId, UserId};
use crate::platform::bus::{Audience, Batch, Delivery, RoomChange};
use crate::protocol::events::Ready;

type Connections = HashMap<ConnId, Arc<Connection>>;

/// A user's devices here, and how often they gained or lost a chat since the first came.
#[derive(Default)]
struct Devices {
    connections: Connections,
    room_changes: u64,
}

/// A chat with local members.
#[derive(Default)]
struct Room {
    connections: Connections,
    /// Up to this value of the counter nothing is missing here: it was given, or is in what clients fetch
    /// when they come. None before anything is known.
    given: Option<i64>,
    /// Up to this value it was given by filling: what comes late of it was told already.
    filled: i64,
}

/// See the file.
#[derive(Default)]
pub struct Publisher {
    next_id: AtomicU64,
    connections: DashMap<ConnId, Arc<Connection>>,
    users: DashMap<UserId, Devices>,
    rooms: DashMap<ChatId, Room>,
}

impl Publisher {
    /// Delivers what comes through `lanes`, one task each, until the bus is gone.
    pub fn start(self: &Arc<Self>, core: &Arc<Core>, lanes: Vec<mpsc::Receiver<Batch>>) {
        for mut lane in lanes {
            let (publisher, core) = (self.clone(), core.clone());
            tokio::spawn(async move {
                while let Some(batch) = lane.recv().await {
                    if AssertUnwindSafe(publisher.take(&core, batch)).catch_unwind().await.is_err() {
                        tracing::error!("a delivery panicked");
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
        self.connections.len()
    }

    async fn take(&self, core: &Arc<Core>, batch: Batch) {
        let Batch { deliveries, mut answer, catch_up, gained, .. } = batch;
        if let Some((chat, upto)) = catch_up {
            self.fill(core, chat, upto).await;
        }
        if let Some((user, chat, rev)) = gained {
            self.gain(core, user, chat, rev).await;
        }
        for delivery in &deliveries {
            if let Some(place) = delivery.place
                && self.given(place.chat_id).is_some_and(|given| given < place.prev)
            {
                self.fill(core, place.chat_id, place.prev).await;
            }
            if let Some(answer) = answer.take() {
                answer();
            }
            self.deliver(delivery);
        }
        if let Some(answer) = answer {
            answer();
        }
    }

    /// The last value given in a chat; none where nobody is there or nothing is known yet.
    fn given(&self, chat: ChatId) -> Option<i64> {
        self.rooms.get(&chat).and_then(|room| room.given)
    }

    /// Hands an event out, unless filling has given it already.
    ///
    /// An event at or below `given` may be on its way when a room is new here: it still changes rooms, and
    /// who was there before has not heard it.
    fn deliver(&self, delivery: &Delivery) {
        let filled = |chat| self.rooms.get(&chat).map_or(0, |room| room.filled);
        if delivery.place.is_none_or(|place| place.rev > filled(place.chat_id)) {
            self.hand_out(delivery);
        }
    }

    fn hand_out(&self, delivery: &Delivery) {
        let place = delivery.place;
        if let (Some(place), RoomChange::Join(users)) = (place, &delivery.rooms) {
            for connection in self.note_room_change(users) {
                self.join(&connection, place.chat_id, Some(place.prev));
            }
        }
        let tell = |connection: &Arc<Connection>| {
            let left_out = delivery.except == Some(connection.id)
                || delivery.except_users.contains(&connection.actor.user_id)
                || delivery.only_user.is_some_and(|user| user != connection.actor.user_id)
                || (delivery.volatile && connection.is_behind());
            if !left_out {
                connection.push(delivery.event, &delivery.payload);
            }
        };
        match &delivery.audience {
            Audience::Chat(chat) => {
                if let (Some(place), Some(mut room)) = (place, self.rooms.get_mut(chat)) {
                    room.given = room.given.max(Some(place.rev));
                }
                // Telling a large room takes a while: others may read meanwhile.
                if let Some(room) = self.rooms.get(chat) {
                    room.connections.values().for_each(tell);
                }
            }
            Audience::Chats(chats) => self.in_any(chats).values().for_each(tell),
            // A chat's own socket is about that chat alone.
            Audience::User(user) => {
                self.devices(*user).iter().filter(|it| it.scope.is_none()).for_each(tell);
            }
            Audience::Session(user, session) => {
                for connection in self.devices(*user) {
                    if connection.actor.session_id == *session {
                        tell(&connection);
                        // Only here, where no room is held: dismissing comes back for the rooms.
                        if delivery.closes {
                            connection.dismiss(delivery.event);
                        }
                    }
                }
            }
            Audience::Connections(ids) => {
                ids.iter()
                    .filter_map(|id| self.connections.get(id).map(|it| it.clone()))
                    .for_each(|it| tell(&it));
            }
        }
        if let (Some(place), RoomChange::Leave(users)) = (place, &delivery.rooms) {
            for connection in self.note_room_change(users) {
                self.leave(&connection, place.chat_id);
                if connection.scope == Some(place.chat_id) {
                    connection.dismiss(delivery.event);
                }
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

    /// Puts a connection into a room. `given` is what a room that is new here starts from; true for such a
    /// room.
    fn join(&self, connection: &Arc<Connection>, chat: ChatId, given: Option<i64>) -> bool {
        if connection.scope.is_some_and(|scope| scope != chat) {
            return false;
        }
        let mut rooms = connection.rooms.lock();
        let Some(rooms) = rooms.as_mut() else { return false };
        if !rooms.insert(chat) {
            return false;
        }
        let mut room = self.rooms.entry(chat).or_default();
        let fresh = room.connections.is_empty();
        if fresh {
            room.given = given;
        }
        room.connections.insert(connection.id, connection.clone());
        fresh
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
    pub fn ready(core: &Core, connection: &Connection) -> Ready {
        Ready {
            user_id: connection.actor.user_id,
            session_id: connection.actor.session_id,
            epoch: core.epoch.clone(),
            server_time: Timestamp(core.clock.now()),
        }
    }

    /// Makes a connection known and joins its rooms. From here on it misses nothing.
    ///
    /// The user is known before memberships are read: a chat gained or lost meanwhile is either in what is
    /// read, or counted, and then they are read again before any room is joined.
    pub async fn welcome(&self, core: &Arc<Core>, connection: &Arc<Connection>) -> Result<()> {
        let user = connection.actor.user_id;
        let watchers = {
            // Under this lock a connection is either known or gone, never both.
            let rooms = connection.rooms.lock();
            if rooms.is_none() {
                return Ok(());
            }
            self.connections.insert(connection.id, connection.clone());
            self.users.entry(user).or_default().connections.insert(connection.id, connection.clone());
            core.presence.arrived(user, connection.id)
        };
        let fresh = loop {
            let before = self.users.get(&user).map_or(0, |devices| devices.room_changes);
            let chats: HashSet<ChatId> = member::Entity::of_user(user.0)
                .select_only()
                .column(member::Column::ChatId)
                .into_tuple::<i64>()
                .all(core.db.read())
                .await?
                .into_iter()
                .map(ChatId)
                .collect();
            // While this is held nobody gains or loses a room.
            let Some(devices) =
                self.users.get_mut(&user).filter(|it| it.connections.contains_key(&connection.id))
            else {
                return Ok(());
            };
            if devices.room_changes == before {
                break chats
                    .into_iter()
                    .filter(|chat| self.join(connection, *chat, None))
                    .collect::<Vec<_>>();
            }
        };
        // What was committed before this is in what the client fetches after `ready`; all else is given.
        for (chat, rev) in sync::heads(core, &fresh).await? {
            if let Some(mut room) = self.rooms.get_mut(&chat) {
                room.given = room.given.max(Some(rev));
            }
        }
        presence::tell_arrival(core, user, watchers).await;
        // It may have ended while nobody could tell this connection.
        sessions::require_live(core, connection.actor).await
    }

    /// Forgets connections whose client was never told that it is connected.
    pub fn forget_stranded(&self, core: &Core) {
        for connection in self.everybody().iter().filter(|it| it.is_stranded()) {
            self.farewell(core, connection);
        }
    }

    /// Forgets a connection that is gone.
    pub fn farewell(&self, core: &Core, connection: &Arc<Connection>) {
        let user = connection.actor.user_id;
        let Some(rooms) = connection.rooms.lock().take() else { return };
        connection.close_outbox();
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
        core.presence.left(user, connection.id, core.clock.now());
    }

    fn everybody(&self) -> Vec<Arc<Connection>> {
        self.connections.iter().map(|it| it.clone()).collect()
    }
}
