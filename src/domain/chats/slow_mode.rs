//! Slow mode: in a group that has it, a member has to wait between two messages. The owner and admins do not.

use entity::member;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use crate::error::Result;

/// Notes when these members sent a message in a group with slow mode; each is a chat and a user.
pub async fn note_sent(conn: &impl ConnectionTrait, members: &[(i64, i64)], now: i64) -> Result<()> {
    for (chat, user) in members {
        member::Entity::update_many()
            .col_expr(member::Column::LastSentAt, now.into())
            .filter(member::Column::ChatId.eq(*chat))
            .filter(member::Column::UserId.eq(*user))
            .exec(conn)
            .await?;
    }
    Ok(())
}
