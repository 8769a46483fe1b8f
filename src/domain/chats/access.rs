//! Access to chats. For a user who is not a member, the chat does not exist; a member without the required role
//! gets an error that names it.

use crate::protocol::members::ChatRole;
use entity::{chat, member};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QuerySelect};

use crate::domain::{AppContext, contacts};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::Tx;

/// A current member of an existing chat: proof that a user may see it.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The chat.
    pub chat: chat::Model,
    /// The member's row.
    pub member: member::Model,
}

impl Membership {
    /// Returns `forbidden` unless the member is an owner or admin of the group.
    pub fn require_manager(&self, what: &str) -> Result<()> {
        if self.member.role >= ChatRole::Admin {
            Ok(())
        } else {
            Err(Error::forbidden(format!("only the chat's owner and admins may {what}")))
        }
    }
}

/// Returns an error if a direct chat may not pass anything on to the other user: one has blocked the other, or the
/// chat waits for approval.
pub fn require_open(chat: &chat::Model, field: &str) -> Result<()> {
    if chat.blocked {
        return Err(contacts::blocked(field));
    }
    if !chat.approved {
        return Err(Error::field(Code::ApprovalPending, field, "the chat waits for approval"));
    }
    Ok(())
}

/// Updates, from the contacts of its two members, whether a direct chat is blocked.
pub async fn judge_block(context: &AppContext, chat_id: ChatId) -> Result<()> {
    let tx = context.db.begin().await?;
    tx.lock_row(chat::Entity::present().filter(chat::Column::Id.eq(chat_id.0))).await?;
    let both = member_ids(tx.conn(), chat_id).await?;
    let blocked = match both[..] {
        [one, other] => !contacts::blocked_between(tx.conn(), one, [other]).await?.is_empty(),
        _ => false,
    };
    chat::Entity::update_many()
        .col_expr(chat::Column::Blocked, blocked.into())
        .filter(chat::Column::Id.eq(chat_id.0))
        .exec(tx.conn())
        .await?;
    context.publish(tx.commit(()).await?).await;
    Ok(())
}

/// Returns a chat and the user's membership; `not_found` for users who are not members.
pub async fn find_visible(
    conn: &impl ConnectionTrait,
    chat_id: ChatId,
    user_id: UserId,
) -> Result<Membership> {
    let of_chat =
        chat::Entity::belongs_to(member::Entity).from(chat::Column::Id).to(member::Column::ChatId).into();
    let found = chat::Entity::present()
        .join(JoinType::InnerJoin, of_chat)
        .filter(chat::Column::Id.eq(chat_id.0))
        .filter(member::Column::UserId.eq(user_id.0).and(member::Column::LeftAt.is_null()))
        .select_also(member::Entity)
        .one(conn)
        .await?;
    match found {
        Some((chat, Some(member))) => Ok(Membership { chat, member }),
        _ => Err(no_such_chat()),
    }
}

/// Does the same as [`find_visible`], with the chat's row locked until the transaction ends, so that its counter
/// cannot change.
pub async fn lock(tx: &Tx, chat_id: ChatId, user_id: UserId) -> Result<Membership> {
    let chat = tx.lock_row(chat::Entity::present().filter(chat::Column::Id.eq(chat_id.0))).await?;
    let member = membership(tx.conn(), chat_id, user_id).await?;
    match (chat, member) {
        (Some(chat), Some(member)) => Ok(Membership { chat, member }),
        _ => Err(no_such_chat()),
    }
}

fn no_such_chat() -> Error {
    Error::field(Code::NotFound, "chat.id", "there is no such chat")
}

/// Returns a user's current membership of a chat.
pub async fn membership(
    conn: &impl ConnectionTrait,
    chat_id: ChatId,
    user_id: UserId,
) -> Result<Option<member::Model>> {
    Ok(member::Entity::of_chat(chat_id.0).filter(member::Column::UserId.eq(user_id.0)).one(conn).await?)
}

/// Returns the current members of a chat.
pub(super) async fn member_ids(conn: &impl ConnectionTrait, chat_id: ChatId) -> Result<Vec<UserId>> {
    let ids: Vec<i64> = member::Entity::of_chat(chat_id.0)
        .select_only()
        .column(member::Column::UserId)
        .into_tuple()
        .all(conn)
        .await?;
    Ok(ids.into_iter().map(UserId).collect())
}

/// Returns a user's row in a chat, even if they have left.
pub(super) async fn membership_ever(
    conn: &impl ConnectionTrait,
    chat_id: ChatId,
    user_id: UserId,
) -> Result<Option<member::Model>> {
    Ok(member::Entity::find_by_id((chat_id.0, user_id.0)).one(conn).await?)
}
