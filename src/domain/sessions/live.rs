//! Checks sessions against a cache. A session that this node ends is known at once. Entries live only a short time, so
//! that a session that another process ends is noticed soon.

use std::collections::HashSet;
use std::time::Duration;

use entity::{session, user};
use moka::sync::Cache;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::refusal::{banned, over, refusal, told_of_ban};
use crate::domain::events::{self, ConnectionEvent};
use crate::domain::{Actor, AppContext};
use crate::error::Result;
use crate::ids::{SessionId, UserId};
use crate::platform::tokens::{Kind, Verified};
use crate::protocol::sessions::Farewell;

/// Ids per statement.
const MANY_IDS: usize = 2_000;

/// The cached sessions: the owner of a live session, `None` for an ended one.
pub struct Live {
    known: Cache<SessionId, Option<UserId>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { known: Cache::builder().max_capacity(200_000).time_to_live(Duration::from_secs(30)).build() }
    }
}

impl Live {
    /// Marks a session as ended. The entry stays for a while, so that a concurrent caller with an older read of the
    /// database cannot restore the session.
    pub fn end(&self, session: SessionId) {
        self.known.insert(session, None);
    }
}

/// Returns the user and session of an access token, and its expiry. Fails if the token is invalid or expired, or if its
/// session is over.
pub async fn authenticate(context: &AppContext, token: &str) -> Result<(Actor, i64)> {
    let Verified { user_id, session_id, expires_at, .. } = context.tokens.verify(Kind::Access, token)?;
    let actor = Actor { user_id, session_id };
    require_live(context, actor).await?;
    Ok((actor, expires_at))
}

/// Fails if the session of an authenticated caller is over. Nearly always answered from the cache. Long-running work
/// calls this again before each step.
pub async fn require_live(context: &AppContext, Actor { user_id, session_id }: Actor) -> Result<()> {
    let now = context.clock.now();
    match context.sessions.known.get(&session_id) {
        Some(Some(owner)) if owner == user_id => return Ok(()),
        Some(_) => return Err(refusal(context.db.read(), user_id, now).await?),
        None => {}
    }
    let row = session::Entity::find_by_id(session_id.0).one(context.db.read()).await?;
    let holds =
        |row: session::Model| row.user_id == user_id.0 && row.ended_at.is_none() && row.expires_at > now;
    if !row.is_some_and(holds) {
        return Err(refusal(context.db.read(), user_id, now).await?);
    }
    let user = user::Entity::find_by_id(user_id.0).one(context.db.read()).await?.ok_or_else(over)?;
    if user.deleted_at.is_some() {
        return Err(over());
    }
    if user.is_banned(now) {
        return Err(banned(&user));
    }
    let owner = *context.sessions.known.entry(session_id).or_insert(Some(user_id)).value();
    if owner == Some(user_id) { Ok(()) } else { Err(over()) }
}

/// Returns those of the sessions that have not been ended.
pub async fn live_among(context: &AppContext, ids: &[SessionId]) -> Result<HashSet<SessionId>> {
    let mut live = HashSet::with_capacity(ids.len());
    for some in ids.chunks(MANY_IDS) {
        let rows: Vec<i64> = session::Entity::find()
            .select_only()
            .column(session::Column::Id)
            .filter(session::Column::Id.is_in(some.iter().map(|id| id.0)))
            .filter(session::Column::EndedAt.is_null())
            .into_tuple()
            .all(context.db.background())
            .await?;
        live.extend(rows.into_iter().map(SessionId));
    }
    Ok(live)
}

/// Returns the event for the connections of a session that was found to have ended.
pub async fn end_unheard(context: &AppContext, user_id: UserId) -> Result<ConnectionEvent> {
    let row = user::Entity::find_by_id(user_id.0).one(context.db.background()).await?;
    match row.filter(|row| row.is_banned(context.clock.now())) {
        Some(row) => events::user_banned::to_connection(&told_of_ban(&row)),
        None => events::session_ended::to_connection(&Farewell { message: over().message }),
    }
}
