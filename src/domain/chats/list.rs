//! Lists of a user's chats and of a chat's members, in pages with a cursor.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entity::{chat, member};
use sea_orm::sea_query::{ExprTrait, Query};
use sea_orm::{ColumnTrait, Condition, QueryFilter, QueryOrder, QuerySelect};

use super::access::find_visible;
use super::view::{Viewer, load, load_rows, show_members, unread_while_pending};
use crate::domain::{Actor, AppContext, PAGE_BYTES};
use crate::error::{Error, Result};
use crate::ids::ChatId;
use crate::protocol::chats::Chat;
use crate::protocol::members::Member;

/// Chats that are loaded together.
const CHATS_AT_ONCE: usize = 20;

/// Which of the user's chats to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Neither archived nor waiting for the user's approval.
    Active,
    /// Waiting for the user's approval.
    Pending,
    /// Archived.
    Archived,
    /// Pinned.
    Pinned,
}

impl State {
    /// Returns the state with this name in a URL.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "active" => Some(Self::Active),
            "pending" => Some(Self::Pending),
            "archived" => Some(Self::Archived),
            "pinned" => Some(Self::Pinned),
            _ => None,
        }
    }
}

/// A page of a list, with the cursor of the next page.
pub struct Page<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

/// Cuts a page of `limit` from rows of which one more was read; returns its rows and the cursor of the next page.
pub fn cut<T>(mut rows: Vec<T>, limit: u64, key: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let next = rows.last().map(key).filter(|_| more);
    (rows, next)
}

/// Returns the id in a cursor, or `first` for the first page.
pub fn id_cursor(text: Option<&str>, first: i64) -> Result<i64> {
    text.map_or(Ok(first), str::parse).map_err(|_| Error::invalid("cursor", "is not valid"))
}

/// Returns the user's chats, latest activity first.
pub async fn list(
    context: &AppContext,
    actor: Actor,
    state: State,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<Chat>> {
    let me = actor.user_id.0;
    let mut own = Query::select();
    own.column(member::Column::ChatId)
        .from(member::Entity)
        .and_where(member::Column::UserId.eq(me))
        .and_where(member::Column::LeftAt.is_null());
    let mut which = Condition::all();
    match state {
        State::Active => {
            own.and_where(member::Column::Archived.eq(false));
            which = which.add(chat::Column::Approved.eq(true).or(chat::Column::OwnerId.eq(me)));
        }
        State::Pending => {
            which = which.add(chat::Column::Approved.eq(false)).add(chat::Column::OwnerId.ne(me));
        }
        State::Archived => {
            own.and_where(member::Column::Archived.eq(true));
        }
        State::Pinned => {
            own.and_where(member::Column::PinnedAt.is_not_null());
        }
    }
    let mut select = chat::Entity::present()
        .filter(chat::Column::Id.in_subquery(own))
        .filter(chat::Column::Visible.eq(true).or(chat::Column::OwnerId.eq(me)))
        .filter(which);
    if let Some(cursor) = cursor {
        let (at, id) = read_cursor(cursor)?;
        select = select.filter(
            Condition::any()
                .add(chat::Column::LastActivityAt.lt(at))
                .add(chat::Column::LastActivityAt.eq(at).and(chat::Column::Id.lt(id))),
        );
    }
    let mut rows = select
        .order_by_desc(chat::Column::LastActivityAt)
        .order_by_desc(chat::Column::Id)
        .limit(limit + 1)
        .all(context.db.read())
        .await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let places: Vec<(i64, i64)> = rows.iter().map(|row| (row.last_activity_at, row.id)).collect();
    let viewer = Viewer::now(context, actor.user_id);
    let (mut items, mut bytes) = (Vec::with_capacity(rows.len()), 0);
    // Each chat includes its last message: what exceeds the size of a page is left for the next one.
    let mut rows = rows.into_iter();
    loop {
        let some: Vec<chat::Model> = rows.by_ref().take(CHATS_AT_ONCE).collect();
        if some.is_empty() {
            break;
        }
        for chat in load_rows(context.db.read(), some, Some(viewer), context.links()).await? {
            bytes += serde_json::to_vec(&chat).map_err(Error::internal)?.len();
            if bytes > PAGE_BYTES && !items.is_empty() {
                let last = items.last().map(|it: &Chat| it.id.0);
                let next =
                    places.iter().find(|(_, id)| Some(*id) == last).map(|(at, id)| write_cursor(*at, *id));
                return Ok(Page { items, next });
            }
            items.push(chat);
        }
    }
    let next = places.last().filter(|_| more).map(|(at, id)| write_cursor(*at, *id));
    Ok(Page { items, next })
}

/// Returns one chat of the user.
pub async fn one(context: &AppContext, actor: Actor, chat_id: ChatId) -> Result<Chat> {
    find_visible(context.db.read(), chat_id, actor.user_id).await?;
    load(context.db.read(), &[chat_id], Some(Viewer::now(context, actor.user_id)), context.links())
        .await?
        .into_iter()
        .next()
        .ok_or_else(|| Error::not_found("chat"))
}

/// Returns a chat's members in the order of joining.
pub async fn members(
    context: &AppContext,
    actor: Actor,
    chat_id: ChatId,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<Member>> {
    let chat = find_visible(context.db.read(), chat_id, actor.user_id).await?.chat;
    let mut select = member::Entity::of_chat(chat_id.0);
    if let Some(cursor) = cursor {
        let (at, id) = read_cursor(cursor)?;
        select = select.filter(
            Condition::any()
                .add(member::Column::JoinedAt.gt(at))
                .add(member::Column::JoinedAt.eq(at).and(member::Column::UserId.gt(id))),
        );
    }
    let rows = select
        .order_by_asc(member::Column::JoinedAt)
        .order_by_asc(member::Column::UserId)
        .limit(limit + 1)
        .all(context.db.read())
        .await?;
    let (rows, next) = cut(rows, limit, |row| write_cursor(row.joined_at, row.user_id));
    let items = show_members(context.db.read(), rows).await?;
    let viewer = Viewer::now(context, actor.user_id);
    Ok(Page { items: unread_while_pending(chat.approved, items, Some(viewer)), next })
}

/// Encodes a cursor: a time and an id. Clients pass it back unchanged.
fn write_cursor(at: i64, id: i64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{at}:{id}"))
}

fn read_cursor(text: &str) -> Result<(i64, i64)> {
    let read = || {
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (at, id) = plain.split_once(':')?;
        Some((at.parse().ok()?, id.parse().ok()?))
    };
    read().ok_or_else(|| Error::invalid("cursor", "was not issued by this server"))
}
