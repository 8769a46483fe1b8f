//! The lobby (`LOBBY_CHAT`): a group that every user joins at registration. It has no owner: all members are plain
//! members, no member can leave it, and moderators keep it clean.
//!
//! The database (`meta`) stores the id of the lobby's chat, so a new name in the settings renames the lobby instead
//! of creating another one. If the setting is removed, the lobby remains as an ordinary group, which users can
//! leave.

use crate::protocol::members::ChatRole;
use std::collections::HashSet;

use entity::{chat, member, meta, user};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};

use super::{begin_change, begin_meta_change, change_at, show_member};
use crate::domain::{AppContext, events, users};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::{OpenChange, Tx};
use crate::protocol::members::MemberChange;
use crate::text::fold;

const KEY: &str = "lobby_chat";

/// Why no event is needed.
const BEFORE_START: &str = "the server is not listening yet";

/// Users who are added with one statement.
const AT_ONCE: u64 = 1_000;

/// Creates the lobby if it is missing, sets its name, and adds all users who are not members. It sends no events,
/// because it runs before the server listens.
pub async fn prepare(context: &AppContext) -> Result<()> {
    let Some(name) = &context.settings.contacts.lobby_chat else { return Ok(()) };
    let mut seen = 0;
    loop {
        let tx = context.db.begin().await?;
        let (mut tx, found) = find_or_make(context, tx, name, None).await?;
        let Some(mut chat) = found else { return tx.commit_silently().await };
        if chat.name.as_ref() != Some(name) {
            tx = begin_meta_change(tx, &mut chat).await?.without_event(BEFORE_START);
            chat::ActiveModel {
                id: Set(chat.id),
                name_key: Set(Some(fold(name))),
                name: Set(Some(name.clone())),
                ..Default::default()
            }
            .update(tx.conn())
            .await?;
        }
        // `NOT EXISTS`, because with `NOT IN` PostgreSQL compares every user with every member once there are many.
        let mut inside = member::Entity::of_chat(chat.id).select_only().expr(Expr::value(1)).into_query();
        inside.and_where(
            Expr::col((member::Entity, member::Column::UserId)).equals((user::Entity, user::Column::Id)),
        );
        let outside: Vec<i64> = user::Entity::present()
            .select_only()
            .column(user::Column::Id)
            .filter(user::Column::Id.gt(seen))
            .filter(Expr::not_exists(inside))
            .order_by_asc(user::Column::Id)
            .limit(AT_ONCE)
            .into_tuple()
            .all(tx.conn())
            .await?;
        let done = (outside.len() as u64) < AT_ONCE;
        seen = outside.last().copied().unwrap_or(seen);
        let outside: Vec<UserId> = outside.into_iter().map(UserId).collect();
        if !outside.is_empty() {
            let (change, _) = enter(context, tx, &mut chat, &outside).await?;
            tx = change.without_event(BEFORE_START);
        }
        tx.commit_silently().await?;
        if done {
            return Ok(());
        }
    }
}

/// Adds a new user to the lobby, within the transaction that creates their account.
pub async fn join(context: &AppContext, tx: Tx, person: &user::Model) -> Result<Tx> {
    let Some(name) = &context.settings.contacts.lobby_chat else { return Ok(tx) };
    let user_id = UserId(person.id);
    let (tx, found) = find_or_make(context, tx, name, Some(user_id)).await?;
    let Some(mut chat) = found else { return Ok(tx) };
    let (open, rows) = enter(context, tx, &mut chat, &[user_id]).await?;
    let row = rows.first().ok_or_else(|| Error::internal("a new account is not there"))?;
    let member = show_member(row, users::author(person));
    let change = change_at(open.position(), user_id, context.clock.now());
    let event = MemberChange { change, member, member_count: chat.member_count };
    let event = events::member_added::at(open.position(), &event)?.joining(vec![user_id]);
    open.announce(event)
}

/// Returns `forbidden` if this chat is the lobby.
pub async fn refuse_leaving(
    context: &AppContext,
    conn: &impl ConnectionTrait,
    chat_id: ChatId,
) -> Result<()> {
    if context.settings.contacts.lobby_chat.is_none()
        || number(meta::Entity::find_by_id(KEY.to_owned()).one(conn).await?) != Some(chat_id.0)
    {
        return Ok(());
    }
    Err(Error::forbidden("every user is a member of this chat; mute or archive it instead"))
}

/// Returns the lobby's chat, locked. Creates it if it is missing, unless there is no user at all.
async fn find_or_make(
    context: &AppContext,
    tx: Tx,
    name: &str,
    first: Option<UserId>,
) -> Result<(Tx, Option<chat::Model>)> {
    let keep = OnConflict::column(meta::Column::Key).do_nothing().to_owned();
    meta::Entity::insert(meta::ActiveModel { key: Set(KEY.to_owned()), value: Set("0".to_owned()) })
        .on_conflict(keep)
        .exec_without_returning(tx.conn())
        .await?;
    // The row is the lock: of several concurrent transactions, only one creates the lobby.
    let known = number(tx.lock_row(meta::Entity::find_by_id(KEY.to_owned())).await?);
    let found = match known {
        Some(id) => tx.lock_row(chat::Entity::present().filter(chat::Column::Id.eq(id))).await?,
        None => None,
    };
    if found.is_some() {
        return Ok((tx, found));
    }
    let oldest = user::Entity::present().order_by_asc(user::Column::Id).one(tx.conn()).await?;
    let Some(owner) = oldest.map(|row| UserId(row.id)).or(first) else { return Ok((tx, None)) };
    let now = context.clock.now();
    let row = chat::ActiveModel {
        is_group: Set(true),
        name: Set(Some(name.to_owned())),
        name_key: Set(Some(fold(name))),
        // No user created it, so it does not count towards any user's limit of groups.
        creator_id: Set(0),
        owner_id: Set(owner.0),
        approved: Set(true),
        visible: Set(true),
        rev: Set(0),
        meta_rev: Set(1),
        last_seq: Set(0),
        member_count: Set(0),
        last_activity_at: Set(now),
        created_at: Set(now),
        ..Default::default()
    };
    let mut chat = row.insert(tx.conn()).await?;
    let change = begin_change(tx, &mut chat).await?;
    meta::ActiveModel { key: Set(KEY.to_owned()), value: Set(chat.id.to_string()) }
        .update(change.conn())
        .await?;
    Ok((change.without_event("a lobby without members"), Some(chat)))
}

/// Returns the id of the chat in `meta`; `None` if it has none yet.
fn number(row: Option<meta::Model>) -> Option<i64> {
    row.and_then(|row| row.value.parse().ok()).filter(|id| *id != 0)
}

/// Adds users to the lobby, whose row is locked, as one change; returns the change and their rows.
async fn enter(
    context: &AppContext,
    tx: Tx,
    chat: &mut chat::Model,
    people: &[UserId],
) -> Result<(OpenChange, Vec<member::Model>)> {
    let change = begin_meta_change(tx, chat).await?;
    let rows = member_rows(context, change.tx(), chat, change.position().rev, people).await?;
    if rows.is_empty() {
        return Ok((change, rows));
    }
    // Former members already have a row, which is reused.
    let again = OnConflict::columns([member::Column::ChatId, member::Column::UserId])
        .update_columns([
            member::Column::Role,
            member::Column::JoinedAt,
            member::Column::Rev,
            member::Column::LastReadSeq,
            member::Column::UserRev,
            member::Column::LeftAt,
            member::Column::LeftReason,
        ])
        .to_owned();
    let inserted = rows.iter().cloned().map(|row| row.into_active_model().reset_all());
    member::Entity::insert_many(inserted).on_conflict(again).exec_without_returning(change.conn()).await?;
    chat.member_count += rows.len() as i32;
    chat::ActiveModel { id: Set(chat.id), member_count: Set(chat.member_count), ..Default::default() }
        .update(change.conn())
        .await?;
    Ok((change, rows))
}

/// Returns rows for those of the users who still exist, and locks the users.
async fn member_rows(
    context: &AppContext,
    tx: &Tx,
    chat: &chat::Model,
    rev: i64,
    people: &[UserId],
) -> Result<Vec<member::Model>> {
    let now = context.clock.now();
    let revs = users::advance(tx.conn(), people).await?;
    // The users are locked now: those who were deleted meanwhile are not added.
    let present: HashSet<i64> = user::Entity::present()
        .select_only()
        .column(user::Column::Id)
        .filter(user::Column::Id.is_in(people.iter().map(|id| id.0)))
        .into_tuple::<i64>()
        .all(tx.conn())
        .await?
        .into_iter()
        .collect();
    let here = revs.into_iter().filter(|(id, _)| present.contains(&id.0));
    Ok(here
        .map(|(id, user_rev)| member::Model {
            draft: None,
            draft_reply_to: None,
            draft_saved_at: None,
            last_sent_at: None,
            chat_id: chat.id,
            user_id: id.0,
            role: ChatRole::Member,
            joined_at: now,
            rev,
            // Earlier messages count as read.
            last_read_seq: chat.last_seq,
            pinned_at: None,
            muted_until: None,
            archived: false,
            user_rev,
            left_at: None,
            left_reason: None,
        })
        .collect())
}
