//! Which sessions hold, answered from memory. An end on this node is known at once; the memory is short,
//! so that what it does not hear of is known soon.

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

/// Ids that one statement names.
const MANY_IDS: usize = 2_000;

/// What is known of sessions: whose it is where one holds, nobody's where it was ended.
pub struct Live {
    known: Cache<SessionId, Option<UserId>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { known: Cache::builder().max_capacity(200_000).time_to_live(Duration::from_secs(30)).build() }
    }
}

impl Live {
    /// Notes that a session was ended. The note stays a while, so that somebody who read the database just
    /// before cannot put the session back.
    pub fn end(&self, session: SessionId) {
        self.known.insert(session, None);
    }
}

/// Who an access token stands for, if it is genuine, in time, and its session holds.
pub async fn authenticate(context: &AppContext, token: &str) -> Result<(Actor, i64)> {
    let Verified { user_id, session_id, expires_at, .. } = context.tokens.verify(Kind::Access, token)?;
    let actor = Actor { user_id, session_id };
    require_live(context, actor).await?;
    Ok((actor, expires_at))
}

/// Fails where the session of somebody who was let in does not hold any more. From memory nearly always; what is
/// long under way asks it again before each step, however long ago the end was.
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

/// Which of these sessions have not been ended.
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

/// The event for the connections of a session that was found to have ended.
pub async fn end_unheard(context: &AppContext, user_id: UserId) -> Result<ConnectionEvent> {
    let row = user::Entity::find_by_id(user_id.0).one(context.db.background()).await?;
    match row.filter(|row| row.is_banned(context.clock.now())) {
        Some(row) => events::user_banned::to_connection(&told_of_ban(&row)),
        None => events::session_ended::to_connection(&Farewell { message: over().message }),
    }
}
