//! Conversion of message rows to the messages that clients receive.

use std::collections::{HashMap, HashSet};

use entity::{like, message, user};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryResult,
    QuerySelect, Select,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::domain::users::{self, AuthorRow};
use crate::error::{Error, Result};
use crate::ids::{ChatId, MessageId, UserId};
use crate::protocol::message_type::MessageType;
use crate::protocol::messages::{Message, MyMessage, Reaction};
use crate::protocol::users::Author;

/// A message's row, with what is shown beside it.
pub struct ShownRow {
    /// The message.
    pub message: message::Model,
    author: Author,
    my: Option<MyMessage>,
}

impl FromQueryResult for ShownRow {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let liked: Option<bool> = row.try_get("", "liked")?;
        let AuthorRow(author) = AuthorRow::from_query_result(row, prefix)?;
        let my = liked.map(|liked| MyMessage { liked, reactions: Vec::new() });
        Ok(Self { message: message::Model::from_query_result(row, prefix)?, author, my })
    }
}

impl ShownRow {
    /// Returns the message that its viewer sees.
    pub fn show(self) -> Message {
        show_row(self.message, self.author, self.my)
    }
}

/// Adds the author to each message, and whether the viewer likes it, if there is one.
pub fn shown(select: Select<message::Entity>, viewer: Option<UserId>) -> Select<message::Entity> {
    let of_user =
        message::Entity::belongs_to(user::Entity).from(message::Column::UserId).to(user::Column::Id).into();
    let select = users::with_author_columns(select.join(JoinType::InnerJoin, of_user));
    let Some(viewer) = viewer else { return select.expr_as(Expr::value(None::<bool>), "liked") };
    let likes = Query::select()
        .expr(Expr::value(1))
        .from(like::Entity)
        .and_where(Expr::col((like::Entity, like::Column::UserId)).eq(viewer.0))
        .and_where(
            Expr::col((like::Entity, like::Column::MessageId)).equals((message::Entity, message::Column::Id)),
        )
        .to_owned();
    select.expr_as(Expr::exists(likes), "liked")
}

/// Converts rows to messages in the same order; with `my` if there is a viewer.
pub async fn show(
    conn: &impl ConnectionTrait,
    rows: Vec<message::Model>,
    viewer: Option<UserId>,
) -> Result<Vec<Message>> {
    let authors = users::authors(conn, rows.iter().map(|row| row.user_id)).await?;
    let liked: HashSet<i64> = match viewer {
        Some(viewer) if !rows.is_empty() => like::Entity::by_user(viewer.0, rows.iter().map(|row| row.id))
            .select_only()
            .column(like::Column::MessageId)
            .into_tuple::<i64>()
            .all(conn)
            .await?
            .into_iter()
            .collect(),
        _ => HashSet::new(),
    };
    rows.into_iter()
        .map(|row| {
            let author = authors
                .get(&row.user_id)
                .cloned()
                .ok_or_else(|| Error::internal("a message without its author"))?;
            let my = viewer.map(|_| MyMessage { liked: liked.contains(&row.id), reactions: Vec::new() });
            Ok(show_row(row, author, my))
        })
        .collect()
}

/// Converts one row to the message that its viewer sees.
pub async fn show_one(conn: &impl ConnectionTrait, row: message::Model, viewer: UserId) -> Result<Message> {
    show(conn, vec![row], Some(viewer))
        .await?
        .pop()
        .ok_or_else(|| Error::internal("a message that cannot be shown"))
}

fn show_row(row: message::Model, user: Author, my: Option<MyMessage>) -> Message {
    let gone = row.deleted_at.is_some();
    Message {
        id: MessageId(row.id),
        chat_id: ChatId(row.chat_id),
        chat: ChatId(row.chat_id),
        seq: row.seq,
        rev: row.rev,
        content: if gone { String::new() } else { row.content },
        message_type: kind(row.message_type),
        user,
        client_id: row.client_id,
        reply_to: row.reply_to.map(MessageId),
        attachments: Vec::new(),
        likes: row.likes,
        reactions: Vec::new(),
        pinned: row.pinned_at.is_some(),
        edited_at: row.edited_at.map(Timestamp),
        deleted_at: row.deleted_at.map(Timestamp),
        created_at: Timestamp(row.created_at),
        my,
    }
}

fn kind(id: i16) -> MessageType {
    // The column only holds types that parsing has accepted; text is a safe fallback.
    MessageType::from_id(i64::from(id))
        .or_else(|| MessageType::from_name("text"))
        .unwrap_or_else(|| unreachable!("text is the first of the message types"))
}

/// A user who likes a message, in Mango's format.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Liker {
    /// The user's id.
    pub id: UserId,
    /// Display name.
    pub name: Option<String>,
    /// Bare name for `/static/{photo}/…`.
    pub photo: String,
}

/// A message in Mango's format: with its type as a number and the users who like it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MangoMessage {
    /// Never reused.
    pub id: MessageId,
    /// Id of its chat.
    pub chat_id: ChatId,
    /// Id of its chat.
    pub chat: ChatId,
    /// Its position in the chat.
    pub seq: i64,
    /// Counter value of its latest change.
    pub rev: i64,
    /// The content as it was sent.
    pub content: String,
    /// The message type, 1 to 25.
    pub message_type: i16,
    /// The author.
    pub user: Author,
    /// Id of the author.
    pub user_id: UserId,
    /// The author's id for the request.
    pub client_id: Option<String>,
    /// Id of the message that it replies to.
    pub reply_to: Option<MessageId>,
    /// Number of likes.
    pub likes: i32,
    /// The users who like it.
    pub likes_array: Vec<Liker>,
    /// Ids of attachments.
    pub attachments: Vec<i64>,
    /// Reactions by emoji.
    pub reactions: Vec<Reaction>,
    /// Whether it is pinned in the chat.
    pub pinned: bool,
    /// The viewer's own state.
    pub my: Option<MyMessage>,
    /// Time of the latest edit.
    pub edited_at: Option<Timestamp>,
    /// Time of the deletion.
    pub deleted_at: Option<Timestamp>,
    /// Time of the arrival.
    pub created_at: Timestamp,
}

/// Converts messages to Mango's format, in the same order.
pub async fn to_mango(conn: &impl ConnectionTrait, messages: Vec<Message>) -> Result<Vec<MangoMessage>> {
    let with_likes: Vec<i64> = messages.iter().filter(|it| it.likes > 0).map(|it| it.id.0).collect();
    let mut likes: HashMap<i64, Vec<Liker>> = HashMap::new();
    for ids in with_likes.chunks(500) {
        let rows = like::Entity::find().filter(like::Column::MessageId.is_in(ids.to_vec())).all(conn).await?;
        let people = users::authors(conn, rows.iter().map(|row| row.user_id)).await?;
        for row in rows {
            if let Some(Author { id, name, photo, .. }) = people.get(&row.user_id).cloned() {
                likes.entry(row.message_id).or_default().push(Liker { id, name, photo });
            }
        }
    }
    Ok(messages
        .into_iter()
        .map(|it| MangoMessage {
            likes_array: likes.remove(&it.id.0).unwrap_or_default(),
            id: it.id,
            chat_id: it.chat_id,
            chat: it.chat,
            seq: it.seq,
            rev: it.rev,
            content: it.content,
            message_type: it.message_type.id(),
            user_id: it.user.id,
            user: it.user,
            client_id: it.client_id,
            reply_to: it.reply_to,
            likes: it.likes,
            attachments: it.attachments,
            reactions: it.reactions,
            pinned: it.pinned,
            my: it.my,
            edited_at: it.edited_at,
            deleted_at: it.deleted_at,
            created_at: it.created_at,
        })
        .collect())
}
