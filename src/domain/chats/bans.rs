//! Bans from a group: the user is removed, and can neither be added nor join until the ban ends.

use entity::enums::LeftReason;
use entity::{chat_ban, join_request};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::{Value, json};

use super::access::{find_visible, membership_ever};
use super::leave::leave_locked;
use super::list::{Page, cut, id_cursor};
use super::members::lock_group;
use crate::clock::Timestamp;
use crate::domain::audit::{self, Act, Target};
use crate::domain::dispatch::CommandHandler;
use crate::domain::{Actor, AppContext, Caller, users};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::{Outcome, Tx};
use crate::protocol::change::Done;
use crate::protocol::chat_bans::{BanMember, BanReply, ChatBan, UnbanMember};
use crate::protocol::members::ChatRole;

/// Fails if a user is banned from a group.
pub(super) async fn require_not_banned(
    context: &AppContext,
    conn: &impl ConnectionTrait,
    chat_id: i64,
    user_id: UserId,
) -> Result<()> {
    let ban = chat_ban::Entity::find_by_id((chat_id, user_id.0)).one(conn).await?;
    if ban.is_some_and(|ban| ban.is_in_force(context.clock.now())) {
        return Err(Error::field(Code::Forbidden, "user.id", "is banned from the chat"));
    }
    Ok(())
}

impl CommandHandler for BanMember {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<BanReply>> {
        let (by, user_id) = (caller.actor.user_id, self.user.0.id);
        let tx = context.db.begin().await?;
        let found = lock_group(&tx, self.chat.0.id, caller).await?;
        let mut chat = found.chat;
        let user = users::find_named(tx.conn(), user_id, "user.id").await?;
        let member = membership_ever(tx.conn(), self.chat.0.id, user_id).await?;
        let member = member.filter(|row| row.left_at.is_none());
        if by == user_id {
            return Err(Error::invalid("user.id", "must not be you"));
        }
        if member
            .as_ref()
            .is_some_and(|row| row.role >= ChatRole::Admin && found.member.role != ChatRole::Owner)
        {
            return Err(Error::forbidden("only the chat's owner may ban an admin"));
        }
        let now = context.clock.now();
        let row = chat_ban::ActiveModel {
            chat_id: Set(chat.id),
            user_id: Set(user_id.0),
            banned_by: Set(by.0),
            reason: Set(self.reason.as_deref().map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned)),
            until: Set(self.seconds.map(|seconds| now + seconds * 1_000)),
            created_at: Set(now),
        };
        let again = OnConflict::columns([chat_ban::Column::ChatId, chat_ban::Column::UserId])
            .update_columns([
                chat_ban::Column::BannedBy,
                chat_ban::Column::Reason,
                chat_ban::Column::Until,
                chat_ban::Column::CreatedAt,
            ])
            .to_owned();
        let row = chat_ban::Entity::insert(row).on_conflict(again).exec_with_returning(tx.conn()).await?;
        join_request::Entity::delete_by_id((chat.id, user_id.0)).exec(tx.conn()).await?;
        let details = json!({"chat_id": chat.id, "reason": row.reason, "until": row.until.map(Timestamp)});
        record(context, &tx, by, "chat.ban", user_id, details).await?;
        let reply = BanReply { ban: show(row, users::author(&user)) };
        match member {
            Some(row) => {
                let (tx, _) = leave_locked(context, tx, &mut chat, row, LeftReason::Removed, by).await?;
                tx.commit(reply).await
            }
            None => tx.commit(reply).await,
        }
    }
}

impl CommandHandler for UnbanMember {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<Done>> {
        let tx = context.db.begin().await?;
        let chat = lock_group(&tx, self.chat.0.id, caller).await?.chat;
        let ban = chat_ban::Entity::delete_by_id((chat.id, self.user.0.id.0)).exec(tx.conn()).await?;
        if ban.rows_affected == 0 {
            return tx.unchanged(Done {}).await;
        }
        let details = json!({"chat_id": chat.id});
        record(context, &tx, caller.actor.user_id, "chat.unban", self.user.0.id, details).await?;
        tx.commit(Done {}).await
    }
}

/// Records what a manager of a group does to a user.
pub(super) async fn record(
    context: &AppContext,
    tx: &Tx,
    by: UserId,
    action: &'static str,
    user: UserId,
    details: Value,
) -> Result<()> {
    let target = Target::User(user);
    audit::record(context, tx, Act { actor: Some(by), action, target, details, address: None }).await
}

/// Returns a page of the users who are banned from a group, by id. For the owner and admins.
pub async fn bans(
    context: &AppContext,
    actor: Actor,
    chat_id: ChatId,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<ChatBan>> {
    let conn = context.db.read();
    find_visible(conn, chat_id, actor.user_id).await?.require_manager("see its bans")?;
    let after = id_cursor(cursor, 0)?;
    let now = context.clock.now();
    let rows = chat_ban::Entity::find()
        .filter(chat_ban::Column::ChatId.eq(chat_id.0))
        .filter(chat_ban::Column::UserId.gt(after))
        .filter(chat_ban::Column::Until.is_null().or(chat_ban::Column::Until.gt(now)))
        .order_by_asc(chat_ban::Column::UserId)
        .limit(limit + 1)
        .all(conn)
        .await?;
    let (rows, next) = cut(rows, limit, |row| row.user_id.to_string());
    let authors = users::authors(conn, rows.iter().map(|row| row.user_id)).await?;
    let items = rows.into_iter().filter_map(|row| {
        let user = authors.get(&row.user_id)?.clone();
        Some(show(row, user))
    });
    Ok(Page { items: items.collect(), next })
}

fn show(row: chat_ban::Model, user: crate::protocol::users::Author) -> ChatBan {
    ChatBan {
        user,
        banned_by: UserId(row.banned_by),
        reason: row.reason,
        until: row.until.map(Timestamp),
        created_at: Timestamp(row.created_at),
    }
}
