//! Decides send requests by the sender's membership, the `client_id` and the replied-to message; used for single
//! messages and for batches.

use std::collections::{HashMap, HashSet};

use entity::{attachment, chat, member, message, user};
use sea_orm::sea_query::{ExprTrait, LockBehavior, LockType};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::draft::Draft;
use crate::domain::mentions::{Mentions, Naming, Resolver};
use crate::domain::users::author;
use crate::domain::{attachments, contacts, sessions};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, UserId};
use crate::protocol::members::ChatRole;
use crate::protocol::users::Author;

/// A request to send a message.
pub struct SendRequest<'a> {
    /// The sender.
    pub user_id: UserId,
    /// The chat.
    pub chat_id: ChatId,
    /// The message.
    pub draft: &'a Draft,
}

impl SendRequest<'_> {
    fn naming(&self) -> Naming<'_> {
        Naming { chat_id: self.chat_id, author: self.user_id, names: &self.draft.names }
    }
}

/// The time in which the same text is refused, for requests without a `client_id`.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Length, milliseconds; 0 refuses nothing.
    pub length: i64,
    /// Current time, milliseconds.
    pub now: i64,
}

/// How to treat chats that another transaction has locked. `SQLite` has a single writer and no such rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locking {
    /// The caller holds the chat's lock.
    Held,
    /// Skips them.
    Skip,
    /// Waits for them.
    Wait,
}

/// How many of a chat's latest changes are searched for the same text.
const LOOKED_THROUGH: i64 = 500;

/// Sender, chat, type and content, which are compared within the [`Window`].
type Text = (i64, i64, i16, String);

/// The data that requests are decided by, read inside the transaction that stores them.
#[derive(Default)]
pub struct SendContext {
    /// Existing chats, locked.
    pub chats: HashMap<i64, chat::Model>,
    /// Senders who are members of the chat.
    senders: HashMap<(i64, i64), Author>,
    /// When members without a role last sent a message in a chat with slow mode.
    slowed: HashMap<(i64, i64), Option<i64>>,
    /// The current time.
    now: i64,
    /// Existing chats that were skipped because another transaction has locked them.
    busy_chats: HashSet<i64>,
    /// Senders who were banned since they sent, and the error message for them.
    banned: HashMap<i64, String>,
    /// Earlier messages with these `client_id`s.
    earlier: HashMap<(i64, String), message::Model>,
    /// Chats of the messages that are replied to.
    answered: HashMap<i64, i64>,
    /// Attachments, locked so that they are not removed meanwhile.
    attachments: HashMap<i64, attachment::Model>,
    /// What names in the messages are resolved by.
    resolver: Resolver,
    /// Recent messages without a `client_id`.
    lately: HashSet<Text>,
    /// Whether to refuse repetitions of `lately`.
    window: bool,
}

/// The decision on a request.
pub enum Decision {
    /// Store it as a new message by this author, which mentions these members and has these attachments.
    Store(Author, Mentions, Vec<attachment::Model>),
    /// It was stored before.
    Earlier(message::Model),
}

impl SendContext {
    /// Reads the data for many requests at once. Locks their chats in the order of their ids.
    pub async fn read(
        conn: &impl ConnectionTrait,
        requests: &[SendRequest<'_>],
        window: Window,
        locking: Locking,
    ) -> Result<Self> {
        let mut send_context = Self { now: window.now, ..Self::default() };
        send_context.lock_chats(conn, requests, locking).await?;
        send_context.read_senders(conn, requests, window.now).await?;
        send_context.read_earlier(conn, requests).await?;
        send_context.read_answered(conn, requests).await?;
        send_context.read_attachments(conn, requests).await?;
        let texts: Vec<Naming<'_>> = requests.iter().map(SendRequest::naming).collect();
        send_context.resolver = Resolver::read(conn, &texts).await?;
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
        let present: Vec<(i64, i64, ChatRole, Option<i64>)> = member::Entity::present()
            .select_only()
            .columns([
                member::Column::ChatId,
                member::Column::UserId,
                member::Column::Role,
                member::Column::LastSentAt,
            ])
            .filter(pairs)
            .into_tuple()
            .all(conn)
            .await?;
        let ids = distinct(present.iter().map(|(_, user, ..)| *user));
        let users = user::Entity::present().filter(user::Column::Id.is_in(ids)).all(conn).await?;
        let banned = users.iter().filter(|row| row.is_banned(now));
        self.banned = banned.map(|row| (row.id, sessions::describe_ban(row))).collect();
        let authors: HashMap<i64, Author> = users.iter().map(|row| (row.id, author(row))).collect();
        for (chat, user, role, last_sent_at) in present {
            let is_slow = self.chats.get(&chat).is_some_and(|chat| chat.slow_mode_secs > 0);
            if is_slow && role == ChatRole::Member {
                self.slowed.insert((chat, user), last_sent_at);
            }
            if let Some(author) = authors.get(&user) {
                self.senders.insert((chat, user), author.clone());
            }
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

    async fn read_attachments(
        &mut self,
        conn: &impl ConnectionTrait,
        requests: &[SendRequest<'_>],
    ) -> Result<()> {
        let ids = distinct(requests.iter().flat_map(|request| request.draft.attachments.iter().copied()));
        if ids.is_empty() {
            return Ok(());
        }
        let rows = attachment::Entity::find()
            .filter(attachment::Column::Id.is_in(ids))
            .order_by_asc(attachment::Column::Id)
            .lock(LockType::Update)
            .all(conn)
            .await?;
        // What is due and in no message is being removed.
        let due = rows.iter().filter(|row| row.due_at.is_some_and(|at| at <= self.now)).map(|row| row.id);
        let due: Vec<i64> = due.collect();
        let kept = attachments::linked(conn, &due).await?;
        let rows = rows.into_iter().filter(|row| !due.contains(&row.id) || kept.contains(&row.id));
        self.attachments.extend(rows.map(|row| (row.id, row)));
        Ok(())
    }

    /// Returns the attachments of a request, in order. They have to be the sender's own, and uploaded to the chat.
    pub fn files(&self, request: &SendRequest<'_>) -> Result<Vec<attachment::Model>> {
        let SendRequest { user_id, chat_id, draft } = request;
        let is_forwarded = draft.forwarded_from.is_some();
        let file = |id: &i64| {
            let found = self
                .attachments
                .get(id)
                .filter(|row| is_forwarded || (row.user_id == user_id.0 && row.chat_id == chat_id.0));
            found.cloned().ok_or_else(|| {
                let problem = format!("you have uploaded no file {id} to the chat, or it was removed");
                Error::field(Code::NotFound, "message.attachments", problem)
            })
        };
        draft.attachments.iter().map(file).collect()
    }

    /// Reads what the senders sent in the same chats since `since`. In a chat with more changes than are searched, a
    /// repetition may pass.
    async fn read_lately(
        &mut self,
        conn: &impl ConnectionTrait,
        requests: &[SendRequest<'_>],
        since: i64,
    ) -> Result<()> {
        let mut by_chat: HashMap<i64, (Vec<i64>, Vec<&str>)> = HashMap::new();
        for request in requests.iter().filter(|request| is_compared(request)) {
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
                    .and(message::Column::AttachmentCount.eq(0))
                    // Compared by the database, to avoid reading hundreds of long messages per chat.
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

    /// Records a request that is about to be stored, so that the next requests of the batch are checked against it.
    pub fn note(&mut self, request: &SendRequest<'_>) {
        if let Some(last) = self.slowed.get_mut(&(request.chat_id.0, request.user_id.0)) {
            *last = Some(self.now);
        }
        if self.window && is_compared(request) {
            self.lately.insert(text_of(request));
        }
    }

    /// Whether a request cannot be decided now because another transaction has locked its chat.
    pub fn is_busy(&self, request: &SendRequest<'_>) -> bool {
        self.busy_chats.contains(&request.chat_id.0)
    }

    /// Returns the chats and users whose messages slow mode delays, if they send one now.
    pub fn slowed_senders(&self) -> Vec<(i64, i64)> {
        self.slowed.iter().filter(|(_, last)| **last == Some(self.now)).map(|(key, _)| *key).collect()
    }

    fn check_slow_mode(&self, chat: &chat::Model, user_id: UserId) -> Result<()> {
        let Some(Some(last)) = self.slowed.get(&(chat.id, user_id.0)) else { return Ok(()) };
        let wait = last + i64::from(chat.slow_mode_secs) * 1_000 - self.now;
        if wait <= 0 {
            return Ok(());
        }
        let message = format!("slow mode: wait {} s before your next message", (wait + 999) / 1_000);
        Err(Error::rate_limited(message, wait as u64))
    }

    /// Decides on one request.
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
            // Without a time limit, and even if the sender has left the chat: the message is their own.
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
        self.check_slow_mode(chat, request.user_id)?;
        if self.window && is_compared(request) && self.lately.contains(&text_of(request)) {
            let problem = "equals your previous message; send a client_id to repeat it";
            return Err(Error::field(Code::DuplicateMessage, "message.content", problem));
        }
        let files = self.files(request)?;
        Ok(Decision::Store(author.clone(), self.resolver.resolve(&request.naming()), files))
    }
}

/// Checks whether a direct chat accepts a message of this user: neither user has blocked the other, and a chat that
/// waits for approval holds only its creator's first message.
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

/// Whether a message may be refused as a repetition: its text is all of it, and nothing else tells it from a retry.
fn is_compared(request: &SendRequest<'_>) -> bool {
    request.draft.client_id.is_none() && request.draft.attachments.is_empty()
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
