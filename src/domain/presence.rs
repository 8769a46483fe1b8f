//! Presence: a user is online while any device is connected to this node, and for ten seconds after the last one
//! disconnected, so that a reconnect is not visible. Connections that watch a user get an event for each change.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use entity::{member, user};
use parking_lot::Mutex;
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::dispatch::CommandHandler;
use super::{AppContext, Caller, contacts, events, users};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::ids::{ConnId, UserId};
use crate::platform::bus::Batch;
use crate::platform::db::{Outcome, retry};
use crate::protocol::presence::PresenceChanged;
use crate::protocol::presence::{PresenceReply, WatchPresence};

/// A reconnect within this time is not visible, milliseconds.
const GRACE_MS: i64 = 10_000;

#[derive(Default)]
struct State {
    /// Connected devices; a user with none is in the grace period.
    devices: HashMap<UserId, usize>,
    /// When the last device of a user in the grace period disconnected: wall-clock time and uptime, milliseconds.
    gone: HashMap<UserId, (i64, i64)>,
    /// Open connections; a request may still be processed after its connection has closed.
    present: HashSet<ConnId>,
    /// Connections that watch a user.
    watchers: HashMap<UserId, HashSet<ConnId>>,
    /// The owner of a connection and the users that it watches.
    watched: HashMap<ConnId, (UserId, Vec<UserId>)>,
}

/// The presence of the users who are connected to this node.
#[derive(Default)]
pub struct Presence {
    state: Mutex<State>,
}

impl Presence {
    /// Returns whether the user counts as online.
    pub fn is_online(&self, user: UserId) -> bool {
        self.state.lock().devices.contains_key(&user)
    }

    /// Returns the numbers of users and devices that are connected to this node.
    pub fn count(&self) -> (i64, i64) {
        let state = self.state.lock();
        let connected = state.devices.values().filter(|devices| **devices > 0);
        (connected.clone().count() as i64, connected.sum::<usize>() as i64)
    }

    /// Adds a connected device; returns the watchers to notify if the user was offline before.
    pub fn arrived(&self, user: UserId, conn: ConnId) -> Vec<ConnId> {
        let mut state = self.state.lock();
        state.present.insert(conn);
        let was_online = state.devices.contains_key(&user);
        *state.devices.entry(user).or_default() += 1;
        state.gone.remove(&user);
        if was_online { Vec::new() } else { state.watchers_of(user) }
    }

    /// Removes a device that disconnected, and what it watched.
    pub fn left(&self, user: UserId, conn: ConnId, clock: &Clock) {
        let mut state = self.state.lock();
        state.watch(conn, user, Vec::new());
        state.present.remove(&conn);
        if let Some(devices) = state.devices.get_mut(&user) {
            *devices = devices.saturating_sub(1);
            if *devices == 0 {
                state.gone.insert(user, (clock.now(), clock.uptime()));
            }
        }
    }

    /// Ends the watching between two users, in both directions.
    pub fn part(&self, one: UserId, other: UserId) {
        let mut state = self.state.lock();
        state.unwatch(one, other);
        state.unwatch(other, one);
    }

    /// Removes the users whose grace period is over at this uptime; returns each with the time of disconnection and
    /// the watchers to notify.
    fn over(&self, uptime: i64) -> Vec<(UserId, i64, Vec<ConnId>)> {
        let mut state = self.state.lock();
        let over: Vec<(UserId, i64)> = state
            .gone
            .iter()
            .filter(|(_, (_, since))| uptime - since >= GRACE_MS)
            .map(|(user, (at, _))| (*user, *at))
            .collect();
        over.into_iter()
            .map(|(user, since)| {
                state.gone.remove(&user);
                state.devices.remove(&user);
                (user, since, state.watchers_of(user))
            })
            .collect()
    }

    /// Ends grace periods, once a second, and stores when the users were last seen.
    pub fn watch(context: &Arc<AppContext>) {
        context.keep("presence", |context| async move {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            loop {
                second.tick().await;
                let over = context.presence.over(context.clock.uptime());
                if over.is_empty() {
                    continue;
                }
                let users: Vec<i64> = over.iter().map(|(user, _, _)| user.0).collect();
                let latest = over.iter().map(|(_, since, _)| *since).max().unwrap_or_default();
                if let Err(error) = retry(|| note_last_seen(&context, users.clone(), latest)).await {
                    tracing::warn!(%error, "the times of last visits were not stored");
                }
                for (user_id, since, watchers) in over {
                    let told =
                        PresenceChanged { user_id, online: false, last_seen_at: Some(Timestamp(since)) };
                    tell(&context, watchers, told).await;
                }
            }
        });
    }
}

impl State {
    fn watchers_of(&self, user: UserId) -> Vec<ConnId> {
        self.watchers.get(&user).map(|it| it.iter().copied().collect()).unwrap_or_default()
    }

    /// Replaces the users that a connection of `owner` watches.
    fn watch(&mut self, conn: ConnId, owner: UserId, users: Vec<UserId>) {
        for user in self.watched.remove(&conn).map(|(_, users)| users).unwrap_or_default() {
            self.forget_watcher(user, conn);
        }
        if users.is_empty() || !self.present.contains(&conn) {
            return;
        }
        for user in &users {
            self.watchers.entry(*user).or_default().insert(conn);
        }
        self.watched.insert(conn, (owner, users));
    }

    fn forget_watcher(&mut self, user: UserId, conn: ConnId) {
        if let Some(watchers) = self.watchers.get_mut(&user) {
            watchers.remove(&conn);
            if watchers.is_empty() {
                self.watchers.remove(&user);
            }
        }
    }

    /// Stops all connections of `owner` from watching `user`.
    fn unwatch(&mut self, owner: UserId, user: UserId) {
        for conn in self.watchers_of(user) {
            if let Some((whose, users)) = self.watched.get_mut(&conn)
                && *whose == owner
            {
                users.retain(|it| *it != user);
                self.forget_watcher(user, conn);
            }
        }
    }
}

/// Notifies watchers that a user came online.
pub async fn tell_arrival(context: &AppContext, user_id: UserId, watchers: Vec<ConnId>) {
    tell(context, watchers, PresenceChanged { user_id, online: true, last_seen_at: None }).await;
}

async fn tell(context: &AppContext, watchers: Vec<ConnId>, told: PresenceChanged) {
    let watchers = match still_sharing(context, told.user_id, watchers).await {
        Ok(watchers) => watchers,
        Err(error) => return tracing::warn!(%error, "a change of presence was not published"),
    };
    if watchers.is_empty() {
        return;
    }
    match events::presence::to_watchers(watchers, &told) {
        Ok(event) => {
            let event = event.volatile().about(told.user_id);
            context.bus.publish(Batch { deliveries: vec![event], ..Batch::default() }).await;
        }
        Err(error) => tracing::error!(%error, "an event could not be encoded"),
    }
}

/// Returns the connections whose users still share a chat with the watched user, and stops the others from
/// watching.
async fn still_sharing(context: &AppContext, user: UserId, watchers: Vec<ConnId>) -> Result<Vec<ConnId>> {
    let owners: HashMap<ConnId, UserId> = {
        let state = context.presence.state.lock();
        watchers.iter().filter_map(|conn| Some((*conn, state.watched.get(conn)?.0))).collect()
    };
    let people: HashSet<UserId> = owners.values().copied().collect();
    let mut sharing = HashSet::new();
    for some in people.iter().copied().collect::<Vec<_>>().chunks(1_000) {
        sharing.extend(share_a_chat(context, user, some).await?);
    }
    let mut state = context.presence.state.lock();
    for gone in people.difference(&sharing) {
        state.unwatch(*gone, user);
    }
    Ok(watchers.into_iter().filter(|conn| owners.get(conn).is_some_and(|it| sharing.contains(it))).collect())
}

/// Returns those of the others who share a chat with this user.
async fn share_a_chat(context: &AppContext, user: UserId, others: &[UserId]) -> Result<Vec<UserId>> {
    let mut own_chats = Query::select();
    own_chats
        .column(member::Column::ChatId)
        .from(member::Entity)
        .and_where(member::Column::UserId.eq(user.0))
        .and_where(member::Column::LeftAt.is_null());
    let sharing: Vec<i64> = member::Entity::present()
        .select_only()
        .column(member::Column::UserId)
        .distinct()
        .filter(member::Column::UserId.is_in(others.iter().map(|id| id.0)))
        .filter(member::Column::ChatId.in_subquery(own_chats))
        .into_tuple()
        .all(context.db.read())
        .await?;
    Ok(sharing.into_iter().map(UserId).collect())
}

/// Stores the same time for all users whose grace period ended in the same second, with one statement per 1,000
/// users.
async fn note_last_seen(context: &AppContext, mut users: Vec<i64>, at: i64) -> Result<()> {
    users.sort_unstable();
    let tx = context.db.begin().await?;
    for ids in users.chunks(1_000) {
        users::lock_in_order(tx.conn(), ids).await?;
        user::Entity::update_many()
            .col_expr(user::Column::LastSeenAt, at.into())
            .filter(user::Column::Id.is_in(ids.iter().copied()))
            // Deleted accounts keep no such time.
            .filter(user::Column::DeletedAt.is_null())
            .exec(tx.conn())
            .await?;
    }
    tx.commit_silently().await
}

impl CommandHandler for WatchPresence {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<PresenceReply>> {
        let Some(conn) = caller.conn else {
            return Err(Error::invalid("event", "watch_presence is for sockets"));
        };
        // Watch first, then read: a change in between is reported twice rather than never, and a block in between
        // still ends the watching.
        let me = caller.actor.user_id;
        let sharing = share_a_chat(context, me, &self.users).await?;
        context.presence.state.lock().watch(conn, me, sharing.clone());
        let hidden = contacts::blocked_between(context.db.read(), me, sharing.iter().copied()).await?;
        for other in &hidden {
            context.presence.state.lock().unwatch(me, *other);
        }
        let sharing = sharing.iter().filter(|id| !hidden.contains(id)).map(|id| id.0);
        let rows =
            user::Entity::present().filter(user::Column::Id.is_in(sharing)).all(context.db.read()).await?;
        let presence = rows
            .iter()
            .map(|row| PresenceChanged {
                user_id: UserId(row.id),
                online: context.presence.is_online(UserId(row.id)),
                last_seen_at: row.last_seen_at.map(Timestamp),
            })
            .collect();
        Ok(Outcome::unchanged(PresenceReply { presence }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn who_asks_to_watch_and_goes_leaves_nothing_behind() {
        let (presence, clock) = (Presence::default(), Clock::new(|| 0));
        let (me, friend) = (UserId(1), UserId(2));
        let (conn, later) = (ConnId(1), ConnId(2));
        presence.arrived(me, conn);
        presence.state.lock().watch(conn, me, vec![friend]);
        assert_eq!(presence.arrived(friend, later), [conn]);
        presence.left(me, conn, &clock);
        // Processed after the connection has closed.
        presence.state.lock().watch(conn, me, vec![friend]);
        presence.left(friend, later, &clock);
        assert_eq!(
            presence.over(clock.uptime() + GRACE_MS).into_iter().flat_map(|(_, _, told)| told).count(),
            0
        );
        let state = presence.state.lock();
        assert!(state.watchers.is_empty() && state.watched.is_empty() && state.present.is_empty());
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_online() {
        let wall = Arc::new(AtomicI64::new(7_200_000));
        let shown = wall.clone();
        let (presence, clock) = (Presence::default(), Clock::new(move || shown.load(Ordering::Relaxed)));
        presence.arrived(UserId(1), ConnId(1));
        presence.left(UserId(1), ConnId(1), &clock);
        wall.store(0, Ordering::Relaxed);
        assert!(presence.over(clock.uptime()).is_empty(), "the grace has just begun");
        let over = presence.over(clock.uptime() + GRACE_MS);
        assert_eq!(
            over.iter().map(|(user, at, _)| (*user, *at)).collect::<Vec<_>>(),
            [(UserId(1), 7_200_000)]
        );
    }
}
