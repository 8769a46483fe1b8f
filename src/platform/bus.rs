//! Carries committed events to whoever delivers them. Today within one process; what crosses it is plain
//! data, so that a bus between nodes can take its place.
//!
//! Events of one chat stay in the order they are published in: a batch goes, whole, into the lane of what
//! it is about, and a lane is emptied by one task. What is told of people has no place in any order and goes beside
//! the lanes (see [`Latest`]).

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::ids::{ChatId, ConnId, SessionId, UserId};
use crate::platform::latest::Latest;
use crate::protocol::catalogue::EventName;

/// How many batches may wait in one lane before committing itself has to wait.
const LANE_CAPACITY: usize = 8_192;

/// Who is told.
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

/// Where a change stands in a chat's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatPosition {
    /// The chat.
    pub chat_id: ChatId,
    /// The counter's value that the change took.
    pub rev: i64,
    /// The counter's value before it.
    pub prev: i64,
}

/// What happens to a chat's room at the place of an event.
#[derive(Clone, Debug, Default)]
pub enum RoomChange {
    /// Nothing.
    #[default]
    None,
    /// These users' connections join before the event.
    Join(Vec<UserId>),
    /// These users' connections leave after the event.
    Leave(Vec<UserId>),
}

/// One event on its way to its audience.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Who is told.
    pub audience: Audience,
    /// The event's name.
    pub event: EventName,
    /// Its payload, encoded once.
    pub payload: Box<RawValue>,
    /// Where it stands in its chat's order; none for what takes no value of the counter.
    pub position: Option<ChatPosition>,
    /// The one connection that is left out: its ack stands for the event.
    pub except: Option<ConnId>,
    /// Users who are left out: their devices are told otherwise.
    pub except_users: HashSet<UserId>,
    /// The one user who is told, of all in the audience.
    pub only_user: Option<UserId>,
    /// May be dropped where a connection is behind.
    pub volatile: bool,
    /// Joining and leaving at this place in the order.
    pub rooms: RoomChange,
    /// The connections end after it.
    pub closes: bool,
    /// Whose profile or presence it tells, if it is about that: the newest replaces what is not told yet.
    pub subject: Option<UserId>,
}

impl Delivery {
    /// An event with its payload encoded. For the constructors in `domain::events` alone.
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

    /// The event of a change at its position in its chat's order. For the constructors in `domain::events` alone.
    pub(crate) fn of_change(
        position: ChatPosition,
        event: EventName,
        payload: &impl Serialize,
    ) -> Result<Self> {
        let mut delivery = Self::new(Audience::Chat(position.chat_id), event, payload)?;
        delivery.position = Some(position);
        Ok(delivery)
    }

    /// Has users join the chat's room before the event.
    #[must_use]
    pub fn joining(mut self, users: Vec<UserId>) -> Self {
        self.rooms = RoomChange::Join(users);
        self
    }

    /// Has users leave the chat's room after the event.
    #[must_use]
    pub fn leaving(mut self, users: Vec<UserId>) -> Self {
        self.rooms = RoomChange::Leave(users);
        self
    }

    /// Leaves out the connection whose acknowledgement stands for the event.
    #[must_use]
    pub fn except(mut self, connection: Option<ConnId>) -> Self {
        self.except = connection;
        self
    }

    /// Leaves out users who hear of it in another way.
    #[must_use]
    pub fn except_users(mut self, users: impl IntoIterator<Item = UserId>) -> Self {
        self.except_users = users.into_iter().collect();
        self
    }

    /// May be dropped for a connection that is behind.
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Tells of the profile or presence of this user: the newest replaces what has not been told yet.
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

/// Gives the caller their answer; runs at the events' place in the order, before them.
pub type Answer = Box<dyn FnOnce() + Send>;

/// What one commit announces, and the answer to the one who caused it.
#[derive(Default)]
pub struct Batch {
    /// In order.
    pub deliveries: Vec<Delivery>,
    /// The ack, if somebody waits for one.
    pub answer: Option<Answer>,
    /// The chat that it is about, where no event tells.
    pub chat: Option<ChatId>,
    /// A chat whose clients here may not have been told up to this value.
    pub catch_up: Option<(ChatId, i64)>,
    /// A user whose connections here may be in a chat's room without a place in the chat, or the other way round.
    pub membership: Option<(UserId, ChatId)>,
}

impl Batch {
    /// The chat in whose order it belongs, if it is about one.
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

    /// What decides the lane: the chat whose order counts, else whoever is told first.
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

/// The publishing end.
#[derive(Clone)]
pub struct Bus {
    lanes: Vec<mpsc::Sender<Batch>>,
    latest: Arc<Latest>,
}

impl Bus {
    /// A bus of `lanes` lanes, and the end of each lane that delivers.
    pub fn new(lanes: usize) -> (Self, Vec<mpsc::Receiver<Batch>>) {
        let (senders, receivers) = (0..lanes.max(1)).map(|_| mpsc::channel(LANE_CAPACITY)).unzip();
        (Self { lanes: senders, latest: Arc::default() }, receivers)
    }

    /// What is told of people.
    pub fn latest(&self) -> &Arc<Latest> {
        &self.latest
    }

    /// Hands a batch over. Waits while its lane is full.
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
            // Nobody delivers any more: the process is going. What is committed is still answered.
            if let Some(answer) = batch.answer {
                answer();
            }
        }
    }
}
