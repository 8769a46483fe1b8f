//! What a node reads for connections that are being set up. After an outage thousands arrive at once, so their reads are
//! combined.

use std::collections::HashMap;

use entity::{member, user};
use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};

use super::fill::heads;
use crate::domain::AppContext;
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::platform::db::Reader;
use crate::platform::gather::Gather;

/// The chats of a user, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct Memberships {
    /// The user's own counter.
    pub user_rev: i64,
    /// The chats that they are a member of.
    pub chats: Vec<ChatId>,
}

/// Combines the reads of arriving connections.
#[derive(Default)]
pub struct Arrivals {
    memberships: Gather<UserId, Memberships>,
    heads: Gather<ChatId, i64>,
}

impl Arrivals {
    /// Returns the chats of a user.
    pub async fn memberships(&self, context: &AppContext, user: UserId) -> Result<Memberships> {
        let conn = context.db.read().clone();
        let read = move |users| {
            let conn = conn.clone();
            async move { memberships(&conn, users).await }
        };
        Ok(self.memberships.get(vec![user], read).await?.remove(&user).unwrap_or_default())
    }

    /// Returns the current counters of chats.
    pub async fn heads(&self, context: &AppContext, chats: Vec<ChatId>) -> Result<HashMap<ChatId, i64>> {
        let conn = context.db.read().clone();
        let read = move |chats: Vec<ChatId>| {
            let conn = conn.clone();
            async move { Ok(heads(&conn, &chats).await?.into_iter().collect()) }
        };
        self.heads.get(chats, read).await
    }
}

async fn memberships(conn: &Reader, users: Vec<UserId>) -> Result<HashMap<UserId, Memberships>> {
    use {member::Column as Member, user::Column as User};
    let is_current = Expr::col((member::Entity, Member::UserId))
        .equals((user::Entity, User::Id))
        .and(Expr::col((member::Entity, Member::LeftAt)).is_null());
    let select = Query::select()
        .columns([(user::Entity, User::Id), (user::Entity, User::UserRev)])
        .column((member::Entity, Member::ChatId))
        .from(user::Entity)
        .left_join(member::Entity, is_current)
        .and_where(Expr::col((user::Entity, User::Id)).is_in(users.iter().map(|user| user.0)))
        .to_owned();
    let mut found: HashMap<UserId, Memberships> = HashMap::with_capacity(users.len());
    for row in conn.query_all(&select).await? {
        let memberships = found.entry(UserId(row.try_get_by_index(0)?)).or_default();
        memberships.user_rev = row.try_get_by_index(1)?;
        memberships.chats.extend(row.try_get_by_index::<Option<i64>>(2)?.map(ChatId));
    }
    Ok(found)
}
