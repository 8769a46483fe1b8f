//! Stores any number of messages with a handful of statements.

use std::collections::{BTreeMap, HashMap};

use entity::{attachment, chat, mention, message, message_attachment};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, Query};
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter};

use super::draft::Draft;
use super::index;
use super::screen::{self, Flagged};
use crate::clock::Timestamp;
use crate::domain::links::Links;
use crate::domain::mentions::Mentions;
use crate::domain::{events, message_view};
use crate::error::{Error, Result};
use crate::ids::{ChatId, ConnId, MessageId};
use crate::platform::bus::{ChatPosition, Delivery};
use crate::protocol::messages::NewMessage;
use crate::protocol::messages::{Message, MyMessage};
use crate::protocol::users::Author;

/// Rows per insert: each binds 14 values, and SQLite allows at most 32,766.
const ROWS_PER_INSERT: usize = 1_000;

/// A message with a position in its chat, ready to be stored.
pub struct Positioned<'a> {
    /// The message.
    pub draft: &'a Draft,
    /// Its author.
    pub author: Author,
    /// The members whom it mentions.
    pub mentions: Mentions,
    /// Its attachments, in order.
    pub files: Vec<attachment::Model>,
    /// Its position in the chat.
    pub position: ChatPosition,
}

/// Gives a message the next position in its chat. The caller holds the lock of the chat's row.
pub fn place<'a>(
    chat: &mut chat::Model,
    draft: &'a Draft,
    author: Author,
    mentions: Mentions,
    files: Vec<attachment::Model>,
) -> Positioned<'a> {
    let position = ChatPosition { chat_id: ChatId(chat.id), rev: chat.rev + 1, prev: chat.rev };
    chat.rev = position.rev;
    chat.last_seq = position.rev;
    chat.visible = true;
    Positioned { draft, author, mentions, files, position }
}

/// Stores positioned messages and advances the counters of their chats. Returns the messages in the same order.
pub async fn store(
    conn: &impl ConnectionTrait,
    positioned: &[Positioned<'_>],
    links: Links<'_>,
) -> Result<Vec<Message>> {
    let now = links.now;
    let mut ids: HashMap<(i64, i64), i64> = HashMap::with_capacity(positioned.len());
    for rows in positioned.chunks(ROWS_PER_INSERT) {
        insert(conn, rows, now, &mut ids).await?;
    }
    move_counters(conn, positioned, now).await?;
    let replies = message_view::replies(conn, positioned.iter().filter_map(|it| Some(it.draft.reply_to?.0)));
    let replies = replies.await?;
    let mut messages = Vec::with_capacity(positioned.len());
    let (mut mentions, mut attached, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    for it in positioned {
        let (chat, seq) = (it.position.chat_id.0, it.position.rev);
        let id = *ids
            .get(&(chat, seq))
            .ok_or_else(|| Error::internal("a stored message came back without its id"))?;
        mentions.extend(it.mentions.rows(chat, seq, id, it.author.id.0));
        let names: Vec<&str> = it.files.iter().map(|file| file.name.as_str()).collect();
        entries.push((id, it.draft.index_entry(it.position.chat_id, it.author.id, &names)));
        let mut message = message_of(MessageId(id), it, now);
        message.reply = it.draft.reply_to.and_then(|id| replies.get(&id.0)).cloned();
        let link = |(position, file): (i32, &attachment::Model)| message_attachment::Model {
            message_id: id,
            position,
            attachment_id: file.id,
        };
        attached.extend((0..).zip(&it.files).map(link));
        message.attachments = it.files.iter().map(|file| links.show(file.clone())).collect();
        messages.push(message);
    }
    insert_mentions(conn, mentions).await?;
    attach(conn, attached).await?;
    index::put(conn, entries).await?;
    let flagged = messages.iter().zip(positioned).filter(|(_, it)| it.draft.is_flagged);
    let flagged = flagged.map(|(message, _)| Flagged {
        id: message.id.0,
        chat_id: message.chat_id.0,
        user_id: message.user.id.0,
        content: &message.content,
    });
    screen::report(conn, &flagged.collect::<Vec<_>>(), now).await?;
    Ok(messages)
}

/// Gives files to messages.
async fn attach(conn: &impl ConnectionTrait, rows: Vec<message_attachment::Model>) -> Result<()> {
    for rows in rows.chunks(ROWS_PER_INSERT) {
        let ids = rows.iter().map(|row| row.attachment_id);
        attachment::Entity::update_many()
            .col_expr(attachment::Column::DueAt, Expr::value(None::<i64>))
            .filter(attachment::Column::Id.is_in(ids))
            .exec(conn)
            .await?;
        let rows = rows.iter().cloned().map(message_attachment::Model::into_active_model);
        let rows = rows.map(ActiveModelTrait::reset_all);
        message_attachment::Entity::insert_many(rows).exec_without_returning(conn).await?;
    }
    Ok(())
}

/// Stores mentions.
pub async fn insert_mentions(conn: &impl ConnectionTrait, rows: Vec<mention::Model>) -> Result<()> {
    for rows in rows.chunks(ROWS_PER_INSERT) {
        let rows =
            rows.iter().cloned().map(mention::Model::into_active_model).map(ActiveModelTrait::reset_all);
        mention::Entity::insert_many(rows).exec_without_returning(conn).await?;
    }
    Ok(())
}

async fn insert(
    conn: &impl ConnectionTrait,
    rows: &[Positioned<'_>],
    now: i64,
    ids: &mut HashMap<(i64, i64), i64>,
) -> Result<()> {
    use message::Column;
    let mut insert = Query::insert()
        .into_table(message::Entity)
        .columns([
            Column::ChatId,
            Column::Seq,
            Column::Rev,
            Column::UserId,
            Column::MessageType,
            Column::Content,
            Column::ClientId,
            Column::Fingerprint,
            Column::ReplyTo,
            Column::Mentions,
            Column::ForwardedUserId,
            Column::ForwardedAt,
            Column::AttachmentCount,
            Column::CreatedAt,
        ])
        .returning(Query::returning().columns([Column::Id, Column::ChatId, Column::Seq]))
        .to_owned();
    for row in rows {
        insert
            .values([
                row.position.chat_id.0.into(),
                row.position.rev.into(),
                row.position.rev.into(),
                row.author.id.0.into(),
                row.draft.message_type.id().into(),
                row.draft.content.as_str().into(),
                row.draft.client_id.clone().into(),
                row.draft.fingerprint(row.position.chat_id.0).into(),
                row.draft.reply_to.map(|id| id.0).into(),
                row.mentions.to_column().into(),
                row.draft.forwarded_from.as_ref().map(|origin| origin.user.id.0).into(),
                row.draft.forwarded_from.as_ref().map(|origin| origin.created_at.0).into(),
                (row.files.len() as i32).into(),
                now.into(),
            ])
            .map_err(Error::internal)?;
    }
    for row in conn.query_all(&insert).await? {
        let (id, chat, seq): (i64, i64, i64) =
            (row.try_get("", "id")?, row.try_get("", "chat_id")?, row.try_get("", "seq")?);
        ids.insert((chat, seq), id);
    }
    Ok(())
}

/// Sets the counter of each chat to its last assigned value, with one statement for all chats.
async fn move_counters(conn: &impl ConnectionTrait, positioned: &[Positioned<'_>], now: i64) -> Result<()> {
    use chat::Column;
    let last: BTreeMap<i64, i64> =
        positioned.iter().map(|it| (it.position.chat_id.0, it.position.rev)).collect();
    let mut rev = CaseStatement::new();
    for (chat, value) in &last {
        rev = rev.case(Expr::col(Column::Id).eq(*chat), Expr::value(*value));
    }
    // Without this branch, a row that no case matches would lose its value.
    let rev = rev.finally(Expr::col(Column::Rev));
    chat::Entity::update_many()
        .col_expr(Column::Rev, rev.clone().into())
        .col_expr(Column::LastSeq, rev.into())
        .col_expr(Column::Visible, true.into())
        .col_expr(Column::LastActivityAt, now.into())
        .filter(Column::Id.is_in(last.into_keys()))
        .exec(conn)
        .await?;
    Ok(())
}

/// Returns the message that was stored under this id, without the message that it replies to and without files.
pub fn message_of(id: MessageId, positioned: &Positioned<'_>, now: i64) -> Message {
    let Positioned { draft, author, mentions, position, .. } = positioned;
    Message {
        id,
        chat_id: position.chat_id,
        chat: position.chat_id,
        seq: position.rev,
        rev: position.rev,
        content: draft.content.clone(),
        message_type: draft.message_type,
        user: author.clone(),
        client_id: draft.client_id.clone(),
        reply_to: draft.reply_to,
        reply: None,
        forwarded_from: draft.forwarded_from.clone(),
        mentions: mentions.users.clone(),
        mentions_all: mentions.all,
        attachments: Vec::new(),
        likes: 0,
        reactions: Vec::new(),
        pinned: false,
        edited_at: None,
        deleted_at: None,
        created_at: Timestamp(now),
        my: None,
    }
}

/// Returns the event of a new message, which the sending connection does not receive.
pub fn announcement(message: &Message, position: ChatPosition, conn: Option<ConnId>) -> Result<Delivery> {
    let event = NewMessage { message, prev: position.prev, by: message.user.id, at: message.created_at };
    Ok(events::new_message::at(position, &event)?.except(conn))
}

/// Returns a message as its author sees it.
pub fn to_author(mut message: Message) -> Message {
    message.my = Some(MyMessage::default());
    message
}
