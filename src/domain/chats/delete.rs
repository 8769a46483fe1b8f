//! Deleting a group for all members. It disappears from every list; its row is kept, so that its id is never reused
//! and `sync` can report the deletion.

use crate::protocol::members::ChatRole;
use entity::enums::LeftReason;
use entity::{chat, member, user};
use sea_orm::sea_query::{Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::access::{Membership, lock, member_ids};
use super::{begin_meta_change, change_at};
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, events, users};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::{Outcome, Tx};
use crate::protocol::change::Done;
use crate::protocol::chats::ChatDeleted;
use crate::protocol::chats::DeleteChat;

impl CommandHandler for DeleteChat {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<Done>> {
        let user_id = caller.actor.user_id;
        let tx = context.db.begin().await?;
        let Membership { chat, member } = lock(&tx, self.chat.0.id, user_id).await?;
        if !chat.is_group {
            return Err(Error::forbidden("a direct chat cannot be deleted; archive it instead"));
        }
        if member.role != ChatRole::Owner {
            return Err(Error::forbidden("only the chat's owner may delete it"));
        }
        let tx = delete_locked(context, tx, chat, user_id, Gone::Deleted).await?;
        tx.commit(Done {}).await
    }
}

/// Why a chat is deleted for all members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// A group was deleted.
    Deleted,
    /// A direct chat was declined; the two users may have another one later.
    Declined,
}

/// Deletes a chat for all its members, whatever their roles. Its row is locked.
pub async fn delete_for_all(context: &AppContext, tx: Tx, chat: chat::Model, by: UserId) -> Result<Tx> {
    delete_locked(context, tx, chat, by, Gone::Deleted).await
}

/// Deletes a chat whose row is locked, and announces it as the last event of the chat.
pub(super) async fn delete_locked(
    context: &AppContext,
    tx: Tx,
    mut chat: chat::Model,
    by: UserId,
    gone: Gone,
) -> Result<Tx> {
    let reason = match gone {
        Gone::Deleted => LeftReason::Deleted,
        Gone::Declined => LeftReason::Declined,
    };
    let now = context.clock.now();
    let change = begin_meta_change(tx, &mut chat).await?;
    let members = member_ids(change.conn(), ChatId(chat.id)).await?;
    users::advance(change.conn(), &members).await?;
    let mut raised = Query::select();
    raised.column(user::Column::UserRev).from(user::Entity).and_where(
        Expr::col((user::Entity, user::Column::Id)).equals((member::Entity, member::Column::UserId)),
    );
    // One statement for all members, because no one can send to the chat until the commit.
    member::Entity::update_many()
        .col_expr(member::Column::LeftAt, Expr::value(Some(now)))
        .col_expr(member::Column::LeftReason, Expr::value(Some(reason)))
        .col_expr(member::Column::PinnedAt, Expr::value(None::<i64>))
        .col_expr(member::Column::Rev, Expr::value(change.position().rev))
        .col_expr(member::Column::UserRev, SimpleExpr::SubQuery(None, Box::new(raised.into())))
        .filter(member::Column::ChatId.eq(chat.id))
        .filter(member::Column::LeftAt.is_null())
        .exec(change.conn())
        .await?;
    chat::Entity::update_many()
        .col_expr(chat::Column::DeletedAt, Expr::value(Some(now)))
        .col_expr(chat::Column::MemberCount, Expr::value(0))
        .col_expr(chat::Column::DirectKey, Expr::value(None::<String>))
        .filter(chat::Column::Id.eq(chat.id))
        .exec(change.conn())
        .await?;
    let position = change.position();
    let event = ChatDeleted { change: change_at(position, by, now) };
    let event = match gone {
        Gone::Deleted => events::chat_deleted::at(position, &event)?,
        Gone::Declined => events::chat_declined::at(position, &event)?,
    };
    change.announce(event.leaving(members))
}
