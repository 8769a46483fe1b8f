//! Conversion of chats to what clients receive: with their first members, their newest message, and the viewer's
//! own state.

use std::collections::HashMap;

use entity::{chat, member, message};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
};

use crate::clock::Timestamp;
use crate::domain::{AppContext, message_view, users};
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::protocol::chats::{Chat, MyChat};
use crate::protocol::members::Member;
use crate::protocol::messages::Message;
use crate::protocol::users::Author;

/// Members that are included in a chat; clients request the others.
pub const MEMBERS_SHOWN: u64 = 50;

/// Unread messages are counted up to this number.
const UNREAD_MOST: i64 = 1_000;

/// The user who views chats, and the time: their own state depends on both.
#[derive(Clone, Copy)]
pub struct Viewer {
    /// The user.
    pub user_id: UserId,
    /// Milliseconds since the Unix epoch.
    pub now: i64,
}

impl Viewer {
    /// Creates a viewer at the current time.
    pub fn now(context: &AppContext, user_id: UserId) -> Self {
        Self { user_id, now: context.clock.now() }
    }
}

/// Loads chats in the order of `ids`; with `my` if there is a viewer. Ids of deleted chats are skipped.
pub async fn load(conn: &impl ConnectionTrait, ids: &[ChatId], viewer: Option<Viewer>) -> Result<Vec<Chat>> {
    let wanted: Vec<i64> = ids.iter().map(|id| id.0).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let rows = chat::Entity::present().filter(chat::Column::Id.is_in(wanted.clone())).all(conn).await?;
    let mut members = first_members(conn, &rows).await?;
    let mut newest = newest_messages(conn, &rows, viewer.map(|it| it.user_id)).await?;
    let mut mine = match viewer {
        Some(viewer) => own(conn, &wanted, viewer).await?,
        None => HashMap::new(),
    };
    let mut chats: HashMap<i64, Chat> = rows
        .into_iter()
        .map(|row| {
            let chat = Chat {
                id: ChatId(row.id),
                name: row.name,
                is_group: row.is_group,
                description: row.description,
                photo: row.photo,
                owner_id: UserId(row.owner_id),
                approved: row.approved,
                visible: row.visible,
                created_at: Timestamp(row.created_at),
                rev: row.rev,
                last_seq: row.last_seq,
                member_count: row.member_count,
                members: unread_while_pending(
                    row.approved,
                    members.remove(&row.id).unwrap_or_default(),
                    viewer,
                ),
                last_message: newest.remove(&row.id),
                my: mine.remove(&row.id),
            };
            (row.id, chat)
        })
        .collect();
    Ok(wanted.iter().filter_map(|id| chats.remove(id)).collect())
}

/// Hides the read marks of others while a chat waits for approval, so that a stranger cannot see whether their chat
/// was read.
pub(super) fn unread_while_pending(
    approved: bool,
    mut members: Vec<Member>,
    viewer: Option<Viewer>,
) -> Vec<Member> {
    if !approved {
        let others = members.iter_mut().filter(|it| viewer.is_none_or(|viewer| viewer.user_id != it.user.id));
        others.for_each(|member| member.last_read_seq = 0);
    }
    members
}

/// Converts a member's row, with the user's profile.
pub fn show_member(row: &member::Model, user: Author) -> Member {
    Member { user, role: row.role, joined_at: Timestamp(row.joined_at), last_read_seq: row.last_read_seq }
}

/// Converts rows of members, in the same order.
pub async fn show_members(conn: &impl ConnectionTrait, rows: Vec<member::Model>) -> Result<Vec<Member>> {
    let authors = users::authors(conn, rows.iter().map(|row| row.user_id)).await?;
    Ok(rows
        .iter()
        .filter_map(|row| authors.get(&row.user_id).map(|author| show_member(row, author.clone())))
        .collect())
}

async fn first_members(
    conn: &impl ConnectionTrait,
    chats: &[chat::Model],
) -> Result<HashMap<i64, Vec<Member>>> {
    let (small, large): (Vec<_>, Vec<_>) =
        chats.iter().partition(|chat| i64::from(chat.member_count) <= MEMBERS_SHOWN as i64);
    let in_order = |select: sea_orm::Select<member::Entity>| {
        select.order_by_asc(member::Column::JoinedAt).order_by_asc(member::Column::UserId)
    };
    let mut rows = in_order(
        member::Entity::present()
            .filter(member::Column::ChatId.is_in(small.iter().map(|chat| chat.id).collect::<Vec<_>>())),
    )
    .all(conn)
    .await?;
    for chat in large {
        rows.extend(in_order(member::Entity::of_chat(chat.id)).limit(MEMBERS_SHOWN).all(conn).await?);
    }
    let authors = users::authors(conn, rows.iter().map(|row| row.user_id)).await?;
    let mut members: HashMap<i64, Vec<Member>> = HashMap::new();
    for row in &rows {
        if let Some(author) = authors.get(&row.user_id) {
            members.entry(row.chat_id).or_default().push(show_member(row, author.clone()));
        }
    }
    Ok(members)
}

async fn newest_messages(
    conn: &impl ConnectionTrait,
    chats: &[chat::Model],
    viewer: Option<UserId>,
) -> Result<HashMap<i64, Message>> {
    let mut places = Condition::any();
    for chat in chats.iter().filter(|chat| chat.last_seq > 0) {
        places = places.add(message::Column::ChatId.eq(chat.id).and(message::Column::Seq.eq(chat.last_seq)));
    }
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = message::Entity::find().filter(places).all(conn).await?;
    let shown = message_view::show(conn, rows, viewer).await?;
    Ok(shown.into_iter().map(|message| (message.chat_id.0, message)).collect())
}

/// Returns the viewer's own state in these chats, by chat.
pub async fn own(conn: &impl ConnectionTrait, ids: &[i64], viewer: Viewer) -> Result<HashMap<i64, MyChat>> {
    let rows = member::Entity::of_user(viewer.user_id.0)
        .filter(member::Column::ChatId.is_in(ids.to_vec()))
        .all(conn)
        .await?;
    let mut unread = unread(conn, ids, viewer.user_id).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let my = MyChat {
                unread: unread.remove(&row.chat_id).unwrap_or(0),
                role: row.role,
                pinned: row.pinned_at.is_some(),
                muted_until: row.muted_until.filter(|until| *until > viewer.now).map(Timestamp),
                archived: row.archived,
                last_read_seq: row.last_read_seq,
            };
            (row.chat_id, my)
        })
        .collect())
}

/// Returns the number of unread messages of others, by chat, counted up to 1000.
pub async fn unread(conn: &impl ConnectionTrait, ids: &[i64], viewer: UserId) -> Result<HashMap<i64, i64>> {
    let list = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    // Each count stops at its limit, which an aggregate over a join would not do.
    let sql = format!(
        "SELECT m.chat_id, (SELECT COUNT(*) FROM (SELECT 1 FROM messages x WHERE x.chat_id = m.chat_id \
         AND x.seq > m.last_read_seq AND x.user_id <> m.user_id AND x.deleted_at IS NULL LIMIT {UNREAD_MOST}) t) \
         AS unread FROM members m WHERE m.user_id = {viewer} AND m.left_at IS NULL AND m.chat_id IN ({list})",
    );
    let rows = conn.query_all_raw(Statement::from_string(conn.get_database_backend(), sql)).await?;
    rows.iter().map(|row| Ok((row.try_get("", "chat_id")?, row.try_get("", "unread")?))).collect()
}
