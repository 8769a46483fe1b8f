//! Ending sessions: their tokens stop working and their sockets close.

use entity::session;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ColumnTrait, QueryFilter, QueryOrder};

use crate::clock::Timestamp;
use crate::domain::{Actor, Core};
use crate::error::{Error, Result};
use crate::ids::{SessionId, UserId};
use crate::platform::bus::{Audience, Delivery};
use crate::platform::db::Tx;
use crate::protocol::events::Farewell;
use crate::protocol::objects::Session;

/// One's sessions that hold, the latest used first.
pub async fn list(core: &Core, actor: Actor) -> Result<Vec<Session>> {
    let rows = session::Entity::live_of(actor.user_id.0, core.clock.now())
        .order_by_desc(session::Column::LastUsedAt)
        .all(core.db.read())
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Session {
            id: SessionId(row.id),
            user_agent: row.user_agent,
            address: row.address,
            created_at: Timestamp(row.created_at),
            last_used_at: Timestamp(row.last_used_at),
            expires_at: Timestamp(row.expires_at),
            current: row.id == actor.session_id.0,
        })
        .collect())
}

/// Ends one of one's own sessions.
pub async fn end_own(core: &Core, actor: Actor, id: SessionId) -> Result<()> {
    end(core, actor.user_id, id, "ended").await
}

/// Ends a session of a user.
pub async fn end(core: &Core, user_id: UserId, id: SessionId, reason: &str) -> Result<()> {
    let mut tx = core.db.begin().await?;
    let row = session::Entity::live_of(user_id.0, core.clock.now())
        .filter(session::Column::Id.eq(id.0))
        .one(tx.conn())
        .await?
        .ok_or_else(|| Error::not_found("session"))?;
    end_in(core, &mut tx, &row, reason).await?;
    let outcome = tx.commit(()).await?;
    core.sessions.end(id);
    core.publish(outcome).await;
    Ok(())
}

/// Ends a session within a transaction; the caller notes it in memory after the commit.
pub(super) async fn end_in(core: &Core, tx: &mut Tx, row: &session::Model, reason: &str) -> Result<()> {
    session::ActiveModel {
        id: Set(row.id),
        ended_at: Set(Some(core.clock.now())),
        end_reason: Set(Some(reason.to_owned())),
        ..Default::default()
    }
    .update(tx.conn())
    .await?;
    let audience = Audience::Session(UserId(row.user_id), SessionId(row.id));
    let farewell = Farewell { message: "the session was ended, log in again".into() };
    let mut event = Delivery::new(audience, "session_ended", &farewell)?;
    event.closes = true;
    tx.announce(event);
    Ok(())
}
