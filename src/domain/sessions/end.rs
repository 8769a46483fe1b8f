//! Ends sessions: their tokens stop working and their connections close.

use entity::session;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::refusal::over;
use crate::clock::Timestamp;
use crate::domain::{Actor, AppContext, events};
use crate::error::{Error, Result};
use crate::ids::{SessionId, UserId};
use crate::platform::db::{Tx, retry};
use crate::protocol::moderation::UserBanned;
use crate::protocol::sessions::Farewell;
use crate::protocol::sessions::Session;

/// Returns the user's live sessions, most recently used first.
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

/// Ends one of the user's own sessions.
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
    context.publish(tx.commit(()).await?).await;
    Ok(())
}

/// Why sessions end, and the event that their connections receive.
#[derive(Debug)]
pub struct Ending {
    /// The stored reason: `password_changed`, `banned`, `deleted`, …
    reason: &'static str,
    told: Told,
}

/// The event that is sent before the DISCONNECT.
#[derive(Debug)]
enum Told {
    Ended(Farewell),
    Banned(UserBanned),
}

impl Ending {
    /// Ends sessions with this message to their connections.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, told: Told::Ended(Farewell { message: message.into() }) }
    }

    /// Ends sessions because of a ban, which their connections receive.
    pub fn banned(ban: UserBanned) -> Self {
        Self { reason: "banned", told: Told::Banned(ban) }
    }
}

/// Ends a session within a transaction.
pub(super) async fn end_in(
    context: &AppContext,
    tx: &mut Tx,
    row: &session::Model,
    reason: &'static str,
) -> Result<()> {
    let ending = Ending::new(reason, over().message);
    end_rows(context, tx, std::slice::from_ref(row), &ending).await
}

/// Ends all sessions of a user except one, within a transaction that holds the lock of the user's row: the session of a
/// concurrent login is either ended too, or opened after the change.
pub async fn end_all(
    context: &AppContext,
    tx: &mut Tx,
    user_id: UserId,
    except: Option<SessionId>,
    ending: &Ending,
) -> Result<()> {
    let rows = session::Entity::live_of(user_id.0, context.clock.now())
        .order_by_asc(session::Column::Id)
        .all(tx.conn())
        .await?;
    let rows: Vec<session::Model> =
        rows.into_iter().filter(|row| except != Some(SessionId(row.id))).collect();
    end_rows(context, tx, &rows, ending).await
}

/// Ends a user's least recently used sessions and keeps `kept` of them, within a transaction that holds the lock of the
/// user's row.
pub async fn end_oldest(context: &AppContext, tx: &mut Tx, user_id: UserId, kept: u64) -> Result<()> {
    let rows = session::Entity::live_of(user_id.0, context.clock.now())
        .order_by_desc(session::Column::LastUsedAt)
        .order_by_desc(session::Column::Id)
        .offset(kept)
        .limit(MOST_AT_ONCE)
        .all(tx.conn())
        .await?;
    let ending = Ending::new("too_many", "a newer login has replaced this session");
    end_rows(context, tx, &rows, &ending).await
}

/// Sessions that one login ends at most. Normally it ends one; more if the limit was lowered.
const MOST_AT_ONCE: u64 = 100;

async fn end_rows(context: &AppContext, tx: &mut Tx, rows: &[session::Model], ending: &Ending) -> Result<()> {
    // A row may have been deleted with its account, which ends the session as well.
    session::Entity::update_many()
        .col_expr(session::Column::EndedAt, Expr::value(Some(context.clock.now())))
        .col_expr(session::Column::EndReason, Expr::value(Some(ending.reason)))
        .filter(session::Column::Id.is_in(rows.iter().map(|row| row.id)))
        .exec(tx.conn())
        .await?;
    for row in rows {
        let (user, session) = (UserId(row.user_id), SessionId(row.id));
        tx.announce(match &ending.told {
            Told::Ended(farewell) => events::session_ended::to_session(user, session, farewell)?,
            Told::Banned(ban) => events::user_banned::to_session(user, session, ban)?,
        });
    }
    // The tokens stop working on this node before the events are sent.
    let (live, ids) =
        (context.sessions.clone(), rows.iter().map(|row| SessionId(row.id)).collect::<Vec<_>>());
    tx.after_commit(move || ids.into_iter().for_each(|id| live.end(id)));
    Ok(())
}
