//! Conversion of message rows to the messages that clients receive.

use std::collections::HashMap;

use entity::{attachment, like, message, message_attachment, reaction, user};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, Func, Order, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryOrder,
    QueryResult, QuerySelect, Select,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::domain::links::Links;
use crate::domain::mentions::Mentions;
use crate::domain::users::{self, AuthorRow};
use crate::error::{Error, Result};
use crate::ids::{ChatId, MessageId, UserId};
use crate::protocol::attachments::Attachment;
use crate::protocol::forwarding::ForwardedFrom;
use crate::protocol::message_type::MessageType;
use crate::protocol::messages::{Message, MyMessage, Reply};
use crate::protocol::reactions::Reaction;
use crate::protocol::users::Author;

/// Ids per statement.
const MANY_IDS: usize = 1_000;

/// Characters of a replied-to message that are shown.
const EXCERPT: usize = 200;

/// A message's row, with what is shown beside it.
pub struct ShownRow {
    /// The message.
    pub message: message::Model,
    author: Author,
    my: Option<Own>,
}

/// The viewer's own state of a message.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// The viewer.
    pub viewer: i64,
    /// Whether the viewer likes it.
    pub liked: bool,
    /// The emoji that the viewer reacted with.
    pub reactions: Vec<String>,
}

impl Own {
    /// Returns the state of a viewer who has neither liked nor reacted.
    pub fn of(viewer: UserId) -> Self {
        Self { viewer: viewer.0, ..Self::default() }
    }

    /// Returns the state that the viewer sees of a message by this author with these mentions.
    pub fn show(self, author: UserId, mentions: &Mentions) -> MyMessage {
        let Self { viewer, liked, reactions } = self;
        MyMessage { liked, reactions, mentioned: mentions.concern(UserId(viewer), author) }
    }
}

impl FromQueryResult for ShownRow {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let viewer: Option<i64> = row.try_get("", "viewer")?;
        let my = match viewer {
            None => None,
            Some(viewer) => {
                let reactions: Option<String> = row.try_get("", "my_reactions")?;
                let reactions = reactions.map(|text| text.split(' ').map(str::to_owned).collect());
                let liked = row.try_get("", "liked")?;
                Some(Own { viewer, liked, reactions: reactions.unwrap_or_default() })
            }
        };
        let AuthorRow(author) = AuthorRow::from_query_result(row, prefix)?;
        Ok(Self { message: message::Model::from_query_result(row, prefix)?, author, my })
    }
}

/// Adds the author to each message, and the viewer's own state, if there is a viewer.
pub fn shown(select: Select<message::Entity>, viewer: Option<UserId>) -> Select<message::Entity> {
    let of_user =
        message::Entity::belongs_to(user::Entity).from(message::Column::UserId).to(user::Column::Id).into();
    let select = users::with_author_columns(select.join(JoinType::InnerJoin, of_user))
        .expr_as(Expr::value(viewer.map(|it| it.0)), "viewer");
    let Some(viewer) = viewer else { return select };
    let likes = Query::select()
        .expr(Expr::value(1))
        .from(like::Entity)
        .and_where(Expr::col((like::Entity, like::Column::UserId)).eq(viewer.0))
        .and_where(
            Expr::col((like::Entity, like::Column::MessageId)).equals((message::Entity, message::Column::Id)),
        )
        .to_owned();
    select.expr_as(Expr::exists(likes), "liked").expr_as(my_reactions(viewer), "my_reactions")
}

/// Returns the emoji that the viewer reacted with, separated by spaces. Most messages have no reactions.
fn my_reactions(viewer: UserId) -> Expr {
    use reaction::Column;
    let own = Query::select()
        .column(Column::Emoji)
        .from(reaction::Entity)
        .and_where(
            Expr::col((reaction::Entity, Column::MessageId)).equals((message::Entity, message::Column::Id)),
        )
        .and_where(Expr::col((reaction::Entity, Column::UserId)).eq(viewer.0))
        .order_by(Column::CreatedAt, Order::Asc)
        .to_owned();
    let joined = Func::cust("string_agg").args([Expr::col(Column::Emoji), Expr::val(" ")]);
    let joined = Query::select().expr(joined).from_subquery(own, "own").to_owned();
    let has_none = Expr::col((message::Entity, message::Column::Reactions)).is_null();
    CaseStatement::new()
        .case(has_none, Expr::value(None::<String>))
        .finally(Expr::SubQuery(None, Box::new(joined.into())))
        .into()
}

/// Converts rows to messages in the same order; with `my` if there is a viewer.
pub async fn show(
    conn: &impl ConnectionTrait,
    rows: Vec<message::Model>,
    viewer: Option<UserId>,
    links: Links<'_>,
) -> Result<Vec<Message>> {
    let authors = users::authors(conn, rows.iter().map(|row| row.user_id)).await?;
    let viewers: Vec<UserId> = viewer.into_iter().collect();
    let mut own = own_states(conn, &rows, &viewers).await?;
    let rows: Result<Vec<ShownRow>> = rows
        .into_iter()
        .map(|message| {
            let author = authors
                .get(&message.user_id)
                .cloned()
                .ok_or_else(|| Error::internal("a message without its author"))?;
            let my =
                viewer.map(|viewer| own.remove(&(message.id, viewer.0)).unwrap_or_else(|| Own::of(viewer)));
            Ok(ShownRow { message, author, my })
        })
        .collect();
    show_rows(conn, rows?, links).await
}

/// Returns the own states of these users that are not the default, by message and user.
pub async fn own_states(
    conn: &impl ConnectionTrait,
    rows: &[message::Model],
    viewers: &[UserId],
) -> Result<HashMap<(i64, i64), Own>> {
    let mut states: HashMap<(i64, i64), Own> = HashMap::new();
    if viewers.is_empty() {
        return Ok(states);
    }
    let users: Vec<i64> = viewers.iter().map(|id| id.0).collect();
    let ids = |with: fn(&&message::Model) -> bool| rows.iter().filter(with).map(|row| row.id).collect();
    let liked: Vec<i64> = ids(|row| row.likes > 0);
    let state = |states: &mut HashMap<(i64, i64), Own>, message: i64, viewer: i64, set: &dyn Fn(&mut Own)| {
        set(states.entry((message, viewer)).or_insert_with(|| Own::of(UserId(viewer))));
    };
    if !liked.is_empty() {
        let by_viewers = like::Entity::find()
            .filter(like::Column::MessageId.is_in(liked))
            .filter(like::Column::UserId.is_in(users.iter().copied()));
        for row in by_viewers.all(conn).await? {
            state(&mut states, row.message_id, row.user_id, &|own| own.liked = true);
        }
    }
    let reacted: Vec<i64> = ids(|row| row.reactions.is_some());
    if !reacted.is_empty() {
        let reactions = reaction::Entity::find()
            .filter(reaction::Column::MessageId.is_in(reacted))
            .filter(reaction::Column::UserId.is_in(users))
            .order_by_asc(reaction::Column::CreatedAt);
        for row in reactions.all(conn).await? {
            state(&mut states, row.message_id, row.user_id, &|own| own.reactions.push(row.emoji.clone()));
        }
    }
    Ok(states)
}

/// Converts rows to the messages that their viewer sees, in the same order. Reads what other rows are needed for that:
/// the messages that are replied to, and the authors of forwarded ones.
pub async fn show_rows(
    conn: &impl ConnectionTrait,
    rows: Vec<ShownRow>,
    links: Links<'_>,
) -> Result<Vec<Message>> {
    let with_files = rows.iter().filter(|row| row.message.attachment_count > 0).map(|row| row.message.id);
    let mut files = attachments(conn, with_files).await?;
    let replies = replies(conn, rows.iter().filter_map(|row| row.message.reply_to)).await?;
    let origins = users::authors(conn, rows.iter().filter_map(|row| row.message.forwarded_user_id)).await?;
    Ok(rows
        .into_iter()
        .map(|ShownRow { message, author, my }| {
            let forwarded_from = message.forwarded_user_id.and_then(|id| origins.get(&id)).cloned();
            let reply = message.reply_to.and_then(|id| replies.get(&id)).cloned();
            let forwarded_from = forwarded_from
                .map(|user| ForwardedFrom { user, created_at: Timestamp(message.forwarded_at.unwrap_or(0)) });
            let files = files.remove(&message.id).unwrap_or_default();
            let files = files.into_iter().map(|row| links.show(row)).collect();
            show_row(message, author, my, Beside { reply, forwarded_from, attachments: files })
        })
        .collect())
}

/// Returns what is shown of these messages beside the replies to them, by id.
pub async fn replies(
    conn: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = i64>,
) -> Result<HashMap<i64, Reply>> {
    let mut ids: Vec<i64> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let mut found = HashMap::with_capacity(ids.len());
    for some in ids.chunks(MANY_IDS) {
        use message::Column;
        let column = |column: Column| Expr::col((message::Entity, column));
        let of_user = message::Entity::belongs_to(user::Entity).from(Column::UserId).to(user::Column::Id);
        let select = message::Entity::find()
            .select_only()
            .expr_as(column(Column::Id), "reply_id")
            .expr_as(column(Column::Seq), "reply_seq")
            .expr_as(column(Column::MessageType), "reply_type")
            .expr_as(column(Column::DeletedAt).is_not_null(), "reply_deleted")
            .expr_as(
                Func::cust("substr").args([column(Column::Content), 1.into(), (EXCERPT as i32).into()]),
                "reply_excerpt",
            )
            .join(JoinType::InnerJoin, of_user.into())
            .filter(Column::Id.is_in(some.iter().copied()));
        let rows = users::with_author_columns(select).into_model::<ReplyRow>().all(conn).await?;
        found.extend(rows.into_iter().map(|ReplyRow(reply)| (reply.id.0, reply)));
    }
    Ok(found)
}

struct ReplyRow(Reply);

impl FromQueryResult for ReplyRow {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let AuthorRow(user) = AuthorRow::from_query_result(row, prefix)?;
        let deleted = row.try_get("reply_", "deleted")?;
        let excerpt: String = row.try_get("reply_", "excerpt")?;
        Ok(Self(Reply {
            id: MessageId(row.try_get("reply_", "id")?),
            seq: row.try_get("reply_", "seq")?,
            user,
            message_type: kind(row.try_get("reply_", "type")?),
            excerpt: if deleted { String::new() } else { excerpt },
            deleted,
        }))
    }
}

/// Converts one row to the message that its viewer sees.
pub async fn show_one(
    conn: &impl ConnectionTrait,
    row: message::Model,
    viewer: UserId,
    links: Links<'_>,
) -> Result<Message> {
    show(conn, vec![row], Some(viewer), links)
        .await?
        .pop()
        .ok_or_else(|| Error::internal("a message that cannot be shown"))
}

/// Returns the reactions that a message's row holds.
pub fn reactions(row: &message::Model) -> Vec<Reaction> {
    row.reactions.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// What other rows add to a message.
#[derive(Default)]
struct Beside {
    reply: Option<Reply>,
    forwarded_from: Option<ForwardedFrom>,
    attachments: Vec<Attachment>,
}

/// Returns the attachments of these messages, in order, by message.
pub async fn attachments(
    conn: &impl ConnectionTrait,
    messages: impl IntoIterator<Item = i64>,
) -> Result<HashMap<i64, Vec<attachment::Model>>> {
    let ids: Vec<i64> = messages.into_iter().collect();
    let mut found: HashMap<i64, Vec<attachment::Model>> = HashMap::new();
    for some in ids.chunks(MANY_IDS) {
        let of_link = message_attachment::Entity::belongs_to(attachment::Entity)
            .from(message_attachment::Column::AttachmentId)
            .to(attachment::Column::Id);
        let rows = message_attachment::Entity::find()
            .join(JoinType::InnerJoin, of_link.into())
            .select_also(attachment::Entity)
            .filter(message_attachment::Column::MessageId.is_in(some.iter().copied()))
            .order_by_asc(message_attachment::Column::MessageId)
            .order_by_asc(message_attachment::Column::Position)
            .all(conn)
            .await?;
        for (link, row) in rows {
            found.entry(link.message_id).or_default().extend(row);
        }
    }
    Ok(found)
}

fn show_row(row: message::Model, user: Author, my: Option<Own>, beside: Beside) -> Message {
    let Beside { reply, forwarded_from, attachments } = beside;
    let gone = row.deleted_at.is_some();
    let mentions = Mentions::of_row(&row);
    Message {
        id: MessageId(row.id),
        chat_id: ChatId(row.chat_id),
        chat: ChatId(row.chat_id),
        seq: row.seq,
        rev: row.rev,
        reactions: reactions(&row),
        content: if gone { String::new() } else { row.content },
        message_type: kind(row.message_type),
        client_id: row.client_id,
        reply_to: row.reply_to.map(MessageId),
        reply,
        forwarded_from: forwarded_from.filter(|_| !gone),
        attachments,
        likes: row.likes,
        pinned: row.pinned_at.is_some(),
        edited_at: row.edited_at.map(Timestamp),
        deleted_at: row.deleted_at.map(Timestamp),
        created_at: Timestamp(row.created_at),
        my: my.map(|own| own.show(user.id, &mentions)),
        user,
        mentions: mentions.users,
        mentions_all: mentions.all,
    }
}

/// Returns the message type with this number.
pub fn kind(id: i16) -> MessageType {
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
    /// What is shown of the message that it replies to.
    pub reply: Option<Reply>,
    /// The origin of a forwarded message.
    pub forwarded_from: Option<ForwardedFrom>,
    /// Members who are mentioned.
    pub mentions: Vec<UserId>,
    /// Whether all members are mentioned.
    pub mentions_all: bool,
    /// Number of likes.
    pub likes: i32,
    /// The users who like it.
    pub likes_array: Vec<Liker>,
    /// Files.
    pub attachments: Vec<Attachment>,
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
            reply: it.reply,
            forwarded_from: it.forwarded_from,
            mentions: it.mentions,
            mentions_all: it.mentions_all,
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
