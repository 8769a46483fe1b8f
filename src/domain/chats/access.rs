//! Who may see and do what. A stranger is told that there is no such chat; a member without the role is
//! told that it takes one.

use crate::protocol::members::ChatRole;
use entity::{chat, member};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::domain::{AppContext, contacts};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::Tx;

/// A present member of a present chat: proof that a user may see it.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The chat.
    pub chat: chat::Model,
    /// The member's row.
    pub member: member::Model,
}

impl Membership {
    /// Owner or admin of a group.
    pub fn require_manager(&self, what: &str) -> Result<()> {
        if self.member.role >= ChatRole::Admin {
            Ok(())
        } else {
            Err(Error::forbidden(format!("only the chat's owner and admins may {what}")))
        }
    }
}

/// Refuses what would tell the other side of a direct chat something that its owner may not say: one has
/// blocked the other, or the chat waits for approval.
pub fn require_open(chat: &chat::Model, field: &str) -> Result<()> {
    if chat.blocked {
        return Err(contacts::blocked(field));
    }
    if !chat.approved {
        return Err(Error::field(Code::ApprovalPending, field, "the chat waits for approval"));
    }
    Ok(())
}

/// Notes anew, from their contacts, whether one of the two of a direct chat blocks the other.
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

/// A chat as one of its members sees it, to whoever asks from outside: there is none.
pub async fn find_visible(
    conn: &impl ConnectionTrait,
    chat_id: ChatId,
    user_id: UserId,
) -> Result<Membership> {
    let chat = chat::Entity::present().filter(chat::Column::Id.eq(chat_id.0)).one(conn).await?;
    let member = membership(conn, chat_id, user_id).await?;
    match (chat, member) {
        (Some(chat), Some(member)) => Ok(Membership { chat, member }),
        _ => Err(no_such_chat()),
    }
}

/// The same, with the chat's row locked until the transaction ends: its counter stands still.
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

/// A user's present membership of a chat.
pub async fn membership(
    conn: &impl ConnectionTrait,
    chat_id: ChatId,
    user_id: UserId,
) -> Result<Option<member::Model>> {
    Ok(member::Entity::of_chat(chat_id.0).filter(member::Column::UserId.eq(user_id.0)).one(conn).await?)
}

/// Everybody who is in a chat.
pub(super) async fn member_ids(conn: &impl ConnectionTrait, chat_id: ChatId) -> Result<Vec<UserId>> {
    let ids: Vec<i64> = member::Entity::of_chat(chat_id.0)
        .select_only()
        .column(member::Column::UserId)
        .into_tuple()
        .all(conn)
        .await?;
    Ok(ids.into_iter().map(UserId).collect())
}

/// A user's row in a chat, also when they have left.
pub(super) async fn membership_ever(
    conn: &impl ConnectionTrait,
    chat_id: ChatId,
    user_id: UserId,
) -> Result<Option<member::Model>> {
    Ok(member::Entity::find_by_id((chat_id.0, user_id.0)).one(conn).await?)
}
