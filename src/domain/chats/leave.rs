//! Leaving a group. If the owner leaves, the longest-standing admin takes over, or the longest-standing member if
//! there is no admin; the last member who leaves deletes the group.

use crate::protocol::members::ChatRole;
use entity::enums::LeftReason;
use entity::{chat, member};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, SimpleExpr};
use sea_orm::{ActiveModelTrait, ColumnTrait, IntoActiveModel, Order, QueryFilter, QueryOrder};

use super::access::{Membership, lock};
use super::delete::{Gone, delete_locked};
use super::lobby;
use super::roles::{set_role, shown};
use super::{begin_meta_change, change_at};
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, events, users};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::{Outcome, Tx};
use crate::protocol::change::Done;
use crate::protocol::members::LeaveChat;
use crate::protocol::members::Member;
use crate::protocol::members::MemberChange;

impl CommandHandler for LeaveChat {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<Done>> {
        let tx = context.db.begin().await?;
        lobby::refuse_leaving(context, tx.conn(), self.chat.0.id).await?;
        let tx = leave(context, tx, self.chat.0.id, caller.actor.user_id).await?;
        tx.commit(Done {}).await
    }
}

/// Removes a user from a group as if they had left: an owner is replaced, and the last member deletes the group.
pub async fn leave(context: &AppContext, mut tx: Tx, chat_id: ChatId, user_id: UserId) -> Result<Tx> {
    let Membership { mut chat, member } = lock(&tx, chat_id, user_id).await?;
    if !chat.is_group {
        let problem = "a direct chat has exactly two members; archive it instead";
        return Err(Error::new(Code::DirectChatMembers, problem));
    }
    if member.role == ChatRole::Owner {
        let Some(heir) = heir(&tx, chat.id, user_id).await? else {
            return delete_locked(context, tx, chat, user_id, Gone::Deleted).await;
        };
        (tx, _) = set_role(context, tx, &mut chat, heir, ChatRole::Owner, user_id).await?;
    }
    let (tx, _) = leave_locked(context, tx, &mut chat, member, LeftReason::Left, user_id).await?;
    Ok(tx)
}

/// Returns the member who takes over from an owner who leaves.
async fn heir(tx: &Tx, chat: i64, owner: UserId) -> Result<Option<member::Model>> {
    let admins_first: SimpleExpr =
        CaseStatement::new().case(Expr::col(member::Column::Role).eq(ChatRole::Admin), 0).finally(1).into();
    Ok(member::Entity::of_chat(chat)
        .filter(member::Column::UserId.ne(owner.0))
        .order_by(admins_first, Order::Asc)
        .order_by_asc(member::Column::JoinedAt)
        .order_by_asc(member::Column::UserId)
        .one(tx.conn())
        .await?)
}

/// Ends a membership of a chat whose row is locked, and announces it; for the user who leaves it is the last event
/// of the chat.
pub(super) async fn leave_locked(
    context: &AppContext,
    tx: Tx,
    chat: &mut chat::Model,
    row: member::Model,
    reason: LeftReason,
    by: UserId,
) -> Result<(Tx, Member)> {
    let now = context.clock.now();
    let user_id = UserId(row.user_id);
    let change = begin_meta_change(tx, chat).await?;
    let revs = users::advance(change.conn(), &[user_id]).await?;
    let mut row = row.into_active_model();
    row.left_at = Set(Some(now));
    row.left_reason = Set(Some(reason));
    row.role = Set(ChatRole::Member);
    row.rev = Set(change.position().rev);
    row.user_rev = Set(revs.first().map_or(0, |(_, rev)| *rev));
    row.pinned_at = Set(None);
    row.draft = Set(None);
    row.draft_reply_to = Set(None);
    row.draft_saved_at = Set(None);
    let row = row.update(change.conn()).await?;
    chat.member_count -= 1;
    chat::ActiveModel { id: Set(chat.id), member_count: Set(chat.member_count), ..Default::default() }
        .update(change.conn())
        .await?;
    let member = shown(change.conn(), &row).await?;
    let event = MemberChange {
        change: change_at(change.position(), by, now),
        member: member.clone(),
        member_count: chat.member_count,
    };
    let event = events::member_removed::at(change.position(), &event)?.leaving(vec![user_id]);
    Ok((change.announce(event)?, member))
}
