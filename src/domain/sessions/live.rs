//! Checks sessions against a cache. A session that this node ends is known at once. Entries live only a short time, so
//! that a session that another process ends is noticed soon.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use entity::{session, user};
use moka::sync::Cache;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::refusal::{over, refusal, told_of_ban};
use crate::domain::events::{self, ConnectionEvent};
use crate::domain::{Actor, AppContext};
use crate::error::Result;
use crate::ids::{SessionId, UserId};
use crate::platform::gather::Gather;
use crate::platform::tokens::{Kind, Verified};
use crate::protocol::sessions::Farewell;

/// Ids per statement.
const MANY_IDS: usize = 2_000;

/// The cached sessions: the owner of a live session, `None` for an ended one.
pub struct Live {
    known: Cache<SessionId, Option<UserId>>,
    /// Combines the reads of sessions that are not cached.
    reads: Gather<SessionId, UserId>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            known: Cache::builder().max_capacity(200_000).time_to_live(Duration::from_secs(30)).build(),
            reads: Gather::default(),
        }
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
    let (conn, clock) = (context.db.read().clone(), context.clock.clone());
    let read = move |ids| {
        // The time of the read: it may be made for callers that come later.
        let (conn, now) = (conn.clone(), clock.now());
        async move { owners(&conn, ids, now).await }
    };
    if context.sessions.reads.get(vec![session_id], read).await?.get(&session_id) != Some(&user_id) {
        return Err(refusal(context.db.read(), user_id, now).await?);
    }
    let owner = *context.sessions.known.entry(session_id).or_insert(Some(user_id)).value();
    if owner == Some(user_id) { Ok(()) } else { Err(over()) }
}

/// Returns the owners of those sessions that are live, and whose owners may use them.
async fn owners(
    conn: &impl ConnectionTrait,
    ids: Vec<SessionId>,
    now: i64,
) -> Result<HashMap<SessionId, UserId>> {
    use {session::Column as Session, user::Column as User};
    let of_session = |column| Expr::col((session::Entity, column));
    let of_user = |column| Expr::col((user::Entity, column));
    let select = Query::select()
        .columns([(session::Entity, Session::Id), (session::Entity, Session::UserId)])
        .from(session::Entity)
        .inner_join(user::Entity, of_user(User::Id).equals((session::Entity, Session::UserId)))
        .and_where(of_session(Session::Id).is_in(ids.iter().map(|id| id.0)))
        .and_where(of_session(Session::EndedAt).is_null())
        .and_where(of_session(Session::ExpiresAt).gt(now))
        .and_where(of_user(User::DeletedAt).is_null())
        .and_where(of_user(User::BannedAt).is_null().or(of_user(User::BannedUntil).lte(now)))
        .to_owned();
    let rows = conn.query_all(&select).await?;
    rows.iter()
        .map(|row| Ok((SessionId(row.try_get_by_index(0)?), UserId(row.try_get_by_index(1)?))))
        .collect()
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
