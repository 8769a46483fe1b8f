//! Conversion of chats to what clients receive: with their first members, their newest message, and the viewer's
//! own state.

use std::collections::HashMap;

use entity::{chat, member, message, user};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, JoinType, QueryFilter,
    QueryOrder, QueryResult, QuerySelect,
};

use super::draft::saved;
use crate::clock::Timestamp;
use crate::domain::links::Links;
use crate::domain::message_view::ShownRow;
use crate::domain::users::AuthorRow;
use crate::domain::{AppContext, message_view, users};
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::protocol::chats::{Chat, MyChat};
use crate::protocol::members::Member;
use crate::protocol::messages::Message;
use crate::protocol::users::Author;

/// Members that are included in a chat; clients request the others.
pub const MEMBERS_SHOWN: u64 = 50;

/// The number of a member's unread messages of others. Each count stops at its limit, which an aggregate over a join would
/// not do.
const UNREAD: &str = "(SELECT COUNT(*) FROM (SELECT 1 FROM messages x WHERE x.chat_id = members.chat_id \
    AND x.seq > members.last_read_seq AND x.user_id <> members.user_id AND x.deleted_at IS NULL LIMIT 1000) t)";

/// The number of unread messages that mention a member, or all members.
const MENTIONS: &str = "(SELECT COUNT(*) FROM (SELECT 1 FROM mentions x WHERE x.user_id IN (members.user_id, 0) \
    AND x.chat_id = members.chat_id AND x.seq > members.last_read_seq AND x.author_id <> members.user_id LIMIT 1000) t)";

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
pub async fn load(
    conn: &impl ConnectionTrait,
    ids: &[ChatId],
    viewer: Option<Viewer>,
    links: Links<'_>,
) -> Result<Vec<Chat>> {
    let wanted: Vec<i64> = ids.iter().map(|id| id.0).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let rows = chat::Entity::present().filter(chat::Column::Id.is_in(wanted.clone())).all(conn).await?;
    let mut chats: HashMap<i64, Chat> =
        load_rows(conn, rows, viewer, links).await?.into_iter().map(|chat| (chat.id.0, chat)).collect();
    Ok(wanted.iter().filter_map(|id| chats.remove(id)).collect())
}

/// Does the same for rows that were read already.
pub(super) async fn load_rows(
    conn: &impl ConnectionTrait,
    rows: Vec<chat::Model>,
    viewer: Option<Viewer>,
    links: Links<'_>,
) -> Result<Vec<Chat>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mut members = first_members(conn, &rows).await?;
    let mut newest = newest_messages(conn, &rows, viewer.map(|it| it.user_id), links).await?;
    let mut mine = match viewer {
        Some(viewer) => own(conn, &ids, viewer).await?,
        None => HashMap::new(),
    };
    let shown = rows.into_iter().map(|row| Chat {
        id: ChatId(row.id),
        name: row.name,
        is_group: row.is_group,
        description: row.description,
        photo: row.photo,
        owner_id: UserId(row.owner_id),
        approved: row.approved,
        visible: row.visible,
        slow_mode_secs: row.slow_mode_secs,
        created_at: Timestamp(row.created_at),
        rev: row.rev,
        last_seq: row.last_seq,
        member_count: row.member_count,
        members: unread_while_pending(row.approved, members.remove(&row.id).unwrap_or_default(), viewer),
        last_message: newest.remove(&row.id),
        my: mine.remove(&row.id),
    });
    Ok(shown.collect())
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
    let with_users = |select: sea_orm::Select<member::Entity>| {
        let of_user =
            member::Entity::belongs_to(user::Entity).from(member::Column::UserId).to(user::Column::Id).into();
        let select = users::with_author_columns(select.join(JoinType::InnerJoin, of_user));
        in_order(select).into_model::<MemberRow>()
    };
    let mut rows = Vec::new();
    if !small.is_empty() {
        let of_small = member::Column::ChatId.is_in(small.iter().map(|chat| chat.id));
        rows = with_users(member::Entity::present().filter(of_small)).all(conn).await?;
    }
    for chat in large {
        // Users are joined only to the members that are shown: sorting thousands of profiles takes milliseconds.
        let first = in_order(member::Entity::of_chat(chat.id)).limit(MEMBERS_SHOWN).all(conn).await?;
        let authors = users::authors(conn, first.iter().map(|row| row.user_id)).await?;
        rows.extend(first.into_iter().filter_map(|row| {
            let author = authors.get(&row.user_id)?.clone();
            Some(MemberRow(row, author))
        }));
    }
    let mut members: HashMap<i64, Vec<Member>> = HashMap::new();
    for MemberRow(row, author) in rows {
        members.entry(row.chat_id).or_default().push(show_member(&row, author));
    }
    Ok(members)
}

/// A member's row, with the user's profile.
struct MemberRow(member::Model, Author);

impl FromQueryResult for MemberRow {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let AuthorRow(author) = AuthorRow::from_query_result(row, prefix)?;
        Ok(Self(member::Model::from_query_result(row, prefix)?, author))
    }
}

async fn newest_messages(
    conn: &impl ConnectionTrait,
    chats: &[chat::Model],
    viewer: Option<UserId>,
    links: Links<'_>,
) -> Result<HashMap<i64, Message>> {
    let mut places = Condition::any();
    for chat in chats.iter().filter(|chat| chat.last_seq > 0) {
        places = places.add(message::Column::ChatId.eq(chat.id).and(message::Column::Seq.eq(chat.last_seq)));
    }
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let newest = message_view::shown(message::Entity::find().filter(places), viewer);
    let rows = newest.into_model::<ShownRow>().all(conn).await?;
    let messages = message_view::show_rows(conn, rows, links).await?;
    Ok(messages.into_iter().map(|message| (message.chat_id.0, message)).collect())
}

/// Returns the viewer's own state in these chats, by chat.
pub async fn own(conn: &impl ConnectionTrait, ids: &[i64], viewer: Viewer) -> Result<HashMap<i64, MyChat>> {
    let rows = member::Entity::of_user(viewer.user_id.0)
        .filter(member::Column::ChatId.is_in(ids.to_vec()))
        .expr_as(Expr::cust(UNREAD), "unread")
        .expr_as(Expr::cust(MENTIONS), "mentions_count")
        .into_model::<OwnRow>()
        .all(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|OwnRow { row, unread, mentions }| {
            let my = MyChat {
                unread,
                mentions,
                draft: saved(&row),
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

/// A member's row, with the numbers of unread messages and mentions.
struct OwnRow {
    row: member::Model,
    unread: i64,
    mentions: i64,
}

impl FromQueryResult for OwnRow {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let (unread, mentions) = (row.try_get("", "unread")?, row.try_get("", "mentions_count")?);
        Ok(Self { row: member::Model::from_query_result(row, prefix)?, unread, mentions })
    }
}

/// Returns the number of unread messages of others, by chat, counted up to 1000.
pub async fn unread(conn: &impl ConnectionTrait, ids: &[i64], viewer: UserId) -> Result<HashMap<i64, i64>> {
    let rows: Vec<(i64, i64)> = member::Entity::of_user(viewer.0)
        .select_only()
        .column(member::Column::ChatId)
        .expr_as(Expr::cust(UNREAD), "unread")
        .filter(member::Column::ChatId.is_in(ids.to_vec()))
        .into_tuple()
        .all(conn)
        .await?;
    Ok(rows.into_iter().collect())
}

/// Returns the number of unread messages of others for many members, counted up to 1000 each.
pub(super) async fn unread_of(
    conn: &impl ConnectionTrait,
    members: &[(ChatId, UserId)],
) -> Result<HashMap<(ChatId, UserId), i64>> {
    let mut counts = HashMap::with_capacity(members.len());
    for some in members.chunks(250) {
        let any = some.iter().fold(Condition::any(), |any, (chat, user)| {
            any.add(member::Column::ChatId.eq(chat.0).and(member::Column::UserId.eq(user.0)))
        });
        let rows: Vec<(i64, i64, i64)> = member::Entity::present()
            .select_only()
            .columns([member::Column::ChatId, member::Column::UserId])
            .expr_as(Expr::cust(UNREAD), "unread")
            .filter(any)
            .into_tuple()
            .all(conn)
            .await?;
        counts.extend(rows.into_iter().map(|(chat, user, unread)| ((ChatId(chat), UserId(user)), unread)));
    }
    Ok(counts)
}
