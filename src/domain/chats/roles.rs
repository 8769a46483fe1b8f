//! Roles in a group: the owner appoints admins, and may hand the group over.

use crate::protocol::members::ChatRole;
use entity::{chat, member};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ConnectionTrait, IntoActiveModel};

use super::access::{Membership, lock, membership};
use super::view::show_member;
use super::{begin_meta_change, change_at};
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, events, users};
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::platform::db::{Outcome, Tx};
use crate::protocol::members::Member;
use crate::protocol::members::MemberChange;
use crate::protocol::members::MemberReply;
use crate::protocol::members::SetMemberRole;

impl CommandHandler for SetMemberRole {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<MemberReply>> {
        let owner = caller.actor.user_id;
        let user_id = self.user.0.id;
        let mut tx = context.db.begin().await?;
        let Membership { mut chat, member: own } = lock(&tx, self.chat.0.id, owner).await?;
        if !chat.is_group {
            return Err(Error::new(Code::DirectChatMembers, "a direct chat has no roles"));
        }
        if own.role != ChatRole::Owner {
            return Err(Error::forbidden("only the chat's owner may set roles"));
        }
        let row = membership(tx.conn(), self.chat.0.id, user_id)
            .await?
            .ok_or_else(|| Error::field(Code::NotFound, "user.id", "is not a member of the chat"))?;
        if row.role == self.role {
            let member = shown(tx.conn(), &row).await?;
            return tx.unchanged(MemberReply { member }).await;
        }
        if user_id == owner {
            return Err(Error::forbidden("to hand the chat over, make another member its owner"));
        }
        if self.role == ChatRole::Owner {
            (tx, _) = set_role(context, tx, &mut chat, own, ChatRole::Admin, owner).await?;
        }
        let (tx, member) = set_role(context, tx, &mut chat, row, self.role, owner).await?;
        tx.commit(MemberReply { member }).await
    }
}

/// Gives a member a role and announces it; a new owner is also stored in the chat's row.
pub(super) async fn set_role(
    context: &AppContext,
    tx: Tx,
    chat: &mut chat::Model,
    row: member::Model,
    role: ChatRole,
    by: UserId,
) -> Result<(Tx, Member)> {
    let change = begin_meta_change(tx, chat).await?;
    let mut row = row.into_active_model();
    row.role = Set(role);
    row.rev = Set(change.position().rev);
    let row = row.update(change.conn()).await?;
    if role == ChatRole::Owner {
        chat::ActiveModel { id: Set(chat.id), owner_id: Set(row.user_id), ..Default::default() }
            .update(change.conn())
            .await?;
        chat.owner_id = row.user_id;
    }
    let member = shown(change.conn(), &row).await?;
    let event = MemberChange {
        change: change_at(change.position(), by, context.clock.now()),
        member: member.clone(),
        member_count: chat.member_count,
    };
    let event = events::member_role_changed::at(change.position(), &event)?;
    Ok((change.announce(event)?, member))
}

/// Returns the member for a row, with the user's profile.
pub(super) async fn shown(conn: &impl ConnectionTrait, row: &member::Model) -> Result<Member> {
    let mut authors = users::authors(conn, [row.user_id]).await?;
    let author = authors.remove(&row.user_id).ok_or_else(|| Error::not_found("user"))?;
    Ok(show_member(row, author))
}
