//! Who likes a message, who reacted to it, who has read it, and its earlier versions: pages for REST. Its content as HTML.

use entity::{like, member, message, message_edit, reaction};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::clock::Timestamp;
use crate::domain::chats::{Membership, Page, cut, find_visible, id_cursor, require_open};
use crate::domain::message_view::kind;
use crate::domain::{Actor, AppContext, users};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, MessageId, UserId};
use crate::platform::rich_text::render_blocking;
use crate::protocol::members::ChatRole;
use crate::protocol::messages::MessageVersion;
use crate::protocol::reactions::{Emoji, UserReaction};
use crate::protocol::reading::Reader;
use crate::protocol::users::Author;

/// Members of a chat up to which read marks of others are shown.
const MOST_MEMBERS: i32 = crate::domain::chats::ANNOUNCED_UP_TO;

/// A message in a chat that the user belongs to.
struct Visible {
    message: message::Model,
    chat: entity::chat::Model,
    member: member::Model,
}

async fn visible(conn: &impl ConnectionTrait, actor: Actor, id: MessageId) -> Result<Visible> {
    let absent = || Error::not_found("message");
    let message = message::Entity::find_by_id(id.0).one(conn).await?.ok_or_else(absent)?;
    let found = find_visible(conn, ChatId(message.chat_id), actor.user_id).await;
    let Membership { chat, member } = found.map_err(|error| match error.code {
        Code::NotFound => absent(),
        _ => error,
    })?;
    Ok(Visible { message, chat, member })
}

/// Returns a page of the users who like a message, by id.
pub async fn likes(
    context: &AppContext,
    actor: Actor,
    id: MessageId,
    after: Option<&str>,
    limit: u64,
) -> Result<Page<Author>> {
    let conn = context.db.read();
    visible(conn, actor, id).await?;
    let rows: Vec<i64> = like::Entity::find()
        .select_only()
        .column(like::Column::UserId)
        .filter(like::Column::MessageId.eq(id.0))
        .filter(like::Column::UserId.gt(id_cursor(after, 0)?))
        .order_by_asc(like::Column::UserId)
        .limit(limit + 1)
        .into_tuple()
        .all(conn)
        .await?;
    let (ids, next) = cut(rows, limit, ToString::to_string);
    let mut authors = users::authors(conn, ids.iter().copied()).await?;
    Ok(Page { items: ids.iter().filter_map(|id| authors.remove(id)).collect(), next })
}

/// Returns a page of the reactions to a message, by user, of one emoji or of all.
pub async fn reactions(
    context: &AppContext,
    actor: Actor,
    id: MessageId,
    emoji: Option<Emoji>,
    after: Option<&str>,
    limit: u64,
) -> Result<Page<UserReaction>> {
    let conn = context.db.read();
    visible(conn, actor, id).await?;
    let mut select = reaction::Entity::of_message(id.0);
    if let Some(emoji) = emoji {
        select = select.filter(reaction::Column::Emoji.eq(emoji.as_str()));
    }
    if let Some(after) = after {
        let invalid = || Error::invalid("cursor", "is not valid");
        let (user, last) = after.split_once('-').ok_or_else(invalid)?;
        let user: i64 = user.parse().map_err(|_| invalid())?;
        let last = Emoji::parse(last).ok_or_else(invalid)?;
        let later = reaction::Column::UserId.gt(user);
        let same = reaction::Column::UserId.eq(user).and(reaction::Column::Emoji.gt(last.as_str()));
        select = select.filter(later.or(same));
    }
    let rows = select
        .order_by_asc(reaction::Column::UserId)
        .order_by_asc(reaction::Column::Emoji)
        .limit(limit + 1)
        .all(conn)
        .await?;
    let (rows, next) = cut(rows, limit, |row| format!("{}-{}", row.user_id, row.emoji));
    let authors = users::authors(conn, rows.iter().map(|row| row.user_id)).await?;
    let items = rows.into_iter().filter_map(|row| {
        let user = authors.get(&row.user_id)?.clone();
        Some(UserReaction { user, emoji: row.emoji, created_at: Timestamp(row.created_at) })
    });
    Ok(Page { items: items.collect(), next })
}

/// Returns a page of the members who have read a message, by id; without its author.
pub async fn reads(
    context: &AppContext,
    actor: Actor,
    id: MessageId,
    after: Option<&str>,
    limit: u64,
) -> Result<Page<Reader>> {
    let conn = context.db.read();
    let Visible { message, chat, .. } = visible(conn, actor, id).await?;
    if chat.member_count > MOST_MEMBERS {
        let problem = format!("only chats of up to {MOST_MEMBERS} members show who has read a message");
        return Err(Error::forbidden(problem));
    }
    // A stranger does not learn whether their chat was read.
    require_open(&chat, "id")?;
    let rows = member::Entity::of_chat(chat.id)
        .filter(member::Column::LastReadSeq.gte(message.seq))
        .filter(member::Column::UserId.ne(message.user_id))
        // For newcomers, earlier messages count as read.
        .filter(member::Column::JoinedAt.lte(message.created_at))
        .filter(member::Column::UserId.gt(id_cursor(after, 0)?))
        .order_by_asc(member::Column::UserId)
        .limit(limit + 1)
        .all(conn)
        .await?;
    let (rows, next) = cut(rows, limit, |row| row.user_id.to_string());
    let authors = users::authors(conn, rows.iter().map(|row| row.user_id)).await?;
    let items = rows.into_iter().filter_map(|row| {
        Some(Reader { user: authors.get(&row.user_id)?.clone(), last_read_seq: row.last_read_seq })
    });
    Ok(Page { items: items.collect(), next })
}

/// Returns a page of the earlier versions of a message, the latest first. For its author and the group's admins.
pub async fn edits(
    context: &AppContext,
    actor: Actor,
    id: MessageId,
    before: Option<&str>,
    limit: u64,
) -> Result<Page<MessageVersion>> {
    let conn = context.db.read();
    let Visible { message, chat, member } = visible(conn, actor, id).await?;
    let manages = chat.is_group && member.role >= ChatRole::Admin;
    if UserId(message.user_id) != actor.user_id && !manages {
        let problem = "only its author, the chat's owner and admins see earlier versions of a message";
        return Err(Error::forbidden(problem));
    }
    let mut select = message_edit::Entity::of_message(id.0);
    if before.is_some() {
        select = select.filter(message_edit::Column::Id.lt(id_cursor(before, 0)?));
    }
    let rows = select.order_by_desc(message_edit::Column::Id).limit(limit + 1).all(conn).await?;
    let (rows, next) = cut(rows, limit, |row| row.id.to_string());
    let items = rows.into_iter().map(|row| MessageVersion {
        content: row.content,
        message_type: kind(row.message_type),
        replaced_at: Timestamp(row.replaced_at),
    });
    Ok(Page { items: items.collect(), next })
}

/// Returns the content of a message as HTML that is safe to insert into a page, and the message's `rev`; `None` if the
/// reader has the HTML of that `rev`.
pub async fn rendered(
    context: &AppContext,
    actor: Actor,
    id: MessageId,
    has: impl Fn(i64) -> bool,
) -> Result<(Option<String>, i64)> {
    let Visible { message, .. } = visible(context.db.read(), actor, id).await?;
    if has(message.rev) {
        return Ok((None, message.rev));
    }
    let html = render_blocking(kind(message.message_type).name(), message.content).await?;
    Ok((Some(html), message.rev))
}
