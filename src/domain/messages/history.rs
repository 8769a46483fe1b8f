//! Pages of a chat's messages, by `seq`.

use entity::message;
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::view::{MangoMessage, show, to_mango};
use crate::domain::chats::find_visible;
use crate::domain::dispatch::Behaviour;
use crate::domain::{Actor, Caller, Core};
use crate::error::Result;
use crate::ids::ChatId;
use crate::platform::db::Outcome;
use crate::protocol::commands::messages::{History, HistoryReply};

/// Messages of a page where nothing is said.
const DEFAULT_LIMIT: i64 = 50;

/// Where a page lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The newest.
    Newest,
    /// Below this `seq`.
    Before(i64),
    /// Directly above this `seq`.
    After(i64),
    /// On both sides of this `seq`.
    Around(i64),
}

impl Anchor {
    /// From the three optional bounds, of which at most one is given.
    pub fn of(before: Option<i64>, after: Option<i64>, around: Option<i64>) -> Self {
        match (before, after, around) {
            (Some(seq), _, _) => Self::Before(seq),
            (_, Some(seq), _) => Self::After(seq),
            (_, _, Some(seq)) => Self::Around(seq),
            _ => Self::Newest,
        }
    }
}

impl Behaviour for History {
    async fn run(&self, core: &Core, caller: &Caller) -> Result<Outcome<HistoryReply>> {
        let anchor = Anchor::of(self.before, self.after, self.around);
        let reply = page(core, caller.actor, self.chat.0.id, anchor, self.limit).await?;
        Ok(Outcome::unchanged(reply))
    }
}

/// A page, newest first. `has_more` looks in the direction asked for (with `around`, to the older side).
pub async fn page(
    core: &Core,
    actor: Actor,
    chat_id: ChatId,
    anchor: Anchor,
    limit: Option<i64>,
) -> Result<HistoryReply> {
    let conn = core.db.read();
    find_visible(conn, chat_id, actor.user_id).await?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    let all = || message::Entity::of_chat(chat_id.0);
    let (rows, has_more) = match anchor {
        Anchor::Newest => older(conn, all(), limit).await?,
        Anchor::Before(seq) => older(conn, all().filter(message::Column::Seq.lt(seq)), limit).await?,
        Anchor::After(seq) => newer(conn, all().filter(message::Column::Seq.gt(seq)), limit).await?,
        Anchor::Around(seq) => {
            // What one side cannot fill, the other does: each is read as if it had to fill the page alone.
            let (mut rows, _) = newer(conn, all().filter(message::Column::Seq.gt(seq)), limit).await?;
            let (mut below, more) = older(conn, all().filter(message::Column::Seq.lte(seq)), limit).await?;
            let (above, limit) = (rows.len(), limit as usize);
            let kept = above.min((limit / 2).max(limit.saturating_sub(below.len())));
            // Newest first: the nearest of the newer ones are at the end.
            rows.drain(..above - kept);
            let has_more = more || below.len() > limit - kept;
            below.truncate(limit - kept);
            rows.extend(below);
            (rows, has_more)
        }
    };
    Ok(HistoryReply { messages: show(conn, rows, Some(actor.user_id)).await?, has_more })
}

/// The newest of `select`, newest first, and whether there are older ones.
async fn older(
    conn: &impl ConnectionTrait,
    select: Select<message::Entity>,
    limit: i64,
) -> Result<(Vec<message::Model>, bool)> {
    let mut rows = select.order_by_desc(message::Column::Seq).limit(limit as u64 + 1).all(conn).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(limit as usize);
    Ok((rows, more))
}

/// The oldest of `select`, newest first, and whether there are newer ones.
async fn newer(
    conn: &impl ConnectionTrait,
    select: Select<message::Entity>,
    limit: i64,
) -> Result<(Vec<message::Model>, bool)> {
    let mut rows = select.order_by_asc(message::Column::Seq).limit(limit as u64 + 1).all(conn).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(limit as usize);
    rows.reverse();
    Ok((rows, more))
}

/// The newest thousand in Mango's spelling.
pub async fn mango_page(core: &Core, actor: Actor, chat_id: ChatId) -> Result<Vec<MangoMessage>> {
    let conn = core.db.read();
    find_visible(conn, chat_id, actor.user_id).await?;
    let (rows, _) = older(conn, message::Entity::of_chat(chat_id.0), 1_000).await?;
    to_mango(conn, show(conn, rows, Some(actor.user_id)).await?).await
}
