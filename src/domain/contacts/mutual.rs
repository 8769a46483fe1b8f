//! `CONTACT_POLICY=mutual`: the creator of a group and its members follow each other.

use std::collections::{HashMap, HashSet};

use entity::contact;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::blocked_between;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::bus::{Audience, Delivery};
use crate::platform::db::Tx;
use crate::protocol::events::ContactChanged;

/// People beyond whom the one in the middle is not told one by one.
const TOLD_UP_TO: usize = 200;

/// One follows the other, as of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    by: UserId,
    user_id: UserId,
    user_rev: i64,
}

/// Makes `hub` and each of `others` follow each other, but for those of whom one blocks the other. Their
/// rows are locked, `revs` are their own counters in this transaction. Answers what is new.
pub async fn follow_each_other(
    conn: &impl ConnectionTrait,
    hub: UserId,
    others: &[UserId],
    revs: &[(UserId, i64)],
    now: i64,
) -> Result<Vec<Followed>> {
    let revs: HashMap<UserId, i64> = revs.iter().copied().collect();
    let blocked = blocked_between(conn, hub, others.iter().copied()).await?;
    let mut known = HashSet::new();
    for some in others.chunks(1_000) {
        let rows = contact::Entity::between(hub.0, some.iter().map(|id| id.0))
            .filter(contact::Column::FollowedAt.is_not_null())
            .all(conn)
            .await?;
        known.extend(rows.into_iter().map(|row| (row.user_id, row.other_id)));
    }
    let rev = |id: UserId| {
        revs.get(&id).copied().ok_or_else(|| Error::internal("a contact of somebody who is not locked"))
    };
    let mut made = Vec::new();
    for other in others.iter().filter(|other| **other != hub && !blocked.contains(other)) {
        for (by, user_id) in [(hub, *other), (*other, hub)] {
            if !known.contains(&(by.0, user_id.0)) {
                made.push(Followed { by, user_id, user_rev: rev(by)? });
            }
        }
    }
    for some in made.chunks(1_000) {
        let rows = some.iter().map(|it| contact::ActiveModel {
            user_id: Set(it.by.0),
            other_id: Set(it.user_id.0),
            followed_at: Set(Some(now)),
            blocked_at: Set(None),
            user_rev: Set(it.user_rev),
        });
        contact::Entity::insert_many(rows)
            .on_conflict(
                OnConflict::columns([contact::Column::UserId, contact::Column::OtherId])
                    .update_columns([contact::Column::FollowedAt, contact::Column::UserRev])
                    .to_owned(),
            )
            .exec_without_returning(conn)
            .await?;
    }
    Ok(made)
}

/// Tells both sides of each; where there are too many, `hub` is left to `sync` and the lists.
///
/// One's own counter is not told: these events go the way of the chat, where a later change of one's own
/// state may overtake them.
pub fn tell(tx: &mut Tx, hub: UserId, made: &[Followed], now: i64) -> Result<()> {
    for Followed { by, user_id, .. } in made.iter().copied() {
        let told = ContactChanged { user_id, by, at: Timestamp(now), user_rev: None };
        let all = made.len() <= 2 * TOLD_UP_TO;
        for person in [by, user_id].into_iter().filter(|it| all || *it != hub) {
            tx.announce(Delivery::new(Audience::User(person), "followed", &told)?);
        }
    }
    Ok(())
}
