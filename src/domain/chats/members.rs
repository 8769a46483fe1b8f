//! Adding and removing members of a group. Rooms are joined and left at the event's place in the chat's order: for
//! a new member their own arrival is the first event, for a removed member their removal is the last.

use entity::enums::LeftReason;

use serde_json::json;

use super::access::{Membership, lock, membership_ever};
use super::bans::record;
use super::joining::{Joined, Joining, join_locked};
use super::leave::leave_locked;
use super::roles::shown;
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller};
use crate::error::{Code, Error, Result};
use crate::ids::ChatId;
use crate::platform::db::{Outcome, Tx};
use crate::platform::limits::Bucket;
use crate::protocol::members::{AddMember, ChatRole, MemberReply, RemoveMember};

impl CommandHandler for AddMember {
    fn costs(&self) -> Vec<(Bucket, u32)> {
        vec![(Bucket::Member, 1)]
    }

    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<MemberReply>> {
        let (chat_id, user_id) = (self.chat.0.id, self.user.0.id);
        let tx = context.db.begin().await?;
        let Membership { mut chat, member: own } = lock_group(&tx, chat_id, caller).await?;
        let role = self.role.unwrap_or(ChatRole::Member);
        if role == ChatRole::Admin && own.role != ChatRole::Owner {
            return Err(Error::forbidden("only the chat's owner may appoint admins"));
        }
        let joining = Joining { user_id, role, by: caller.actor.user_id, is_wanted: false };
        let Joined { tx, member, was_member } = join_locked(context, tx, &mut chat, joining).await?;
        let reply = MemberReply { member };
        if was_member { tx.unchanged(reply).await } else { tx.commit(reply).await }
    }
}

impl CommandHandler for RemoveMember {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<MemberReply>> {
        let (chat_id, user_id) = (self.chat.0.id, self.user.0.id);
        let tx = context.db.begin().await?;
        let Membership { mut chat, member: own } = lock_group(&tx, chat_id, caller).await?;
        let row = membership_ever(tx.conn(), chat_id, user_id)
            .await?
            .ok_or_else(|| Error::field(Code::NotFound, "user.id", "is not a member of the chat"))?;
        if row.left_at.is_some() {
            let member = shown(tx.conn(), &row).await?;
            return tx.unchanged(MemberReply { member }).await;
        }
        if row.role == ChatRole::Owner {
            return Err(Error::forbidden("the chat's owner cannot be removed"));
        }
        let by = caller.actor.user_id;
        if row.role == ChatRole::Admin && by != user_id && own.role != ChatRole::Owner {
            return Err(Error::forbidden("only the chat's owner may remove an admin"));
        }
        let reason = if by == user_id { LeftReason::Left } else { LeftReason::Removed };
        if by != user_id {
            let details = json!({"chat_id": chat.id});
            record(context, &tx, by, "chat.remove_member", user_id, details).await?;
        }
        let (tx, member) = leave_locked(context, tx, &mut chat, row, reason, by).await?;
        tx.commit(MemberReply { member }).await
    }
}

/// Returns the group that the caller manages, locked. Direct chats are refused, because their members are fixed.
pub(super) async fn lock_group(tx: &Tx, chat_id: ChatId, caller: &Caller) -> Result<Membership> {
    let found = lock(tx, chat_id, caller.actor.user_id).await?;
    if !found.chat.is_group {
        return Err(Error::new(Code::DirectChatMembers, "a direct chat has exactly two members"));
    }
    found.require_manager("manage its members")?;
    Ok(found)
}
