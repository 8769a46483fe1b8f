//! Creating a chat. Two users have one direct chat: a second request returns the existing one. With a `client_id`,
//! a retried creation of a group returns the group that was created first.

use crate::config::ContactRule;
use crate::protocol::members::ChatRole;
use entity::enums::LeftReason;
use std::collections::BTreeSet;

use entity::{chat, member, user};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Query;
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::access::member_ids;
use super::approval::approve_locked;
use super::bounds::require_room;
use super::{begin_change, change_at, load};
use crate::domain::{AppContext, contacts, events, users};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::{OpenChange, Tx};
use crate::platform::limits::{Key, Turn};
use crate::protocol::chats::ChatCreated;
use crate::protocol::chats::NewChat;
use crate::text::{fold, nfc};

/// How long a user whose chat was declined must wait before the next request, milliseconds.
const DECLINED_FOR_MS: i64 = 24 * 60 * 60 * 1_000;

/// Number of other members from which a user can only create one group at a time.
const LARGE_GROUP: usize = 200;

/// A chat that was found or created, with the transaction that holds its lock.
pub struct Opened {
    /// The transaction.
    pub tx: Tx,
    /// The chat.
    pub chat: chat::Model,
    /// Whether it was created.
    pub is_new: bool,
    /// The user's turn to create a large group, held until the commit.
    _turn: Option<Turn>,
}

/// Finds the chat that a request describes, or creates it.
pub async fn open(context: &AppContext, request: &NewChat, creator: UserId) -> Result<Opened> {
    let others: BTreeSet<i64> =
        request.members_array.iter().map(|id| id.0).filter(|id| *id != creator.0).collect();
    if !request.is_group && others.len() != 1 {
        return Err(Error::field(
            Code::DirectChatMembers,
            "chat.members_array",
            "a direct chat has exactly two members: its creator and one other user",
        ));
    }
    if others.len() + 1 > context.limits.max_group_members {
        let problem = format!("must have at most {} members", context.limits.max_group_members);
        return Err(Error::invalid("chat.members_array", problem));
    }
    // Large groups are much work for the one writer: with turns, other work gets in between.
    let turn = match others.len() {
        0..LARGE_GROUP => None,
        _ => Some(context.rates.large_groups.take(Key::user(creator)).await?),
    };
    let tx = context.db.begin().await?;
    let Some(mut chat) = find_made_before(&tx, request, creator, &others).await? else {
        let (tx, chat) = make(context, tx, request, creator, &others).await?;
        return Ok(Opened { tx, chat, is_new: true, _turn: turn });
    };
    // A recipient who requests the chat that a stranger has opened approves it.
    let waits = !chat.approved && chat.owner_id != creator.0 && !chat.blocked;
    let tx = if waits { approve_locked(context, tx, &mut chat, creator).await? } else { tx };
    Ok(Opened { tx, chat, is_new: false, _turn: turn })
}

/// Stores a new chat and announces it.
async fn make(
    context: &AppContext,
    tx: Tx,
    request: &NewChat,
    creator: UserId,
    others: &BTreeSet<i64>,
) -> Result<(Tx, chat::Model)> {
    let (change, chat) = insert(context, tx, request, creator, others).await?;
    let (chat_id, position) = (ChatId(chat.id), change.position());
    let details = one(load(change.conn(), &[chat_id], None, context.links()).await?)?;
    let members = member_ids(change.conn(), chat_id).await?;
    let event = ChatCreated { change: change_at(position, creator, context.clock.now()), details };
    let event = events::chat_created::at(position, &event)?.joining(members);
    Ok((change.announce(event)?, chat))
}

fn one<T>(list: Vec<T>) -> Result<T> {
    list.into_iter().next().ok_or_else(|| Error::internal("a chat that was just written is not there"))
}

/// Finds the chat that a request describes, if it exists already.
async fn find_made_before(
    tx: &Tx,
    request: &NewChat,
    creator: UserId,
    others: &BTreeSet<i64>,
) -> Result<Option<chat::Model>> {
    let direct_key =
        others.first().filter(|_| !request.is_group).map(|other| chat::Entity::direct_key(creator.0, *other));
    if let Some(key) = direct_key {
        return tx.lock_row(chat::Entity::present().filter(chat::Column::DirectKey.eq(key))).await;
    }
    let Some(client_id) = &request.client_id else { return Ok(None) };
    let made = chat::Entity::find()
        .filter(chat::Column::CreatorId.eq(creator.0))
        .filter(chat::Column::ClientId.eq(client_id));
    match tx.lock_row(made).await? {
        Some(chat) if chat.deleted_at.is_some() || !chat.is_group || chat.name != group_name(request) => {
            Err(Error::field(
                Code::ClientIdConflict,
                "chat.client_id",
                "was already used for another chat, or for a deleted one",
            ))
        }
        found => Ok(found),
    }
}

fn group_name(request: &NewChat) -> Option<String> {
    request.name.as_deref().map(|name| nfc(name.trim())).filter(|_| request.is_group)
}

/// Refuses a user whose chat with `other` was declined less than a day ago.
async fn require_not_declined(
    conn: &impl ConnectionTrait,
    creator: UserId,
    other: i64,
    now: i64,
) -> Result<()> {
    let mut with_other = Query::select();
    with_other
        .column(member::Column::ChatId)
        .from(member::Entity)
        .and_where(member::Column::UserId.eq(other));
    let mut own = Query::select();
    own.column(chat::Column::Id).from(chat::Entity).and_where(chat::Column::CreatorId.eq(creator.0));
    let declined = member::Entity::find()
        .filter(member::Column::UserId.eq(creator.0))
        .filter(member::Column::LeftReason.eq(LeftReason::Declined))
        .filter(member::Column::LeftAt.gt(now - DECLINED_FOR_MS))
        .filter(member::Column::ChatId.in_subquery(with_other))
        .filter(member::Column::ChatId.in_subquery(own))
        .one(conn)
        .await?;
    if declined.is_none() {
        return Ok(());
    }
    let problem = "has declined your chat; ask again in a day, or wait until they open one with you";
    Err(Error::field(Code::ContactRequired, "chat.members_array", problem))
}

/// Checks that every id belongs to an existing user.
async fn require_users(conn: &impl ConnectionTrait, ids: &[UserId]) -> Result<()> {
    let ids: BTreeSet<i64> = ids.iter().map(|id| id.0).collect();
    let known: BTreeSet<i64> = user::Entity::present()
        .select_only()
        .column(user::Column::Id)
        .filter(user::Column::Id.is_in(ids.iter().copied()))
        .into_tuple::<i64>()
        .all(conn)
        .await?
        .into_iter()
        .collect();
    let missing: Vec<String> = ids.difference(&known).take(5).map(ToString::to_string).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid("chat.members_array", format!("there is no user {}", missing.join(", "))))
    }
}

async fn insert(
    context: &AppContext,
    tx: Tx,
    request: &NewChat,
    creator: UserId,
    others: &BTreeSet<i64>,
) -> Result<(OpenChange, chat::Model)> {
    let now = context.clock.now();
    // Users are locked before any row refers to them: two users who create chats with each other would otherwise
    // deadlock.
    let everybody: Vec<UserId> = others.iter().map(|id| UserId(*id)).chain([creator]).collect();
    let user_revs = users::advance(tx.conn(), &everybody).await?;
    // The users are locked now: an account that is being deleted either no longer exists here, or will leave this
    // chat too.
    require_users(tx.conn(), &everybody).await?;
    let blocked = contacts::blocked_between(tx.conn(), creator, everybody.iter().copied()).await?;
    if let Some(id) = blocked.iter().min() {
        let problem = format!("one of you and user {id} has blocked the other");
        return Err(Error::field(Code::Blocked, "chat.members_array", problem));
    }
    if request.is_group {
        contacts::require_mutual(context, tx.conn(), creator, &everybody, "chat.members_array").await?;
    }
    require_room(context, tx.conn(), request.is_group, creator, &everybody).await?;
    let approved = request.is_group
        || !context.settings.contacts.requires(ContactRule::Approval)
        || match others.first() {
            Some(other) => contacts::follows(tx.conn(), UserId(*other), creator).await?,
            None => true,
        };
    if let Some(other) = others.first().filter(|_| !approved) {
        require_not_declined(tx.conn(), creator, *other, now).await?;
    }
    let direct_key =
        others.first().filter(|_| !request.is_group).map(|other| chat::Entity::direct_key(creator.0, *other));
    let row = chat::ActiveModel {
        is_group: Set(request.is_group),
        name_key: Set(group_name(request).as_deref().map(fold)),
        name: Set(group_name(request)),
        description: Set(request.description.clone().filter(|_| request.is_group)),
        creator_id: Set(creator.0),
        owner_id: Set(creator.0),
        direct_key: Set(direct_key),
        client_id: Set(request.client_id.clone().filter(|_| request.is_group)),
        approved: Set(approved),
        visible: Set(request.is_group),
        rev: Set(0),
        meta_rev: Set(1),
        last_seq: Set(0),
        member_count: Set(others.len() as i32 + 1),
        last_activity_at: Set(now),
        created_at: Set(now),
        ..Default::default()
    };
    // If another transaction creates the same chat at this moment, the retry finds it.
    let mut chat = row.insert(tx.conn()).await?;
    let change = begin_change(tx, &mut chat).await?;
    let rev = change.position().rev;
    let role = |id: UserId| match (request.is_group, id == creator) {
        (true, true) => ChatRole::Owner,
        _ => ChatRole::Member,
    };
    let rows: Vec<member::ActiveModel> = user_revs
        .iter()
        .map(|(id, user_rev)| member::ActiveModel {
            chat_id: Set(chat.id),
            user_id: Set(id.0),
            role: Set(role(*id)),
            joined_at: Set(now),
            rev: Set(rev),
            last_read_seq: Set(0),
            archived: Set(false),
            user_rev: Set(*user_rev),
            ..Default::default()
        })
        .collect();
    // The number of values per statement is limited.
    for rows in rows.chunks(1_000) {
        member::Entity::insert_many(rows.to_vec()).exec_without_returning(change.conn()).await?;
    }
    Ok((change, chat))
}
