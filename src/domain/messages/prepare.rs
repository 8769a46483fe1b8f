//! What a send request is decided by, the same for one and for many: the sender's membership, the
//! `client_id`, the message it answers.

use std::collections::{HashMap, HashSet};

use entity::{chat, member, message, user};
use sea_orm::sea_query::{ExprTrait, LockBehavior, LockType};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::domain::{contacts, sessions, users};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, MessageId, UserId};
use crate::platform::tokens::hash;
use crate::protocol::message_type::MessageType;
use crate::protocol::users::Author;

/// A message to be, its types checked.
#[derive(Clone, Debug)]
pub struct Draft {
    /// As it is to be stored.
    pub content: String,
    /// Kind of content.
    pub message_type: MessageType,
    /// The sender's own mark.
    pub client_id: Option<String>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
}

impl Draft {
    /// What its `client_id` stands for: chat, type and content as one hash, so that the comparison outlives
    /// the content.
    pub fn fingerprint(&self, chat_id: i64) -> Option<String> {
        self.client_id
            .as_ref()
            .map(|_| hash(&format!("{chat_id}\n{}\n{}", self.message_type.id(), self.content)))
    }
}

/// One request: who sends what where.
pub struct SendRequest<'a> {
    /// Sender.
    pub user_id: UserId,
    /// Where.
    pub chat_id: ChatId,
    /// What.
    pub draft: &'a Draft,
}

/// Within which time the same text is refused, for requests without a `client_id`.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Its length, milliseconds; 0 refuses nothing.
    pub length: i64,
    /// Now, milliseconds.
    pub now: i64,
}

/// What is done about rows that another transaction holds. `SQLite` has one writer, and no such rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locking {
    /// The caller holds the chat; the sender is waited for.
    Held,
    /// Chats and senders that another transaction holds are left out.
    Skip,
    /// Chats are waited for; senders that another transaction holds are left out.
    Wait,
}

/// Changes of a chat that are looked through for the same text.
const LOOKED_THROUGH: i64 = 500;

/// Sender, chat, kind and content: what is compared within the [`Window`].
type Text = (i64, i64, i16, String);

/// Everything that requests are decided by, read inside the transaction that stores them.
#[derive(Default)]
pub struct SendContext {
    /// Present chats, locked.
    pub chats: HashMap<i64, chat::Model>,
    /// Present members among the senders.
    senders: HashMap<(i64, i64), Author>,
    /// Chats and people that are present, but were left out because another transaction holds them.
    busy_chats: HashSet<i64>,
    busy_people: HashSet<i64>,
    /// Senders who were banned since they sent, and what they are told.
    banned: HashMap<i64, String>,
    /// Earlier messages of these `client_id`s.
    earlier: HashMap<(i64, String), message::Model>,
    /// Chats of the messages that are answered.
    answered: HashMap<i64, i64>,
    /// What was sent lately without a `client_id`.
    lately: HashSet<Text>,
    /// Whether that is to be refused.
    window: bool,
}

/// What becomes of a request.
pub enum Decision {
    /// It is stored as a new message by this author.
    Store(Author),
    /// It was stored before.
    Earlier(message::Model),
}

impl SendContext {
    /// Reads it for many requests at once, locking their chats in the order of their ids.
    pub async fn read(
        conn: &impl ConnectionTrait,
        requests: &[SendRequest<'_>],
        window: Window,
        locking: Locking,
    ) -> Result<Self> {
        let mut send_context = Self::default();
        send_context.lock_chats(conn, requests, locking).await?;
        send_context.read_senders(conn, requests, window.now, locking).await?;
        send_context.read_earlier(conn, requests).await?;
        send_context.read_answered(conn, requests).await?;
        if window.length > 0 {
            send_context.window = true;
            send_context.read_lately(conn, requests, window.now - window.length).await?;
        }
        Ok(send_context)
    }

    async fn lock_chats(
        &mut self,
        conn: &impl ConnectionTrait,
        requests: &[SendRequest<'_>],
        locking: Locking,
    ) -> Result<()> {
        let ids = distinct(requests.iter().map(|request| request.chat_id.0));
        let chats = chat::Entity::present()
            .filter(chat::Column::Id.is_in(ids.iter().copied()))
            .order_by_asc(chat::Column::Id);
        let chats = match locking {
            Locking::Skip => chats.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked),
            Locking::Held | Locking::Wait => chats.lock_exclusive(),
        };
        self.chats = chats.all(conn).await?.into_iter().map(|row| (row.id, row)).collect();
        let missing: Vec<i64> = ids.into_iter().filter(|id| !self.chats.contains_key(id)).collect();
        if locking == Locking::Skip && !missing.is_empty() {
            let there = chat::Entity::present().filter(chat::Column::Id.is_in(missing));
            let there = there.select_only().column(chat::Column::Id).into_tuple::<i64>().all(conn).await?;
            self.busy_chats.extend(there);
        }
        Ok(())
    }

    async fn read_senders(
        &mut self,
        conn: &impl ConnectionTrait,
        requests: &[SendRequest<'_>],
        now: i64,
        locking: Locking,
    ) -> Result<()> {
        let mut by_chat: HashMap<i64, Vec<i64>> = HashMap::new();
        for request in requests {
            let senders = by_chat.entry(request.chat_id.0).or_default();
            if !senders.contains(&request.user_id.0) {
                senders.push(request.user_id.0);
            }
        }
        let pairs = by_chat.into_iter().fold(Condition::any(), |any, (chat, users)| {
            any.add(member::Column::ChatId.eq(chat).and(member::Column::UserId.is_in(users)))
        });
        let present: Vec<(i64, i64)> = member::Entity::present()
            .select_only()
            .columns([member::Column::ChatId, member::Column::UserId])
            .filter(pairs)
            .into_tuple()
            .all(conn)
            .await?;
        let ids = distinct(present.iter().map(|(_, user)| *user));
        let mut people = user::Entity::present().filter(user::Column::Id.is_in(ids.iter().copied()));
        if locking != Locking::Held {
            // The lock that a new message takes on the row it refers to. Taken here, it need not be waited for.
            people = people.lock_with_behavior(LockType::KeyShare, LockBehavior::SkipLocked);
        }
        let people = people.all(conn).await?;
        let banned = people.iter().filter(|row| row.is_banned(now));
        self.banned = banned.map(|row| (row.id, sessions::describe_ban(row))).collect();
        let authors: HashMap<i64, Author> = people.iter().map(|row| (row.id, users::author(row))).collect();
        for (chat, user) in present {
            if let Some(author) = authors.get(&user) {
                self.senders.insert((chat, user), author.clone());
            }
        }
        let missing: Vec<i64> = ids.into_iter().filter(|id| !authors.contains_key(id)).collect();
        if locking != Locking::Held && !missing.is_empty() {
            let there = user::Entity::present().filter(user::Column::Id.is_in(missing));
            let there = there.select_only().column(user::Column::Id).into_tuple::<i64>().all(conn).await?;
            self.busy_people.extend(there);
        }
        Ok(())
    }

    async fn read_earlier(
        &mut self,
        conn: &impl ConnectionTrait,
        requests: &[SendRequest<'_>],
    ) -> Result<()> {
        let mut by_user: HashMap<i64, Vec<&str>> = HashMap::new();
        for request in requests {
            if let Some(client_id) = &request.draft.client_id {
                by_user.entry(request.user_id.0).or_default().push(client_id);
            }
        }
        if by_user.is_empty() {
            return Ok(());
        }
        let pairs = by_user.into_iter().fold(Condition::any(), |any, (user, ids)| {
            any.add(message::Column::UserId.eq(user).and(message::Column::ClientId.is_in(ids)))
        });
        for row in message::Entity::find().filter(pairs).all(conn).await? {
            if let Some(client_id) = row.client_id.clone() {
                self.earlier.insert((row.user_id, client_id), row);
            }
        }
        Ok(())
    }

    async fn read_answered(
        &mut self,
        conn: &impl ConnectionTrait,
        requests: &[SendRequest<'_>],
    ) -> Result<()> {
        let ids = distinct(requests.iter().filter_map(|request| request.draft.reply_to.map(|id| id.0)));
        if ids.is_empty() {
            return Ok(());
        }
        let rows: Vec<(i64, i64)> = message::Entity::find()
            .select_only()
            .columns([message::Column::Id, message::Column::ChatId])
            .filter(message::Column::Id.is_in(ids))
            .into_tuple()
            .all(conn)
            .await?;
        self.answered.extend(rows);
        Ok(())
    }

    /// What the senders said in the same chats since `since`. A chat that changed so often that it is not
    /// looked through to its end lets a repetition pass.
    async fn read_lately(
        &mut self,
        conn: &impl ConnectionTrait,
        requests: &[SendRequest<'_>],
        since: i64,
    ) -> Result<()> {
        let mut by_chat: HashMap<i64, (Vec<i64>, Vec<&str>)> = HashMap::new();
        for request in requests.iter().filter(|request| request.draft.client_id.is_none()) {
            let (users, texts) = by_chat.entry(request.chat_id.0).or_default();
            users.push(request.user_id.0);
            texts.push(&request.draft.content);
        }
        let mut lately = Condition::any();
        for (chat_id, (users, texts)) in by_chat {
            if let Some(chat) = self.chats.get(&chat_id) {
                let recent = message::Column::ChatId
                    .eq(chat_id)
                    .and(message::Column::Seq.gt(chat.rev - LOOKED_THROUGH))
                    .and(message::Column::UserId.is_in(distinct(users.into_iter())))
                    // Compared there: hundreds of long messages per chat do not come here.
                    .and(message::Column::Content.is_in(distinct(texts.into_iter())));
                lately = lately.add(recent);
            }
        }
        if lately.is_empty() {
            return Ok(());
        }
        let rows = message::Entity::present()
            .filter(lately)
            .filter(message::Column::CreatedAt.gt(since))
            .filter(message::Column::ClientId.is_null())
            .all(conn)
            .await?;
        self.lately
            .extend(rows.into_iter().map(|row| (row.user_id, row.chat_id, row.message_type, row.content)));
        Ok(())
    }

    /// Notes a request that is about to be stored: the next of the same batch is decided by it, too.
    pub fn note(&mut self, request: &SendRequest<'_>) {
        if self.window && request.draft.client_id.is_none() {
            self.lately.insert(text_of(request));
        }
    }

    /// Whether a request cannot be decided now, because another transaction holds its chat or its sender.
    pub fn is_busy(&self, request: &SendRequest<'_>) -> bool {
        self.busy_chats.contains(&request.chat_id.0) || self.busy_people.contains(&request.user_id.0)
    }

    /// Decides one request.
    pub fn decide(&self, request: &SendRequest<'_>) -> Result<Decision> {
        let chat = self.chats.get(&request.chat_id.0);
        let author = self.senders.get(&(request.chat_id.0, request.user_id.0));
        let earlier = request
            .draft
            .client_id
            .as_ref()
            .and_then(|client_id| self.earlier.get(&(request.user_id.0, client_id.clone())));
        let is_same = |row: &&message::Model| row.fingerprint == request.draft.fingerprint(request.chat_id.0);
        if let Some(row) = earlier.filter(is_same) {
            // For ever, also for who has left since: it is their own.
            return Ok(Decision::Earlier(row.clone()));
        }
        if let Some(told) = self.banned.get(&request.user_id.0) {
            return Err(Error::new(Code::UserBanned, told.clone()));
        }
        let (Some(chat), Some(author)) = (chat, author) else {
            return Err(Error::field(Code::NotFound, "message.chat_id", "there is no such chat"));
        };
        if earlier.is_some() {
            return Err(Error::field(
                Code::ClientIdConflict,
                "message.client_id",
                "was already used with another chat, type or content",
            ));
        }
        if let Some(answered) = request.draft.reply_to
            && self.answered.get(&answered.0) != Some(&request.chat_id.0)
        {
            return Err(Error::field(
                Code::NotFound,
                "message.reply_to",
                "there is no such message in the chat",
            ));
        }
        judge_direct(chat, request.user_id)?;
        if self.window && request.draft.client_id.is_none() && self.lately.contains(&text_of(request)) {
            let problem = "equals your previous message; send a client_id to repeat it";
            return Err(Error::field(Code::DuplicateMessage, "message.content", problem));
        }
        Ok(Decision::Store(author.clone()))
    }
}

/// Whether a direct chat takes a message of this user: nobody has blocked the other, and one that waits for
/// approval holds its creator's first message only.
fn judge_direct(chat: &chat::Model, user_id: UserId) -> Result<()> {
    if chat.is_group {
        return Ok(());
    }
    if chat.blocked {
        return Err(contacts::blocked("message.chat_id"));
    }
    if chat.approved || (chat.owner_id == user_id.0 && chat.last_seq == 0) {
        return Ok(());
    }
    let problem = if chat.owner_id == user_id.0 {
        "waits for the recipient's approval"
    } else {
        "waits for your approval: approve or decline it first"
    };
    Err(Error::field(Code::ApprovalPending, "message.chat_id", problem))
}

fn text_of(request: &SendRequest<'_>) -> Text {
    let Draft { content, message_type, .. } = request.draft;
    (request.user_id.0, request.chat_id.0, message_type.id(), content.clone())
}

fn distinct<T: Ord>(ids: impl Iterator<Item = T>) -> Vec<T> {
    let mut ids: Vec<T> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
