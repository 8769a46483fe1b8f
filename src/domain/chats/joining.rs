//! How a user becomes a member of a group, whoever lets them in.

use entity::{chat, join_request, member};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, EntityTrait};

use super::access::membership_ever;
use super::bans::require_not_banned;
use super::bounds::{require_room_of, require_room_of_guest};
use super::view::show_member;
use super::{begin_meta_change, change_at};
use crate::domain::{AppContext, contacts, events, users};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::db::Tx;
use crate::protocol::members::{ChatRole, Member, MemberChange};

/// Who joins, and by whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joining {
    /// The user.
    pub user_id: UserId,
    /// The role.
    pub role: ChatRole,
    /// Who lets them in.
    pub by: UserId,
    /// Whether the user wants to join. Otherwise a member adds them, who needs a relation to them.
    pub is_wanted: bool,
}

/// The transaction, with the member who has joined.
pub(super) struct Joined {
    /// The transaction.
    pub tx: Tx,
    /// The member.
    pub member: Member,
    /// Whether they were a member already; then nothing was changed.
    pub was_member: bool,
}

/// Adds a user to a group whose row is locked.
pub(super) async fn join_locked(
    context: &AppContext,
    tx: Tx,
    chat: &mut chat::Model,
    joining: Joining,
) -> Result<Joined> {
    let Joining { user_id, role, by, is_wanted } = joining;
    let is_own = by == user_id;
    // The user is locked before their data is read: an account that is being deleted either no longer exists here, or
    // will leave this chat too.
    let revs = users::advance(tx.conn(), &[user_id]).await?;
    let user_rev = revs.first().map_or(0, |(_, rev)| *rev);
    let person = users::find_named(tx.conn(), user_id, "user.id").await?;
    let author = users::author(&person);
    let before = membership_ever(tx.conn(), crate::ids::ChatId(chat.id), user_id).await?;
    if let Some(row) = before.as_ref().filter(|row| row.left_at.is_none()) {
        let member = show_member(row, author);
        return Ok(Joined { tx, member, was_member: true });
    }
    if chat.member_count as usize >= context.limits.max_group_members {
        let problem = format!("the chat has {} members, which is the limit", chat.member_count);
        return Err(Error::invalid(if is_own { "invite.token" } else { "chat.id" }, problem));
    }
    require_not_banned(context, tx.conn(), chat.id, user_id).await?;
    if is_wanted {
        require_room_of_guest(context, tx.conn(), user_id, is_own).await?;
    } else {
        if !contacts::blocked_between(tx.conn(), by, [user_id]).await?.is_empty() {
            return Err(contacts::blocked("user.id"));
        }
        contacts::require_mutual(context, tx.conn(), by, &[user_id], "user.id").await?;
        require_room_of(context, tx.conn(), UserId(chat.creator_id), user_id).await?;
    }
    // Whoever lets them in, their request is answered.
    join_request::Entity::delete_by_id((chat.id, user_id.0)).exec(tx.conn()).await?;
    let open = begin_meta_change(tx, chat).await?;
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
        draft: Set(None),
        draft_reply_to: Set(None),
        draft_saved_at: Set(None),
        user_rev: Set(user_rev),
        left_at: Set(None),
        left_reason: Set(None),
        last_sent_at: sea_orm::ActiveValue::NotSet,
    };
    let row = if before.is_some() { row.update(open.conn()).await? } else { row.insert(open.conn()).await? };
    let member = show_member(&row, author);
    chat.member_count += 1;
    chat::ActiveModel { id: Set(chat.id), member_count: Set(chat.member_count), ..Default::default() }
        .update(open.conn())
        .await?;
    let change = change_at(open.position(), by, now);
    let event = MemberChange { change, member: member.clone(), member_count: chat.member_count };
    let event = events::member_added::at(open.position(), &event)?.joining(vec![user_id]);
    Ok(Joined { tx: open.announce(event)?, member, was_member: false })
}
