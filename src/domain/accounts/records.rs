//! The data that is stored about a user, by kind and page, each record as one JSON object. Names are those of the
//! REST API. Excluded are hashes of passwords and tokens, and data of other users: reports against the user,
//! messages of other authors, and the names of moderators.

use std::collections::HashMap;

use entity::{
    attachment, audit, chat, contact, like, mail, member, message, message_edit, one_time_token, reaction,
    report, session, user,
};
use sea_orm::sea_query::Query;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::protocol::message_type::MessageType;

/// Records per page. A message may have 64 KiB by default.
const PAGE: u64 = 100;

/// A kind of record, in the order of the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The account itself.
    User,
    /// Logins, ended ones included while they are kept.
    Session,
    /// One-time tokens that were mailed, without the token.
    OneTimeToken,
    /// Users whom the user follows or blocks.
    Contact,
    /// Memberships, past ones included.
    Chat,
    /// Messages that the user has written.
    Message,
    /// Earlier versions of messages that the user has edited.
    MessageEdit,
    /// Files that the user has uploaded.
    Attachment,
    /// Messages that the user likes.
    Like,
    /// The user's reactions to messages.
    Reaction,
    /// Reports that the user has filed.
    Report,
    /// E-mails to the user.
    Mail,
    /// The user's own privileged actions.
    Act,
    /// Privileged actions of others on the user, such as bans and role changes.
    Moderation,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::User,
        Self::Session,
        Self::OneTimeToken,
        Self::Contact,
        Self::Chat,
        Self::Message,
        Self::MessageEdit,
        Self::Attachment,
        Self::Like,
        Self::Reaction,
        Self::Report,
        Self::Mail,
        Self::Act,
        Self::Moderation,
    ];

    /// Returns the name of the kind in the export.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Session => "session",
            Self::OneTimeToken => "one_time_token",
            Self::Contact => "contact",
            Self::Chat => "chat",
            Self::Message => "message",
            Self::MessageEdit => "message_edit",
            Self::Attachment => "attachment",
            Self::Like => "like",
            Self::Reaction => "reaction",
            Self::Report => "report",
            Self::Mail => "mail",
            Self::Act => "act",
            Self::Moderation => "moderation",
        }
    }
}

/// A page of records, and the number of its last record if more may follow.
pub type Page = (Vec<Value>, Option<i64>);

/// Returns the records of one kind whose number is greater than `after`.
pub async fn page(conn: &impl ConnectionTrait, kind: Kind, id: UserId, after: i64) -> Result<Page> {
    match kind {
        Kind::User => account(conn, id).await,
        Kind::Session => sessions(conn, id, after).await,
        Kind::OneTimeToken => one_time_tokens(conn, id, after).await,
        Kind::Contact => contacts(conn, id, after).await,
        Kind::Chat => chats(conn, id, after).await,
        Kind::Message => messages(conn, id, after).await,
        Kind::MessageEdit => message_edits(conn, id, after).await,
        Kind::Attachment => attachments(conn, id, after).await,
        Kind::Like => likes(conn, id, after).await,
        Kind::Reaction => reactions(conn, id, after).await,
        Kind::Report => reports(conn, id, after).await,
        Kind::Mail => mails(conn, id, after).await,
        Kind::Act => acts(conn, id, after).await,
        Kind::Moderation => moderation(conn, id, after).await,
    }
}

/// Reads a page of a query in the order of a column, starting after a value of it.
async fn read<E: EntityTrait>(
    conn: &impl ConnectionTrait,
    own: Select<E>,
    order: E::Column,
    after: i64,
) -> Result<Vec<E::Model>> {
    Ok(own.filter(order.gt(after)).order_by_asc(order).limit(PAGE).all(conn).await?)
}

/// Converts rows to records, with the number to continue after.
fn shown<T>(rows: Vec<T>, number: impl Fn(&T) -> i64, show: impl FnMut(T) -> Value) -> Page {
    let next = rows.last().filter(|_| rows.len() as u64 == PAGE).map(number);
    (rows.into_iter().map(show).collect(), next)
}

fn time(at: Option<i64>) -> Option<Timestamp> {
    at.map(Timestamp)
}

async fn account(conn: &impl ConnectionTrait, id: UserId) -> Result<Page> {
    let row = user::Entity::present().filter(user::Column::Id.eq(id.0)).one(conn).await?;
    let row = row.ok_or_else(|| Error::not_found("user"))?;
    let record = json!({
        "id": row.id, "username": row.username, "name": row.name, "phone": row.phone,
        "email": row.email, "email_verified": row.email_verified, "description": row.description,
        "photo": row.photo, "role": row.role, "language": row.language,
        "created_at": Timestamp(row.created_at), "last_seen_at": time(row.last_seen_at),
        "password_changed_at": time(row.password_changed_at), "banned_at": time(row.banned_at),
        "banned_until": time(row.banned_until), "ban_reason": row.ban_reason,
    });
    Ok((vec![record], None))
}

async fn sessions(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let own = session::Entity::find().filter(session::Column::UserId.eq(id.0));
    let rows = read(conn, own, session::Column::Id, after).await?;
    let show = |row: session::Model| {
        json!({
            "id": row.id, "user_agent": row.user_agent, "address": row.address,
            "created_at": Timestamp(row.created_at), "last_used_at": Timestamp(row.last_used_at),
            "expires_at": Timestamp(row.expires_at), "ended_at": time(row.ended_at),
            "end_reason": row.end_reason,
        })
    };
    Ok(shown(rows, |row| row.id, show))
}

async fn one_time_tokens(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let own = one_time_token::Entity::find().filter(one_time_token::Column::UserId.eq(id.0));
    let rows = read(conn, own, one_time_token::Column::Id, after).await?;
    let show = |row: one_time_token::Model| {
        json!({
            "id": row.id, "purpose": row.purpose, "email": row.email,
            "created_at": Timestamp(row.created_at), "expires_at": Timestamp(row.expires_at),
            "used_at": time(row.used_at),
        })
    };
    Ok(shown(rows, |row| row.id, show))
}

async fn contacts(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let own = contact::Entity::find().filter(contact::Column::UserId.eq(id.0));
    let rows = read(conn, own, contact::Column::OtherId, after).await?;
    let show = |row: contact::Model| {
        json!({
            "user_id": row.other_id, "followed_at": time(row.followed_at),
            "blocked_at": time(row.blocked_at),
        })
    };
    Ok(shown(rows, |row| row.other_id, show))
}

async fn chats(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let own = member::Entity::find().filter(member::Column::UserId.eq(id.0));
    let rows = read(conn, own, member::Column::ChatId, after).await?;
    let known = chat::Entity::find()
        .filter(chat::Column::Id.is_in(rows.iter().map(|row| row.chat_id)))
        .all(conn)
        .await?;
    let known: HashMap<i64, chat::Model> = known.into_iter().map(|row| (row.id, row)).collect();
    let show = |row: member::Model| {
        let chat = known.get(&row.chat_id);
        // The current name of a chat that the user has left is not the user's data.
        let name = chat.filter(|_| row.left_at.is_none()).and_then(|chat| chat.name.as_ref());
        json!({
            "chat_id": row.chat_id, "name": name,
            "is_group": chat.map(|chat| chat.is_group), "role": row.role,
            "joined_at": Timestamp(row.joined_at), "last_read_seq": row.last_read_seq,
            "pinned_at": time(row.pinned_at), "muted_until": time(row.muted_until),
            "archived": row.archived, "draft": row.draft, "draft_reply_to": row.draft_reply_to,
            "left_at": time(row.left_at), "left_reason": row.left_reason,
        })
    };
    Ok(shown(rows, |row| row.chat_id, show))
}

async fn messages(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let own = message::Entity::find().filter(message::Column::UserId.eq(id.0));
    // First only the ids, which an index lists: the rows before `after` are not read.
    let ids: Vec<i64> = own
        .select_only()
        .column(message::Column::Id)
        .filter(message::Column::Id.gt(after))
        .order_by_asc(message::Column::Id)
        .limit(PAGE)
        .into_tuple()
        .all(conn)
        .await?;
    let own = message::Entity::find().filter(message::Column::Id.is_in(ids));
    let rows = read(conn, own, message::Column::Id, after).await?;
    let show = |row: message::Model| {
        json!({
            "id": row.id, "chat_id": row.chat_id, "seq": row.seq,
            "message_type": MessageType::from_id(i64::from(row.message_type)), "content": row.content,
            "client_id": row.client_id, "reply_to": row.reply_to,
            "forwarded_user_id": row.forwarded_user_id, "forwarded_at": time(row.forwarded_at),
            "created_at": Timestamp(row.created_at), "edited_at": time(row.edited_at),
            "deleted_at": time(row.deleted_at),
        })
    };
    Ok(shown(rows, |row| row.id, show))
}

async fn message_edits(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let mut own = Query::select();
    own.column(message::Column::Id)
        .from(message::Entity)
        .and_where(message::Column::UserId.eq(id.0))
        .and_where(message::Column::EditedAt.is_not_null());
    let own = message_edit::Entity::find().filter(message_edit::Column::MessageId.in_subquery(own));
    let rows = read(conn, own, message_edit::Column::Id, after).await?;
    let show = |row: message_edit::Model| {
        json!({
            "id": row.id, "message_id": row.message_id,
            "message_type": MessageType::from_id(i64::from(row.message_type)), "content": row.content,
            "replaced_at": Timestamp(row.replaced_at),
        })
    };
    Ok(shown(rows, |row| row.id, show))
}

async fn attachments(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let own = attachment::Entity::find().filter(attachment::Column::UserId.eq(id.0));
    let rows = read(conn, own, attachment::Column::Id, after).await?;
    let show = |row: attachment::Model| {
        json!({
            "id": row.id, "chat_id": row.chat_id, "name": row.name, "mime": row.mime, "size": row.size,
            "created_at": Timestamp(row.created_at),
        })
    };
    Ok(shown(rows, |row| row.id, show))
}

/// Returns whole messages only: the number to continue after is that of a message, which may have several reactions.
async fn reactions(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let own = reaction::Entity::find().filter(reaction::Column::UserId.eq(id.0));
    let mut rows = read(conn, own, reaction::Column::MessageId, after).await?;
    let is_full = rows.len() as u64 == PAGE;
    let last = rows.last().map(|row| row.message_id);
    if is_full && rows.first().map(|row| row.message_id) != last {
        rows.retain(|row| Some(row.message_id) != last);
    }
    let next = rows.last().map(|row| row.message_id).filter(|_| is_full);
    let show = |row: reaction::Model| {
        json!({
            "message_id": row.message_id, "emoji": row.emoji, "created_at": Timestamp(row.created_at),
        })
    };
    Ok((rows.into_iter().map(show).collect(), next))
}

async fn likes(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let own = like::Entity::find().filter(like::Column::UserId.eq(id.0));
    let rows = read(conn, own, like::Column::MessageId, after).await?;
    let show =
        |row: like::Model| json!({"message_id": row.message_id, "created_at": Timestamp(row.created_at)});
    Ok(shown(rows, |row| row.message_id, show))
}

async fn reports(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let own = report::Entity::find().filter(report::Column::ReporterId.eq(id.0));
    let rows = read(conn, own, report::Column::Id, after).await?;
    let show = |row: report::Model| {
        json!({
            "id": row.id, "user_id": row.user_id, "chat_id": row.chat_id,
            "message_id": row.message_id, "reason": row.reason, "state": row.state,
            "created_at": Timestamp(row.created_at), "resolved_at": time(row.resolved_at),
        })
    };
    Ok(shown(rows, |row| row.id, show))
}

async fn mails(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let own = mail::Entity::find().filter(mail::Column::UserId.eq(id.0));
    let rows = read(conn, own, mail::Column::Id, after).await?;
    let show = |row: mail::Model| {
        json!({
            "id": row.id, "template": row.template, "recipient": row.recipient,
            "subject": row.subject, "state": row.state, "attempts": row.attempts,
            "created_at": Timestamp(row.created_at), "finished_at": time(row.finished_at),
        })
    };
    Ok(shown(rows, |row| row.id, show))
}

async fn acts(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let own = audit::Entity::find().filter(audit::Column::ActorId.eq(id.0));
    let rows = read(conn, own, audit::Column::Id, after).await?;
    let show = |row: audit::Model| {
        // Details of actions on other users are those users' data.
        let on_oneself = row.target_kind.as_deref() == Some("user") && row.target_id == Some(id.0);
        let details: Option<Value> =
            on_oneself.then(|| serde_json::from_str(&row.details).unwrap_or_default());
        json!({
            "id": row.id, "action": row.action, "target_kind": row.target_kind, "target_id": row.target_id,
            "details": details, "address": row.address, "created_at": Timestamp(row.created_at),
        })
    };
    Ok(shown(rows, |row| row.id, show))
}

async fn moderation(conn: &impl ConnectionTrait, id: UserId, after: i64) -> Result<Page> {
    let own = audit::Entity::find()
        .filter(audit::Column::TargetKind.eq("user"))
        .filter(audit::Column::TargetId.eq(id.0))
        .filter(audit::Column::ActorId.is_null().or(audit::Column::ActorId.ne(id.0)));
    let rows = read(conn, own, audit::Column::Id, after).await?;
    let show = |row: audit::Model| {
        let details: Value = serde_json::from_str(&row.details).unwrap_or_default();
        json!({
            "id": row.id, "action": row.action, "details": details, "created_at": Timestamp(row.created_at),
        })
    };
    Ok(shown(rows, |row| row.id, show))
}
