//! Adding and removing members of a group. Rooms are joined and left at the event's place in the chat's order: for
//! a new member their own arrival is the first event, for a removed member their removal is the last.

use crate::protocol::members::ChatRole;
use entity::enums::LeftReason;
use entity::{chat, member};
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;

use super::access::{Membership, lock, membership_ever};
use super::bounds::require_room_of;
use super::leave::leave_locked;
use super::roles::shown;
use super::view::show_member;
use super::{begin_meta_change, change_at};
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, contacts, events, users};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::{Outcome, Tx};
use crate::platform::limits::Bucket;
use crate::protocol::members::MemberChange;
use crate::protocol::members::{AddMember, MemberReply, RemoveMember};

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
        // The user is locked before their data is read: an account that is being deleted either no longer exists
        // here, or will leave this chat too.
        let revs = users::advance(tx.conn(), &[user_id]).await?;
        let user_rev = revs.first().map_or(0, |(_, rev)| *rev);
        let person = users::find_named(tx.conn(), user_id, "user.id").await?;
        let author = users::author(&person);
        let before = membership_ever(tx.conn(), chat_id, user_id).await?;
        if let Some(row) = before.as_ref().filter(|row| row.left_at.is_none()) {
            let member = show_member(row, author);
            return tx.unchanged(MemberReply { member }).await;
        }
        if chat.member_count as usize >= context.limits.max_group_members {
            let problem = format!("the chat has {} members, which is the limit", chat.member_count);
            return Err(Error::invalid("chat.id", problem));
        }
        let caller_id = caller.actor.user_id;
        let open = begin_meta_change(tx, &mut chat).await?;
        if !contacts::blocked_between(open.conn(), caller_id, [user_id]).await?.is_empty() {
            return Err(contacts::blocked("user.id"));
        }
        contacts::require_mutual(context, open.conn(), caller_id, &[user_id], "user.id").await?;
        require_room_of(context, open.conn(), UserId(chat.creator_id), user_id).await?;
        let now = context.clock.now();
        let row = member::ActiveModel {
            chat_id: Set(chat.id),
            user_id: Set(user_id.0),
            role: Set(role),
            joined_at: Set(now),
            rev: Set(open.position().rev),
            // Earlier messages count as read.
            last_read_seq: Set(chat.last_seq),
            pinned_at: Set(None),
            muted_until: Set(None),
            archived: Set(false),
            user_rev: Set(user_rev),
            left_at: Set(None),
            left_reason: Set(None),
        };
        let row =
            if before.is_some() { row.update(open.conn()).await? } else { row.insert(open.conn()).await? };
        let member = show_member(&row, author);
        let member_count = chat.member_count + 1;
        chat::ActiveModel { id: Set(chat.id), member_count: Set(member_count), ..Default::default() }
            .update(open.conn())
            .await?;
        let change = change_at(open.position(), caller.actor.user_id, now);
        let event = MemberChange { change, member: member.clone(), member_count };
        let event = events::member_added::at(open.position(), &event)?.joining(vec![user_id]);
        let tx = open.announce(event)?;
        tx.commit(MemberReply { member }).await
    }
}

impl CommandHandler for RemoveMember {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<MemberReply>> {
        let (chat_id, user_id) = (self.chat.0.id, self.user.0.id);
        let tx = context.db.begin().await?;
        let Membership { mut chat, .. } = lock_group(&tx, chat_id, caller).await?;
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
        let reason = if by == user_id { LeftReason::Left } else { LeftReason::Removed };
        let (tx, member) = leave_locked(context, tx, &mut chat, row, reason, by).await?;
        tx.commit(MemberReply { member }).await
    }
}

/// Returns the caller's group, locked. Direct chats are refused, because their members are fixed.
async fn lock_group(tx: &Tx, chat_id: ChatId, caller: &Caller) -> Result<Membership> {
    let found = lock(tx, chat_id, caller.actor.user_id).await?;
    if !found.chat.is_group {
        return Err(Error::new(Code::DirectChatMembers, "a direct chat has exactly two members"));
    }
    found.require_manager("add and remove members")?;
    Ok(found)
}
