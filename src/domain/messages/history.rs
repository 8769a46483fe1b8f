//! Pages of a chat's messages, by `seq`.

use std::sync::Arc;

use entity::message;
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::budget::{self, By};
use crate::domain::chats::find_visible;
use crate::domain::dispatch::CommandHandler;
use crate::domain::message_view::{MangoMessage, ShownRow, show_rows, to_mango};
use crate::domain::{Actor, AppContext, Caller, PAGE_BYTES};
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::platform::db::Outcome;
use crate::protocol::history::{History, HistoryReply};

/// Default number of messages per page.
const DEFAULT_LIMIT: i64 = 50;

/// Messages that Mango lists at most.
const MANGO_MOST: usize = 1_000;

/// The position of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The newest messages.
    Newest,
    /// Below this `seq`.
    Before(i64),
    /// Directly above this `seq`.
    After(i64),
    /// On both sides of this `seq`.
    Around(i64),
    /// On both sides of the first message that is not older than this time, milliseconds since the Unix epoch.
    Date(i64),
}

impl Anchor {
    /// Returns the anchor of optional bounds, of which at most one is given.
    pub fn of(before: Option<i64>, after: Option<i64>, around: Option<i64>, date: Option<i64>) -> Self {
        let given = [before.map(Self::Before), after.map(Self::After), around.map(Self::Around)];
        given.into_iter().flatten().next().or(date.map(Self::Date)).unwrap_or(Self::Newest)
    }
}

impl CommandHandler for History {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<HistoryReply>> {
        let anchor = Anchor::of(self.before, self.after, self.around, self.date());
        let reply = page(context, caller.actor, self.chat.0.id, anchor, self.limit).await?;
        Ok(Outcome::unchanged(reply))
    }
}

/// Returns a page of at most `PAGE_BYTES`, newest first. `has_more` refers to the requested direction (with `around`,
/// to older messages).
pub async fn page(
    context: &AppContext,
    actor: Actor,
    chat_id: ChatId,
    anchor: Anchor,
    limit: Option<i64>,
) -> Result<HistoryReply> {
    let conn = context.db.read();
    let found = find_visible(conn, chat_id, actor.user_id).await?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT) as usize;
    let viewer = actor.user_id;
    let all = || message::Entity::of_chat(chat_id.0);
    let anchor = match anchor {
        Anchor::Date(time) => first_since(conn, chat_id, time, found.chat.last_seq).await?,
        anchor => anchor,
    };
    let (rows, has_more) = match anchor {
        // A date was looked up above.
        Anchor::Newest | Anchor::Date(_) => older(conn, all(), viewer, limit, PAGE_BYTES).await?,
        Anchor::Before(seq) => {
            older(conn, all().filter(message::Column::Seq.lt(seq)), viewer, limit, PAGE_BYTES).await?
        }
        Anchor::After(seq) => {
            newer(conn, all().filter(message::Column::Seq.gt(seq)), viewer, limit, PAGE_BYTES).await?
        }
        Anchor::Around(seq) => {
            // Either side fills what the other cannot, so each is read as if it had to fill the page alone.
            let half = PAGE_BYTES / 2;
            let (mut rows, _) =
                newer(conn, all().filter(message::Column::Seq.gt(seq)), viewer, limit, half).await?;
            let (mut below, more) =
                older(conn, all().filter(message::Column::Seq.lte(seq)), viewer, limit, half).await?;
            let above = rows.len();
            let kept = above.min((limit / 2).max(limit.saturating_sub(below.len())));
            // Newest first: the nearest of the newer messages are at the end.
            rows.drain(..above - kept);
            let has_more = more || below.len() > limit - kept;
            below.truncate(limit - kept);
            rows.extend(below);
            (rows, has_more)
        }
    };
    Ok(HistoryReply { messages: show_rows(conn, rows, context.links()).await?, has_more })
}

/// Returns the place of the first message that is not older than `time`. The messages of a chat are stored in the order of
/// their times, so few of them have to be read.
async fn first_since(
    conn: &impl ConnectionTrait,
    chat_id: ChatId,
    time: i64,
    last_seq: i64,
) -> Result<Anchor> {
    use message::Column::{CreatedAt, Seq};
    let mut found = Anchor::Newest;
    // Messages up to `below` are older; those from `above` on are not.
    let (mut below, mut above) = (0, last_seq + 1);
    while below + 1 < above {
        let middle = below + (above - below) / 2;
        let next = message::Entity::of_chat(chat_id.0).filter(Seq.gte(middle)).filter(Seq.lt(above));
        let next: Option<(i64, i64)> = next
            .select_only()
            .columns([Seq, CreatedAt])
            .order_by_asc(Seq)
            .limit(1)
            .into_tuple()
            .one(conn)
            .await?;
        match next {
            Some((seq, at)) if at < time => below = seq,
            Some((seq, _)) => {
                found = Anchor::Around(seq);
                above = middle;
            }
            None => above = middle,
        }
    }
    Ok(found)
}

/// Returns the newest messages of `select`, newest first, and whether there are older ones.
async fn older(
    conn: &impl ConnectionTrait,
    select: Select<message::Entity>,
    viewer: UserId,
    limit: usize,
    bytes: usize,
) -> Result<(Vec<ShownRow>, bool)> {
    budget::read(conn, select, Some(viewer), By::NEWEST, limit, bytes, budget::size).await
}

/// Returns the oldest messages of `select`, newest first, and whether there are newer ones.
async fn newer(
    conn: &impl ConnectionTrait,
    select: Select<message::Entity>,
    viewer: UserId,
    limit: usize,
    bytes: usize,
) -> Result<(Vec<ShownRow>, bool)> {
    let (mut rows, more) =
        budget::read(conn, select, Some(viewer), By::OLDEST, limit, bytes, budget::size).await?;
    rows.reverse();
    Ok((rows, more))
}

/// The newest 1,000 messages in Mango's format, part by part: together, long ones would take hundreds of megabytes.
pub struct MangoMessages {
    context: Arc<AppContext>,
    actor: Actor,
    chat_id: ChatId,
    /// Only messages with a lower `seq` remain to be read.
    before: Option<i64>,
    left: usize,
}

impl MangoMessages {
    /// Starts reading the messages of a chat. Fails if the chat is not visible to the user.
    pub async fn of(context: Arc<AppContext>, actor: Actor, chat_id: ChatId) -> Result<Self> {
        find_visible(context.db.read(), chat_id, actor.user_id).await?;
        Ok(Self { context, actor, chat_id, before: None, left: MANGO_MOST })
    }

    /// Returns the next messages, newest first, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<MangoMessage>>> {
        if self.left == 0 {
            return Ok(None);
        }
        let conn = self.context.db.read();
        let mut select = message::Entity::of_chat(self.chat_id.0);
        if let Some(before) = self.before {
            select = select.filter(message::Column::Seq.lt(before));
        }
        // Each message comes with the users who like it.
        let size = |row: &message::Model| budget::size(row) + row.likes.max(0) as usize * budget::LIKER;
        let viewer = Some(self.actor.user_id);
        let (rows, more) =
            budget::read(conn, select, viewer, By::NEWEST, self.left, PAGE_BYTES, size).await?;
        self.left = if more { self.left - rows.len() } else { 0 };
        self.before = rows.last().map(|row| row.message.seq);
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(to_mango(conn, show_rows(conn, rows, self.context.links()).await?).await?))
    }
}
