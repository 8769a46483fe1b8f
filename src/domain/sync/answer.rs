//! `sync`: page by page, what changed in one's chats.
//!
//! A chat's counter is read before its messages, and messages are read without an upper bound: one that
//! changes meanwhile moves up and is given in its new form, never skipped. What is then given twice, live
//! and here, carries the same `rev`.

use std::collections::{BTreeMap, BTreeSet};

use entity::{chat, member, message, user};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::domain::chats::{load, own};
use crate::domain::dispatch::Behaviour;
use crate::domain::messages::show;
use crate::domain::{Caller, Core};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::Outcome;
use crate::protocol::commands::sync::{LeftChat, Mine, Sync, SyncReply, SyncedChat};

/// Messages that come with a chat that is given whole.
const WHOLE_MESSAGES: u64 = 30;

/// Messages of a page where nothing is said.
const DEFAULT_LIMIT: i64 = 200;

/// Chats of a page at most, however few messages they have.
const CHATS_PER_PAGE: usize = 100;

/// Bytes of contents in a page; the rest of a message is little.
const PAGE_BYTES: usize = 700_000;

/// How one chat is to be caught up with.
enum Need {
    /// Chat and newest messages; true where what the client holds is to be dropped.
    Whole(bool),
    /// What changed after this value.
    Changes(i64),
}

impl Behaviour for Sync {
    async fn run(&self, core: &Core, caller: &Caller) -> Result<Outcome<SyncReply>> {
        let conn = core.db.read();
        let user_id = caller.actor.user_id;
        let user = user::Entity::find_by_id(user_id.0).one(conn).await?;
        let user = user.ok_or_else(|| Error::not_found("user"))?;
        let reset = self.epoch.as_ref().is_some_and(|epoch| *epoch != core.epoch);
        let heads = own_heads(conn, user_id, self.only.as_deref()).await?;
        let mut reply = SyncReply {
            epoch: core.epoch.clone(),
            user_rev: user.user_rev,
            revs: BTreeMap::new(),
            chats: Vec::new(),
            messages: Vec::new(),
            mine: if reset { Vec::new() } else { self.mine(conn, user_id).await? },
            left: self.left(conn, user_id, &heads).await?,
            has_more: false,
            reset,
        };
        let mut page =
            Page { room: self.limit.unwrap_or(DEFAULT_LIMIT) as u64, bytes: PAGE_BYTES, whole: Vec::new() };
        let mut changed_chats = Vec::new();
        for (chat_id, Head { rev, meta_rev }) in &heads {
            let Some(need) = self.need(*chat_id, *rev, reset) else { continue };
            if page.is_full(changed_chats.len()) {
                reply.has_more = true;
                break;
            }
            let (rows, complete) = match need {
                Need::Whole(_) => (newest(conn, *chat_id).await?, true),
                Need::Changes(since) => changes(conn, *chat_id, since, page.room).await?,
            };
            let (rows, fits) = match need {
                Need::Whole(_) => (page.take_newest(rows), true),
                Need::Changes(_) => page.take(rows),
            };
            let complete = complete && fits;
            match need {
                Need::Whole(truncated) => {
                    page.whole.push((*chat_id, truncated));
                    changed_chats.push(*chat_id);
                    reply.revs.insert(*chat_id, *rev);
                }
                Need::Changes(since) => {
                    if *meta_rev > since {
                        changed_chats.push(*chat_id);
                    }
                    let last = rows.last().map_or(since, |row| row.rev);
                    reply.revs.insert(*chat_id, if complete { *rev } else { last });
                    reply.has_more |= !complete;
                }
            }
            reply.messages.extend(show(conn, rows, Some(user_id)).await?);
        }
        let truncated: BTreeMap<ChatId, bool> = page.whole.into_iter().collect();
        reply.chats = load(conn, &changed_chats, Some(user_id))
            .await?
            .into_iter()
            .map(|chat| SyncedChat { truncated: truncated.get(&chat.id).copied().unwrap_or(false), chat })
            .collect();
        Ok(Outcome::unchanged(reply))
    }
}

impl Sync {
    /// What a chat with this head needs; nothing where the client has it all.
    fn need(&self, chat_id: ChatId, rev: i64, reset: bool) -> Option<Need> {
        let Some(since) = self.since.get(&chat_id).copied().filter(|_| !reset) else {
            return Some(Need::Whole(reset));
        };
        if since == rev {
            return None;
        }
        let too_far = self.max_behind.is_some_and(|most| rev - since > most);
        // Above the head: the client's state is of a history that this database does not have.
        Some(if since > rev || too_far { Need::Whole(true) } else { Need::Changes(since) })
    }

    /// Own state that changed after the given counter.
    async fn mine(&self, conn: &impl ConnectionTrait, user_id: UserId) -> Result<Vec<Mine>> {
        let Some(since) = self.user_rev else { return Ok(Vec::new()) };
        let mut changed = member::Entity::of_user(user_id.0).filter(member::Column::UserRev.gt(since));
        if let Some(only) = &self.only {
            changed = changed.filter(member::Column::ChatId.is_in(only.iter().map(|id| id.0)));
        }
        let ids: Vec<i64> =
            changed.select_only().column(member::Column::ChatId).into_tuple().all(conn).await?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut mine: Vec<Mine> = own(conn, &ids, user_id)
            .await?
            .into_iter()
            .map(|(chat_id, my)| Mine { chat_id: ChatId(chat_id), my })
            .collect();
        mine.sort_by_key(|it| it.chat_id);
        Ok(mine)
    }

    /// Every named chat that is not the user's.
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
                    reason: row.and_then(|row| row.left_reason.clone()).unwrap_or_else(|| "unknown".into()),
                }
            }));
        }
        Ok(left)
    }
}

/// A chat's counters as they were read before its messages.
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

/// The newest messages of a chat in `rev` order.
async fn newest(conn: &impl ConnectionTrait, chat_id: ChatId) -> Result<Vec<message::Model>> {
    let mut rows = message::Entity::of_chat(chat_id.0)
        .order_by_desc(message::Column::Seq)
        .limit(WHOLE_MESSAGES)
        .all(conn)
        .await?;
    rows.sort_by_key(|row| row.rev);
    Ok(rows)
}

/// Messages that changed after `since` in `rev` order, and whether these are all.
async fn changes(
    conn: &impl ConnectionTrait,
    chat_id: ChatId,
    since: i64,
    limit: u64,
) -> Result<(Vec<message::Model>, bool)> {
    let mut rows = message::Entity::of_chat(chat_id.0)
        .filter(message::Column::Rev.gt(since))
        .order_by_asc(message::Column::Rev)
        .limit(limit + 1)
        .all(conn)
        .await?;
    let complete = rows.len() as u64 <= limit;
    rows.truncate(limit as usize);
    Ok((rows, complete))
}

/// What is left of a page.
struct Page {
    room: u64,
    bytes: usize,
    whole: Vec<(ChatId, bool)>,
}

impl Page {
    fn is_full(&self, chats: usize) -> bool {
        self.room == 0 || self.bytes == 0 || chats >= CHATS_PER_PAGE
    }

    /// The newest rows that fit, at least one: older ones are in `history`.
    fn take_newest(&mut self, mut rows: Vec<message::Model>) -> Vec<message::Model> {
        rows.sort_by_key(|row| std::cmp::Reverse(row.seq));
        let (mut rows, _) = self.take(rows);
        rows.sort_by_key(|row| row.rev);
        rows
    }

    /// As many rows as fit, at least one; and whether all did.
    fn take(&mut self, mut rows: Vec<message::Model>) -> (Vec<message::Model>, bool) {
        let mut kept = 0;
        for row in &rows {
            if kept > 0 && row.content.len() > self.bytes {
                break;
            }
            self.bytes = self.bytes.saturating_sub(row.content.len() + 1);
            kept += 1;
        }
        let fits = kept == rows.len();
        rows.truncate(kept);
        self.room = self.room.saturating_sub(kept as u64);
        (rows, fits)
    }
}
