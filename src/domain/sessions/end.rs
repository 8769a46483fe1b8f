//! Ending sessions: their tokens stop working and their sockets close.

use entity::session;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;

use super::refusal::over;
use crate::clock::Timestamp;
use crate::domain::{Actor, AppContext};
use crate::error::{Error, Result};
use crate::ids::{SessionId, UserId};
use crate::platform::bus::{Audience, Delivery};
use crate::platform::db::{Tx, retry};
use crate::protocol::events::Farewell;
use crate::protocol::objects::Session;

/// One's sessions that hold, the latest used first.
pub async fn list(context: &AppContext, actor: Actor) -> Result<Vec<Session>> {
    let rows = session::Entity::live_of(actor.user_id.0, context.clock.now())
        .order_by_desc(session::Column::LastUsedAt)
        .all(context.db.read())
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
pub async fn end_own(context: &AppContext, actor: Actor, id: SessionId) -> Result<()> {
    end(context, actor.user_id, id, "ended").await
}

/// Ends a session of a user.
pub async fn end(context: &AppContext, user_id: UserId, id: SessionId, reason: &'static str) -> Result<()> {
    retry(|| end_once(context, user_id, id, reason)).await
}

async fn end_once(context: &AppContext, user_id: UserId, id: SessionId, reason: &'static str) -> Result<()> {
    let mut tx = context.db.begin().await?;
    let row = session::Entity::live_of(user_id.0, context.clock.now())
        .filter(session::Column::Id.eq(id.0))
        .one(tx.conn())
        .await?
        .ok_or_else(|| Error::not_found("session"))?;
    end_in(context, &mut tx, &row, reason).await?;
    let outcome = tx.commit(()).await?;
    context.sessions.end(id);
    context.publish(outcome).await;
    Ok(())
}

/// Why many sessions end at once, and what their sockets are told.
#[derive(Clone, Debug)]
pub struct Ending {
    /// For the record: `password_changed`, `banned`, `deleted`, …
    pub reason: &'static str,
    /// The event before the DISCONNECT.
    pub event: &'static str,
    /// What it says.
    pub message: String,
}

/// Sessions that were ended within a transaction.
#[must_use = "note it after the commit, before publishing"]
pub struct Ended(Vec<SessionId>);

impl Ended {
    fn of(rows: &[session::Model]) -> Self {
        Self(rows.iter().map(|row| SessionId(row.id)).collect())
    }

    /// Their tokens stop working here at once.
    pub fn note(&self, context: &AppContext) {
        for id in &self.0 {
            context.sessions.end(*id);
        }
    }
}

/// Ends a session within a transaction; the caller notes it in memory after the commit.
pub(super) async fn end_in(
    context: &AppContext,
    tx: &mut Tx,
    row: &session::Model,
    reason: &'static str,
) -> Result<()> {
    let message = over().message;
    let farewell = Farewell { message: message.clone() };
    let ending = Ending { reason, event: "session_ended", message };
    end_rows(context, tx, std::slice::from_ref(row), &ending, &farewell).await
}

/// Ends all sessions of a user but one within a transaction that holds the lock of the user's row: a login
/// that is under way then either has its session ended too, or sees what has changed.
pub async fn end_all(
    context: &AppContext,
    tx: &mut Tx,
    user_id: UserId,
    except: Option<SessionId>,
    ending: &Ending,
) -> Result<Ended> {
    let farewell = Farewell { message: ending.message.clone() };
    end_all_telling(context, tx, user_id, except, ending, &farewell).await
}

/// The same, where the event before the DISCONNECT says more than a sentence.
pub async fn end_all_telling(
    context: &AppContext,
    tx: &mut Tx,
    user_id: UserId,
    except: Option<SessionId>,
    ending: &Ending,
    farewell: &impl Serialize,
) -> Result<Ended> {
    let rows = session::Entity::live_of(user_id.0, context.clock.now())
        .order_by_asc(session::Column::Id)
        .all(tx.conn())
        .await?;
    let rows: Vec<session::Model> =
        rows.into_iter().filter(|row| except != Some(SessionId(row.id))).collect();
    end_rows(context, tx, &rows, ending, farewell).await?;
    Ok(Ended::of(&rows))
}

/// Ends the sessions of a user that were not used for the longest time, but for `kept` of them, within a
/// transaction that holds the lock of the user's row.
pub async fn end_oldest(context: &AppContext, tx: &mut Tx, user_id: UserId, kept: u64) -> Result<Ended> {
    let rows = session::Entity::live_of(user_id.0, context.clock.now())
        .order_by_desc(session::Column::LastUsedAt)
        .order_by_desc(session::Column::Id)
        .offset(kept)
        .limit(MOST_AT_ONCE)
        .all(tx.conn())
        .await?;
    let message = "a newer login has taken the place of this session".to_owned();
    let farewell = Farewell { message: message.clone() };
    let ending = Ending { reason: "too_many", event: "session_ended", message };
    end_rows(context, tx, &rows, &ending, &farewell).await?;
    Ok(Ended::of(&rows))
}

/// Sessions that one login ends at most; there is one too many, unless the bound was lower once.
const MOST_AT_ONCE: u64 = 100;

async fn end_rows(
    context: &AppContext,
    tx: &mut Tx,
    rows: &[session::Model],
    ending: &Ending,
    farewell: &impl Serialize,
) -> Result<()> {
    // A row may be gone with its account by now, which is an end as well.
    session::Entity::update_many()
        .col_expr(session::Column::EndedAt, Expr::value(Some(context.clock.now())))
        .col_expr(session::Column::EndReason, Expr::value(Some(ending.reason)))
        .filter(session::Column::Id.is_in(rows.iter().map(|row| row.id)))
        .exec(tx.conn())
        .await?;
    for row in rows {
        let audience = Audience::Session(UserId(row.user_id), SessionId(row.id));
        let mut event = Delivery::new(audience, ending.event, farewell)?;
        event.closes = true;
        tx.announce(event);
    }
    Ok(())
}
