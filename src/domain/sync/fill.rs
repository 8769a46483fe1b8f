//! Fills gaps: creates, from the current state, the events that move a node's clients from one value of a chat's
//! counter to another. Several changes may be combined in one event.

use std::collections::{HashMap, HashSet};

use entity::{chat, member, message, user};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::domain::chats::{change_at, load, show_members};
use crate::domain::mentions::Mentions;
use crate::domain::message_view::{Own, own_states, show};
use crate::domain::messages::changed;
use crate::domain::{AppContext, events};
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::platform::bus::{ChatPosition, Delivery};
use crate::protocol::chats::Chat;
use crate::protocol::chats::{ChatChanged, ChatCreated};
use crate::protocol::members::Member;
use crate::protocol::members::MemberChange;
use crate::protocol::messages::NewMessage;
use crate::protocol::messages::{Message, MyMessage};

/// Number of users beyond which all of them receive the same event of a changed message, without their own state.
const TOLD_APART: usize = 200;

/// Ids per statement.
const MANY_IDS: usize = 2_000;

/// Changes that one call reads; for more, clients have to `sync`.
const MOST: i64 = 1_000;

/// Returns what happened in a chat after `given`, up to `upto`, as events in order; `None` if there are too many
/// changes or the chat is gone. `users` are the recipients: each receives a changed message with their own state.
///
/// Changes that were changed again after `upto` are left to the event of the later change. New messages are an
/// exception: they are returned at their original position in their current form, because a client cannot apply a
/// change to a message that it does not have.
pub async fn fill(
    context: &AppContext,
    chat_id: ChatId,
    given: i64,
    upto: i64,
    users: &[UserId],
) -> Result<Option<Vec<Delivery>>> {
    let conn = context.db.background();
    let Some(chat) = chat::Entity::present().filter(chat::Column::Id.eq(chat_id.0)).one(conn).await? else {
        return Ok(None);
    };
    if upto - given > MOST {
        return Ok(None);
    }
    let mut found = messages_between(context, chat_id, given, upto, users).await?;
    // The event of a new chat includes its first members.
    let is_new = given == 0;
    found.extend(members_between(context, chat_id, if is_new { 1 } else { given }, upto).await?);
    // Several members may share a value, for example if they join the lobby together.
    if found.len() as i64 > MOST {
        return Ok(None);
    }
    if let Some(rev) = free_value(&found, given, upto).filter(|_| is_new || chat.meta_rev > given)
        && let Some(details) = load(conn, &[chat_id], None, context.links()).await?.pop()
    {
        found.push(if is_new {
            (1, Told::NewChat(Box::new(details)))
        } else {
            (rev, Told::Chat(Box::new(details)))
        });
    }
    // Several members joined at one value, for example the lobby. Clients apply only one event per value, so the
    // current state of the chat comes first; the members' own events join them to its room.
    for rev in shared_values(&found) {
        if let Some(details) = load(conn, &[chat_id], None, context.links()).await?.pop() {
            found.push((rev, Told::Chat(Box::new(details))));
        }
    }
    found.sort_by_key(|(rev, told)| (*rev, matches!(told, Told::Member(..))));
    let mut events = Vec::with_capacity(found.len());
    let mut prev = given;
    for (rev, told) in found {
        let position = ChatPosition { chat_id, rev, prev };
        events.extend(told.into_deliveries(position, &chat, context.clock.now())?);
        prev = rev;
    }
    Ok(Some(events))
}

/// Returns new messages at their original positions, and changed messages at the positions of the changes.
async fn messages_between(
    context: &AppContext,
    chat_id: ChatId,
    given: i64,
    upto: i64,
    users: &[UserId],
) -> Result<Vec<(i64, Told)>> {
    let conn = context.db.background();
    let between = |column: message::Column| column.gt(given).and(column.lte(upto));
    let all = || message::Entity::of_chat(chat_id.0);
    let mut rows = all().filter(between(message::Column::Seq)).all(conn).await?;
    let changed = message::Entity::changed_later(chat_id.0).filter(between(message::Column::Rev));
    rows.extend(changed.filter(message::Column::Seq.lte(given)).all(conn).await?);
    let mut found = Vec::with_capacity(rows.len());
    let viewers = if users.len() > TOLD_APART { &[] } else { users };
    let mut states = own_states(conn, &rows, viewers).await?;
    for message in show(conn, rows, None, context.links()).await? {
        if message.seq > given {
            let new = Message { rev: message.seq, ..message.clone() };
            found.push((message.seq, Told::New(Box::new(new))));
        }
        if message.rev > message.seq && message.rev <= upto {
            let mentions = Mentions { users: message.mentions.clone(), all: message.mentions_all };
            let own = viewers.iter().map(|user| {
                let state = states.remove(&(message.id.0, user.0)).unwrap_or_else(|| Own::of(*user));
                (*user, state.show(message.user.id, &mentions))
            });
            let own = own.collect();
            found.push((message.rev, Told::Changed(Box::new(message), own)));
        }
    }
    Ok(found)
}

async fn members_between(
    context: &AppContext,
    chat_id: ChatId,
    given: i64,
    upto: i64,
) -> Result<Vec<(i64, Told)>> {
    let rows = member::Entity::find()
        .filter(member::Column::ChatId.eq(chat_id.0))
        .filter(member::Column::Rev.gt(given).and(member::Column::Rev.lte(upto)))
        .all(context.db.background())
        .await?;
    let state: HashMap<i64, (i64, bool)> =
        rows.iter().map(|row| (row.user_id, (row.rev, row.left_at.is_some()))).collect();
    let shown = show_members(context.db.background(), rows).await?;
    Ok(shown
        .into_iter()
        .filter_map(|shown| {
            let (rev, gone) = state.get(&shown.user.id.0).copied()?;
            Some((rev, Told::Member(Box::new(shown), gone)))
        })
        .collect())
}

/// Returns values that more than one member has.
fn shared_values(found: &[(i64, Told)]) -> Vec<i64> {
    let mut values: Vec<i64> =
        found.iter().filter(|(_, told)| matches!(told, Told::Member(..))).map(|(rev, _)| *rev).collect();
    values.sort_unstable();
    let mut shared: Vec<i64> = values.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]).collect();
    shared.dedup();
    shared
}

/// Returns the highest value that no other event uses. If all are used, the chat itself did not change.
fn free_value(found: &[(i64, Told)], given: i64, upto: i64) -> Option<i64> {
    let taken: HashSet<i64> = found.iter().map(|(rev, _)| *rev).collect();
    (given + 1..=upto).rev().find(|rev| !taken.contains(rev))
}

/// Returns the current counters of these chats.
pub async fn heads(conn: &impl ConnectionTrait, chats: &[ChatId]) -> Result<Vec<(ChatId, i64)>> {
    let mut heads = Vec::with_capacity(chats.len());
    for ids in chats.chunks(MANY_IDS) {
        let rows: Vec<(i64, i64)> = chat::Entity::find()
            .select_only()
            .columns([chat::Column::Id, chat::Column::Rev])
            .filter(chat::Column::Id.is_in(ids.iter().map(|id| id.0)))
            .into_tuple()
            .all(conn)
            .await?;
        heads.extend(rows.into_iter().map(|(id, rev)| (ChatId(id), rev)));
    }
    Ok(heads)
}

/// A change that becomes an event.
enum Told {
    New(Box<Message>),
    /// With the own state of each recipient; without it if there are too many.
    Changed(Box<Message>, Vec<(UserId, MyMessage)>),
    Member(Box<Member>, bool),
    Chat(Box<Chat>),
    NewChat(Box<Chat>),
}

impl Told {
    fn into_deliveries(self, position: ChatPosition, chat: &chat::Model, now: i64) -> Result<Vec<Delivery>> {
        let by_owner = change_at(position, UserId(chat.owner_id), now);
        let one = match self {
            Self::New(message) => {
                let event = NewMessage {
                    message: &message,
                    prev: position.prev,
                    by: message.user.id,
                    at: message.created_at,
                };
                events::new_message::at(position, &event)?
            }
            Self::Changed(message, own) if own.is_empty() => {
                changed(position, message.user.id, now, &message)?
            }
            Self::Changed(mut message, own) => {
                let mut told = Vec::with_capacity(own.len());
                for (user, my) in own {
                    message.my = Some(my);
                    let mut event = changed(position, message.user.id, now, &message)?;
                    event.only_user = Some(user);
                    told.push(event);
                }
                return Ok(told);
            }
            Self::Member(member, gone) => {
                let user = member.user.id;
                let event =
                    MemberChange { change: by_owner, member: *member, member_count: chat.member_count };
                if gone {
                    events::member_removed::at(position, &event)?.leaving(vec![user])
                } else {
                    events::member_added::at(position, &event)?.joining(vec![user])
                }
            }
            Self::Chat(details) => {
                let event = ChatChanged { change: by_owner, details: *details };
                events::chat_updated::at(position, &event)?
            }
            Self::NewChat(details) => {
                let event = ChatCreated { change: by_owner, details: *details };
                events::chat_created::at(position, &event)?
            }
        };
        Ok(vec![one])
    }
}

/// Returns the current values of the own counters of many users.
pub async fn user_revs(context: &AppContext, users: &[UserId]) -> Result<Vec<(UserId, i64)>> {
    let mut revs = Vec::with_capacity(users.len());
    for some in users.chunks(MANY_IDS) {
        let rows: Vec<(i64, i64)> = user::Entity::find()
            .select_only()
            .columns([user::Column::Id, user::Column::UserRev])
            .filter(user::Column::Id.is_in(some.iter().map(|id| id.0)))
            .into_tuple()
            .all(context.db.background())
            .await?;
        revs.extend(rows.into_iter().map(|(id, rev)| (UserId(id), rev)));
    }
    Ok(revs)
}

/// A user's membership in a chat, as stored in the database.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The user.
    pub user: UserId,
    /// The chat.
    pub chat: ChatId,
    /// The value of the chat's counter at which the membership began or ended.
    pub rev: i64,
    /// Whether the user is a member.
    pub present: bool,
}

/// Returns the memberships that changed since these values of their users' own counters.
pub async fn standings_since(context: &AppContext, users: &[(UserId, i64)]) -> Result<Vec<Standing>> {
    let mut found = Vec::new();
    for some in users.chunks(MANY_IDS) {
        let since: HashMap<i64, i64> = some.iter().map(|(user, rev)| (user.0, *rev)).collect();
        let rows = member::Entity::find()
            .filter(member::Column::UserId.is_in(since.keys().copied()))
            .filter(member::Column::UserRev.gt(since.values().copied().min().unwrap_or_default()))
            .all(context.db.background())
            .await?;
        let changed = |row: &member::Model| since.get(&row.user_id).is_some_and(|rev| row.user_rev > *rev);
        found.extend(rows.iter().filter(|row| changed(row)).map(standing));
    }
    Ok(found)
}

/// Returns a user's membership in a chat; `None` if they were never a member or the chat is gone.
pub async fn standing_in(context: &AppContext, user: UserId, chat: ChatId) -> Result<Option<Standing>> {
    let row = member::Entity::find()
        .filter(member::Column::ChatId.eq(chat.0))
        .filter(member::Column::UserId.eq(user.0))
        .one(context.db.background())
        .await?;
    Ok(row.as_ref().map(standing))
}

fn standing(row: &member::Model) -> Standing {
    Standing {
        user: UserId(row.user_id),
        chat: ChatId(row.chat_id),
        rev: row.rev,
        present: row.left_at.is_none(),
    }
}

/// Returns which of these users are members of the chat now.
pub async fn present_in(context: &AppContext, chat_id: ChatId, users: &[UserId]) -> Result<HashSet<UserId>> {
    let mut present = HashSet::new();
    for users in users.chunks(1_000) {
        let ids: Vec<i64> = member::Entity::of_chat(chat_id.0)
            .select_only()
            .column(member::Column::UserId)
            .filter(member::Column::UserId.is_in(users.iter().map(|id| id.0)))
            .into_tuple()
            .all(context.db.background())
            .await?;
        present.extend(ids.into_iter().map(UserId));
    }
    Ok(present)
}
