//! Carries committed events to the tasks that deliver them. Today this happens within one process; the data is plain,
//! so that a bus between nodes can replace it.
//!
//! Events of one chat are delivered in the order in which they are published: a batch is put as a whole into the lane
//! of its chat or user, and one task serves each lane. Profile and presence events need no order and bypass the lanes
//! (see [`Latest`]).

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::ids::{ChatId, ConnId, SessionId, UserId};
use crate::platform::latest::Latest;
use crate::protocol::catalogue::EventName;

/// How many batches may wait in a lane before publishers have to wait.
const LANE_CAPACITY: usize = 8_192;

/// The recipients of an event.
#[derive(Clone, Debug)]
pub enum Audience {
    /// Every connection in the chat's room.
    Chat(ChatId),
    /// Every device of a user.
    User(UserId),
    /// Every connection in any of these rooms, once.
    Chats(Vec<ChatId>),
    /// Every connection of one session of one user.
    Session(UserId, SessionId),
    /// These connections of this node.
    Connections(Vec<ConnId>),
}

/// The position of a change in a chat's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatPosition {
    /// The chat.
    pub chat_id: ChatId,
    /// The counter's value of the change.
    pub rev: i64,
    /// The counter's value before the change.
    pub prev: i64,
}

/// How an event changes the members of a chat's room.
#[derive(Clone, Debug, Default)]
pub enum RoomChange {
    /// The room does not change.
    #[default]
    None,
    /// These users' connections join before the event.
    Join(Vec<UserId>),
    /// These users' connections leave after the event.
    Leave(Vec<UserId>),
}

/// One event for its audience.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The recipients.
    pub audience: Audience,
    /// The event's name.
    pub event: EventName,
    /// Its payload, encoded once.
    pub payload: Box<RawValue>,
    /// The position in its chat's order; `None` if the event takes no counter value.
    pub position: Option<ChatPosition>,
    /// A connection that does not get the event because it gets the acknowledgement instead.
    pub except: Option<ConnId>,
    /// Users who do not get the event because their devices are informed in another way.
    pub except_users: HashSet<UserId>,
    /// If set, only this user of the audience gets the event.
    pub only_user: Option<UserId>,
    /// Whether the event may be dropped for a connection that is behind.
    pub volatile: bool,
    /// Users who join or leave the chat's room at this position.
    pub rooms: RoomChange,
    /// Whether the connections are closed after the event.
    pub closes: bool,
    /// The user whose profile or presence the event is about. A newer event replaces one that is not yet delivered.
    pub subject: Option<UserId>,
}

impl Delivery {
    /// Creates an event and encodes its payload. Only for the constructors in `domain::events`.
    pub(crate) fn new(audience: Audience, event: EventName, payload: &impl Serialize) -> Result<Self> {
        Ok(Self {
            audience,
            event,
            payload: encode(payload)?,
            position: None,
            except: None,
            except_users: HashSet::new(),
            only_user: None,
            volatile: false,
            rooms: RoomChange::None,
            closes: false,
            subject: None,
        })
    }

    /// Creates the event of a change at its position in the chat's order. Only for the constructors in
    /// `domain::events`.
    pub(crate) fn of_change(
        position: ChatPosition,
        event: EventName,
        payload: &impl Serialize,
    ) -> Result<Self> {
        let mut delivery = Self::new(Audience::Chat(position.chat_id), event, payload)?;
        delivery.position = Some(position);
        Ok(delivery)
    }

    /// Makes users join the chat's room before the event.
    #[must_use]
    pub fn joining(mut self, users: Vec<UserId>) -> Self {
        self.rooms = RoomChange::Join(users);
        self
    }

    /// Makes users leave the chat's room after the event.
    #[must_use]
    pub fn leaving(mut self, users: Vec<UserId>) -> Self {
        self.rooms = RoomChange::Leave(users);
        self
    }

    /// Excludes the connection that gets the acknowledgement instead.
    #[must_use]
    pub fn except(mut self, connection: Option<ConnId>) -> Self {
        self.except = connection;
        self
    }

    /// Excludes users who are informed in another way.
    #[must_use]
    pub fn except_users(mut self, users: impl IntoIterator<Item = UserId>) -> Self {
        self.except_users = users.into_iter().collect();
        self
    }

    /// Allows dropping the event for a connection that is behind.
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Marks the event as being about this user's profile or presence. A newer event replaces one that is not yet
    /// delivered.
    #[must_use]
    pub fn about(mut self, user: UserId) -> Self {
        self.subject = Some(user);
        self
    }
}

/// Encodes a payload.
pub(crate) fn encode(payload: &impl Serialize) -> Result<Box<RawValue>> {
    to_raw_value(payload).map_err(Error::internal)
}

/// Sends the caller its reply. Called at the position of the events in the order, before they are delivered.
pub type Answer = Box<dyn FnOnce() + Send>;

/// The events of one commit, and the reply to the caller.
#[derive(Default)]
pub struct Batch {
    /// The events, in order.
    pub deliveries: Vec<Delivery>,
    /// The acknowledgement, if the caller waits for one.
    pub answer: Option<Answer>,
    /// The chat that the batch is about, if no event tells.
    pub chat: Option<ChatId>,
    /// A chat whose clients on this node may have missed events up to this counter value.
    pub catch_up: Option<(ChatId, i64)>,
    /// A user whose connections on this node may be in the chat's room without being a member, or the reverse.
    pub membership: Option<(UserId, ChatId)>,
}

impl Batch {
    /// Returns the chat in whose order the batch belongs, if it is about a chat.
    pub fn chat(&self) -> Option<ChatId> {
        let named =
            self.chat.or(self.catch_up.map(|(chat, _)| chat)).or(self.membership.map(|(_, chat)| chat));
        let positioned =
            || self.deliveries.iter().find_map(|it| it.position).map(|position| position.chat_id);
        let told = || match self.deliveries.first()?.audience {
            Audience::Chat(chat) => Some(chat),
            _ => None,
        };
        named.or_else(positioned).or_else(told)
    }

    /// Returns the id that selects the lane: of the chat whose order counts, otherwise of the first recipient.
    fn about(&self) -> Option<i64> {
        if let Some(ChatId(id)) = self.chat() {
            return Some(id);
        }
        self.deliveries.first().map(|it| match &it.audience {
            Audience::Chat(ChatId(id)) | Audience::User(UserId(id)) | Audience::Session(UserId(id), _) => *id,
            Audience::Chats(chats) => chats.first().map_or(0, |chat| chat.0),
            Audience::Connections(_) => 0,
        })
    }
}

/// The sending half of the bus.
#[derive(Clone)]
pub struct Bus {
    lanes: Vec<mpsc::Sender<Batch>>,
    latest: Arc<Latest>,
}

impl Bus {
    /// Creates a bus with `lanes` lanes, and returns the receiver of each lane.
    pub fn new(lanes: usize) -> (Self, Vec<mpsc::Receiver<Batch>>) {
        let (senders, receivers) = (0..lanes.max(1)).map(|_| mpsc::channel(LANE_CAPACITY)).unzip();
        (Self { lanes: senders, latest: Arc::default() }, receivers)
    }

    /// Returns the pending profile and presence events.
    pub fn latest(&self) -> &Arc<Latest> {
        &self.latest
    }

    /// Publishes a batch. Waits while its lane is full.
    pub async fn publish(&self, mut batch: Batch) {
        let of_people = batch.deliveries.extract_if(.., |it| it.subject.is_some()).collect::<Vec<_>>();
        for some in of_people.chunk_by(|one, next| (one.subject, one.event) == (next.subject, next.event)) {
            if let Some((subject, first)) = some.first().and_then(|first| Some((first.subject?, first))) {
                self.latest.put(subject, first.event, some.to_vec());
            }
        }
        let Some(about) = batch.about() else {
            if let Some(answer) = batch.answer {
                answer();
            }
            return;
        };
        let lane = about.unsigned_abs() as usize % self.lanes.len();
        if let Some(lane) = self.lanes.get(lane)
            && let Err(mpsc::error::SendError(batch)) = lane.send(batch).await
        {
            // The receiver is gone because the process is shutting down. The caller still gets the reply for the
            // committed change.
            if let Some(answer) = batch.answer {
                answer();
            }
        }
    }
}
