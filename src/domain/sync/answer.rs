//! `sync`: returns what changed in a user's chats, page by page.
//!
//! A chat's counter is read before its messages, and messages are read without an upper bound: a message that changes
//! meanwhile moves up and is returned in its new form, never skipped. If a change arrives both live and in a page, both
//! carry the same `rev`.

use std::collections::{BTreeMap, BTreeSet};

use entity::{chat, member, message, user};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::Serialize;

use crate::domain::chats::{Viewer, load, own};
use crate::domain::dispatch::CommandHandler;
use crate::domain::links::Links;
use crate::domain::message_view::{ShownRow, show_rows};
use crate::domain::messages::budget::{self, By};
use crate::domain::{AppContext, Caller, PAGE_BYTES, contacts};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::Outcome;
use crate::protocol::chats::Chat;
use crate::protocol::messages::Message;
use crate::protocol::sync::{LeftChat, Mine, Sync, SyncReply, SyncedChat};

/// Messages that are returned with a whole chat.
const WHOLE_MESSAGES: usize = 30;

/// Default number of messages per page.
const DEFAULT_LIMIT: i64 = 200;

/// Chats that are read at the same time.
const CHATS_AT_ONCE: usize = 10;

/// What a client needs to catch up with one chat.
enum Need {
    /// The chat and its newest messages; `true` if the client must drop its stored data.
    Whole(bool),
    /// The changes after this value.
    Changes(i64),
}

impl Need {
    fn since(&self) -> Option<i64> {
        match self {
            Self::Whole(_) => None,
            Self::Changes(since) => Some(*since),
        }
    }
}

impl CommandHandler for Sync {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<SyncReply>> {
        let conn = context.db.read();
        let user_id = caller.actor.user_id;
        let viewer = Viewer::now(context, user_id);
        let user_rev: Option<i64> = user::Entity::find_by_id(user_id.0)
            .select_only()
            .column(user::Column::UserRev)
            .into_tuple()
            .one(conn)
            .await?;
        let user_rev = user_rev.ok_or_else(|| Error::not_found("user"))?;
        let reset = self.epoch.as_ref().is_some_and(|epoch| *epoch != context.epoch);
        let heads = own_heads(conn, user_id, self.only.as_deref()).await?;
        // A client that knows the user's own counter misses nothing of what the counter covers.
        let knows_own = !reset && self.user_rev == Some(user_rev);
        let contacts = if self.only.is_some() || knows_own {
            Some(Vec::new())
        } else {
            // A client without data, or with data of another history, receives all contacts.
            contacts::changed_since(conn, user_id, self.user_rev.filter(|_| !reset).unwrap_or(0)).await?
        };
        let contacts_truncated = contacts.is_none();
        let mut reply = SyncReply {
            epoch: context.epoch.clone(),
            user_rev,
            revs: BTreeMap::new(),
            chats: Vec::new(),
            messages: Vec::new(),
            mine: if reset || knows_own { Vec::new() } else { self.mine(conn, viewer).await? },
            contacts: contacts.unwrap_or_default(),
            contacts_truncated,
            left: self.left(conn, user_id, &heads).await?,
            has_more: false,
            reset,
        };
        let mut page = Page::new(&reply, self.limit.unwrap_or(DEFAULT_LIMIT) as u64)?;
        let mut wanted =
            heads.iter().filter_map(|(id, head)| Some((*id, head, self.need(*id, head.rev, reset)?)));
        'page: loop {
            // Chats are read in portions, because most pages need only a few.
            let some: Vec<_> = wanted.by_ref().take(CHATS_AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            let shown: Vec<ChatId> = some
                .iter()
                .filter(|(_, head, need)| need.since().is_none_or(|since| head.meta_rev > since))
                .map(|(id, _, _)| *id)
                .collect();
            let mut chats: BTreeMap<ChatId, Chat> = load(conn, &shown, Some(viewer), context.links())
                .await?
                .into_iter()
                .map(|chat| (chat.id, chat))
                .collect();
            for (chat_id, head, need) in some {
                let request =
                    ChatRead { user_id, chat_id, rev: head.rev, need, chat: chats.remove(&chat_id) };
                if !page.add(conn, &mut reply, request, context.links()).await? {
                    reply.has_more = true;
                    break 'page;
                }
            }
        }
        drop(wanted);
        // A user who was removed from a chat during the reads must not see it.
        let told: Vec<ChatId> = reply.revs.keys().copied().collect();
        if told.is_empty() {
            return Ok(Outcome::unchanged(reply));
        }
        let still = own_heads(conn, user_id, Some(&told)).await?;
        reply.revs.retain(|chat, _| still.contains_key(chat));
        reply.chats.retain(|it| it.chat.my.is_some() && still.contains_key(&it.chat.id));
        reply.messages.retain(|message| still.contains_key(&message.chat_id));
        Ok(Outcome::unchanged(reply))
    }
}

impl Sync {
    /// Returns what the client needs of a chat with this head, or `None` if it is up to date.
    fn need(&self, chat_id: ChatId, rev: i64, reset: bool) -> Option<Need> {
        let Some(since) = self.since.get(&chat_id).copied().filter(|_| !reset) else {
            return Some(Need::Whole(reset));
        };
        if since == rev {
            return None;
        }
        let too_far = self.max_behind.is_some_and(|most| rev - since > most);
        // A value above the head comes from a history that this database does not have.
        Some(if since > rev || too_far { Need::Whole(true) } else { Need::Changes(since) })
    }

    /// Returns the user's own state that changed after the given counter.
    async fn mine(&self, conn: &impl ConnectionTrait, viewer: Viewer) -> Result<Vec<Mine>> {
        let Some(since) = self.user_rev else { return Ok(Vec::new()) };
        let mut changed = member::Entity::of_user(viewer.user_id.0).filter(member::Column::UserRev.gt(since));
        if let Some(only) = &self.only {
            changed = changed.filter(member::Column::ChatId.is_in(only.iter().map(|id| id.0)));
        }
        let ids: Vec<i64> =
            changed.select_only().column(member::Column::ChatId).into_tuple().all(conn).await?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut mine: Vec<Mine> = own(conn, &ids, viewer)
            .await?
            .into_iter()
            .map(|(chat_id, my)| Mine { chat_id: ChatId(chat_id), my })
            .collect();
        mine.sort_by_key(|it| it.chat_id);
        Ok(mine)
    }

    /// Returns all requested chats that the user is not a member of.
    async fn left(
        &self,
        conn: &impl ConnectionTrait,
        user_id: UserId,
        heads: &BTreeMap<ChatId, Head>,
    ) -> Result<Vec<LeftChat>> {
        let named: BTreeSet<ChatId> = match &self.only {
            Some(only) => only.iter().copied().collect(),
            None => self.since.keys().copied().collect(),
        };
        let missing: Vec<ChatId> = named.into_iter().filter(|id| !heads.contains_key(id)).collect();
        let mut left = Vec::with_capacity(missing.len());
        for ids in missing.chunks(1_000) {
            let rows = member::Entity::find()
                .filter(member::Column::UserId.eq(user_id.0))
                .filter(member::Column::ChatId.is_in(ids.iter().map(|id| id.0)))
                .all(conn)
                .await?;
            let known: BTreeMap<i64, member::Model> =
                rows.into_iter().map(|row| (row.chat_id, row)).collect();
            left.extend(ids.iter().map(|id| {
                let row = known.get(&id.0);
                LeftChat {
                    chat_id: *id,
                    rev: row.map_or(0, |row| row.rev),
                    reason: row
                        .and_then(|row| row.left_reason)
                        .map_or_else(|| "unknown".into(), |it| it.to_string()),
                }
            }));
        }
        Ok(left)
    }
}

/// A chat's counters, read before its messages.
struct Head {
    rev: i64,
    meta_rev: i64,
}

async fn own_heads(
    conn: &impl ConnectionTrait,
    user_id: UserId,
    only: Option<&[ChatId]>,
) -> Result<BTreeMap<ChatId, Head>> {
    let mut mine = sea_orm::sea_query::Query::select();
    mine.column(member::Column::ChatId)
        .from(member::Entity)
        .and_where(member::Column::UserId.eq(user_id.0))
        .and_where(member::Column::LeftAt.is_null());
    let mut select = chat::Entity::present()
        .select_only()
        .columns([chat::Column::Id, chat::Column::Rev, chat::Column::MetaRev])
        .filter(chat::Column::Id.in_subquery(mine));
    if let Some(only) = only {
        select = select.filter(chat::Column::Id.is_in(only.iter().map(|id| id.0)));
    }
    let rows: Vec<(i64, i64, i64)> = select.into_tuple().all(conn).await?;
    Ok(rows.into_iter().map(|(id, rev, meta_rev)| (ChatId(id), Head { rev, meta_rev })).collect())
}

/// Returns the newest messages of a chat in `rev` order.
async fn newest(conn: &impl ConnectionTrait, viewer: UserId, chat_id: ChatId) -> Result<Vec<ShownRow>> {
    let all = message::Entity::of_chat(chat_id.0);
    let (mut rows, _) =
        budget::read(conn, all, Some(viewer), By::NEWEST, WHOLE_MESSAGES, PAGE_BYTES, budget::size).await?;
    rows.sort_by_key(|row| row.message.rev);
    Ok(rows)
}

/// A chat to add to a page.
struct ChatRead {
    user_id: UserId,
    chat_id: ChatId,
    /// The chat's counter, read before its messages.
    rev: i64,
    need: Need,
    /// The chat itself, if the client needs it.
    chat: Option<Chat>,
}

/// The remaining space of a page.
struct Page {
    messages: u64,
    bytes: usize,
    is_empty: bool,
}

impl Page {
    /// Creates a page that already holds the content of `reply`.
    fn new(reply: &SyncReply, messages: u64) -> Result<Self> {
        Ok(Self { messages, bytes: PAGE_BYTES.saturating_sub(size(reply)?), is_empty: true })
    }

    /// Adds what the client needs of one chat to the reply, or as much of it as fits. Returns `false` if not all of it
    /// fits. A page contains at least something.
    async fn add(
        &mut self,
        conn: &impl ConnectionTrait,
        reply: &mut SyncReply,
        request: ChatRead,
        links: Links<'_>,
    ) -> Result<bool> {
        if !self.is_empty && (self.messages == 0 || self.bytes == 0) {
            return Ok(false);
        }
        let ChatRead { user_id, chat_id, rev, need, chat } = request;
        let chat_bytes = chat.as_ref().map(size).transpose()?.unwrap_or(0);
        let (rows, all) = match need {
            Need::Whole(_) => (newest(conn, user_id, chat_id).await?, true),
            Need::Changes(since) => {
                let (viewer, limit) = (Some(user_id), self.messages as usize);
                let read = budget::read_changes(conn, chat_id, since, viewer, limit, self.bytes);
                let (rows, more) = read.await?;
                (rows, !more)
            }
        };
        let messages: Vec<Message> = show_rows(conn, rows, links).await?;
        let sizes: Vec<usize> = messages.iter().map(size).collect::<Result<_>>()?;
        let total = chat_bytes + sizes.iter().sum::<usize>();
        let room = self.bytes.saturating_sub(chat_bytes);
        let (messages, complete) = match need {
            _ if total <= self.bytes => (messages, all),
            // A whole chat waits for a page of its own, which then contains the newest messages that fit.
            Need::Whole(_) if !self.is_empty => return Ok(false),
            Need::Whole(_) => (newest_that_fit(messages, &sizes, room), true),
            Need::Changes(_) if !self.is_empty && chat_bytes > self.bytes => return Ok(false),
            Need::Changes(_) => {
                let count = fitting(sizes.iter().copied(), room).max(usize::from(self.is_empty));
                (messages.into_iter().take(count).collect(), false)
            }
        };
        let last = messages.last().map(|message| message.rev);
        let told = if complete { rev } else { last.or(need.since()).unwrap_or(rev) };
        self.bytes = self.bytes.saturating_sub(total);
        self.messages = self.messages.saturating_sub(messages.len() as u64);
        self.is_empty = false;
        reply.revs.insert(chat_id, told);
        reply.messages.extend(messages);
        let truncated = matches!(need, Need::Whole(true));
        reply.chats.extend(chat.map(|chat| SyncedChat { chat, truncated }));
        Ok(complete)
    }
}

/// Returns the approximate size in bytes: the parts of a page are measured separately.
fn size(part: &impl Serialize) -> Result<usize> {
    serde_json::to_vec(part).map(|bytes| bytes.len() + 8).map_err(Error::internal)
}

/// Returns how many of these sizes fit, from the front.
fn fitting(sizes: impl Iterator<Item = usize>, mut room: usize) -> usize {
    sizes
        .take_while(|size| {
            let fits = *size <= room;
            room = room.saturating_sub(*size);
            fits
        })
        .count()
}

/// Returns the newest messages that fit, at least one, in `rev` order; older ones are available through `history`.
fn newest_that_fit(messages: Vec<Message>, sizes: &[usize], room: usize) -> Vec<Message> {
    let mut measured: Vec<(Message, usize)> = messages.into_iter().zip(sizes.iter().copied()).collect();
    measured.sort_by_key(|(message, _)| std::cmp::Reverse(message.seq));
    let count = fitting(measured.iter().map(|(_, size)| *size), room).max(1);
    let mut kept: Vec<Message> = measured.into_iter().take(count).map(|(message, _)| message).collect();
    kept.sort_by_key(|message| message.rev);
    kept
}
