//! Announces changes of profiles.

use entity::{contact, member, user};
use sea_orm::{ColumnTrait, Condition, QueryFilter, QuerySelect, QueryTrait};

use crate::domain::users::show;
use crate::domain::{AppContext, contacts, events};
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::platform::db::Tx;
use crate::protocol::users::UserUpdated;

/// Sends a changed profile to all users who share a chat with the user.
pub async fn announce(context: &AppContext, tx: &mut Tx, row: &user::Model) -> Result<()> {
    let chats: Vec<i64> = member::Entity::of_user(row.id)
        .select_only()
        .column(member::Column::ChatId)
        .into_tuple()
        .all(tx.conn())
        .await?;
    let mut event = UserUpdated { user: show(context, row) };
    // The user's own devices are in the rooms of their chats; without a chat, they are the only recipients.
    let delivery = if chats.is_empty() {
        events::user_updated::to_user(UserId(row.id), &event)?
    } else {
        events::user_updated::to_chats(chats.into_iter().map(ChatId).collect(), &event)?
    };
    let hidden = blocked_sharing(tx, row.id).await?;
    tx.announce(delivery.about(UserId(row.id)).except_users(hidden.iter().copied()));
    if !hidden.is_empty() {
        // Users who share a chat but are blocked see the profile without presence.
        contacts::hide_presence(&mut event.user);
        for other in hidden {
            tx.announce(events::user_updated::to_user(other, &event)?.about(UserId(row.id)));
        }
    }
    Ok(())
}

/// Returns the users who share a chat with a user and are blocked by them or block them.
async fn blocked_sharing(tx: &Tx, user: i64) -> Result<Vec<UserId>> {
    let chats = member::Entity::of_user(user).select_only().column(member::Column::ChatId).into_query();
    let blocked =
        contact::Entity::blocked_by(user).select_only().column(contact::Column::OtherId).into_query();
    let blockers =
        contact::Entity::blockers_of(user).select_only().column(contact::Column::UserId).into_query();
    let either = Condition::any()
        .add(member::Column::UserId.in_subquery(blocked))
        .add(member::Column::UserId.in_subquery(blockers));
    let ids: Vec<i64> = member::Entity::present()
        .select_only()
        .column(member::Column::UserId)
        .distinct()
        .filter(member::Column::ChatId.in_subquery(chats))
        .filter(either)
        .into_tuple()
        .all(tx.conn())
        .await?;
    Ok(ids.into_iter().map(UserId).collect())
}
