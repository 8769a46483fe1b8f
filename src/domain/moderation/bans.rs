//! Bans. A ban ends all sessions of the user in the transaction that sets it: from the commit on, none of the user's
//! tokens works, and their connections are notified and closed. A ban with an end date expires by itself.

use entity::user;
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;
use serde_json::json;

use super::moderators::{Admin, Locked, Moderator};
use super::user_view;
use crate::clock::Timestamp;
use crate::domain::AppContext;
use crate::domain::audit::{self, Act, Target};
use crate::domain::sessions::{self, Ending};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::db::retry;
use crate::protocol::moderation::{AdminUser, BanUser, Role};

/// Bans a user, or changes the reason and end of an existing ban. The same request again changes nothing.
pub async fn ban(context: &AppContext, by: &Moderator, id: UserId, request: BanUser) -> Result<AdminUser> {
    let until = request.until.as_deref().and_then(Timestamp::from_rfc3339);
    if until.is_some_and(|until| until.0 <= context.clock.now()) {
        return Err(Error::invalid("until", "must be in the future"));
    }
    let reason = request.reason.trim();
    retry(|| ban_once(context, by, id, reason, until)).await
}

async fn ban_once(
    context: &AppContext,
    by: &Moderator,
    id: UserId,
    reason: &str,
    until: Option<Timestamp>,
) -> Result<AdminUser> {
    let mut tx = context.db.begin().await?;
    let locked = Locked::read(context, &tx, by, Role::Moderator, id).await?;
    let target = locked.find(id)?;
    require_below(&locked, by, target)?;
    let is_the_same = target.is_banned(context.clock.now())
        && target.banned_until == until.map(|until| until.0)
        && target.ban_reason.as_deref() == Some(reason);
    if is_the_same {
        let shown = user_view::show(context, target, by);
        tx.roll_back().await?;
        return Ok(shown);
    }
    let row = user::ActiveModel {
        id: Set(id.0),
        banned_at: Set(Some(context.clock.now())),
        banned_until: Set(until.map(|until| until.0)),
        ban_reason: Set(Some(reason.to_owned())),
        ..Default::default()
    }
    .update(tx.conn())
    .await?;
    let ending = Ending::banned(sessions::told_of_ban(&row));
    sessions::end_all(context, &mut tx, id, None, &ending).await?;
    let details = json!({"reason": reason, "until": until.map(Timestamp::to_rfc3339)});
    record(context, &tx, by, "user.ban", id, details).await?;
    Ok(context.publish(tx.commit(user_view::show(context, &row, by)).await?).await)
}

/// Lifts a ban. Does nothing if the user is not banned.
pub async fn unban(context: &AppContext, by: &Moderator, id: UserId) -> Result<AdminUser> {
    retry(|| unban_once(context, by, id)).await
}

async fn unban_once(context: &AppContext, by: &Moderator, id: UserId) -> Result<AdminUser> {
    let tx = context.db.begin().await?;
    let locked = Locked::read(context, &tx, by, Role::Moderator, id).await?;
    let target = locked.find(id)?;
    require_below(&locked, by, target)?;
    if target.banned_at.is_none() {
        let shown = user_view::show(context, target, by);
        tx.roll_back().await?;
        return Ok(shown);
    }
    let row = user::ActiveModel {
        id: Set(id.0),
        banned_at: Set(None),
        banned_until: Set(None),
        ban_reason: Set(None),
        ..Default::default()
    }
    .update(tx.conn())
    .await?;
    record(context, &tx, by, "user.unban", id, json!({})).await?;
    Ok(context.publish(tx.commit(user_view::show(context, &row, by)).await?).await)
}

/// Ends all sessions of a user, for example of an account that was taken over.
pub async fn end_sessions(context: &AppContext, by: &Admin, id: UserId) -> Result<()> {
    retry(|| end_sessions_once(context, by.as_moderator(), id)).await
}

async fn end_sessions_once(context: &AppContext, by: &Moderator, id: UserId) -> Result<()> {
    let mut tx = context.db.begin().await?;
    let locked = Locked::read(context, &tx, by, Role::Admin, id).await?;
    locked.find(id)?;
    let ending = Ending::new("ended_by_admin", "the session was ended by an admin, log in again");
    sessions::end_all(context, &mut tx, id, None, &ending).await?;
    record(context, &tx, by, "user.end_sessions", id, json!({})).await?;
    context.publish(tx.commit(()).await?).await;
    Ok(())
}

/// Checks that the user's role is below the moderator's: moderators cannot ban themselves or their equals, and an admin
/// must lose the role first.
fn require_below(locked: &Locked, by: &Moderator, target: &user::Model) -> Result<()> {
    if target.id == by.id().0 {
        return Err(Error::forbidden("you cannot ban or unban yourself"));
    }
    if target.role < locked.find(by.id())?.role {
        return Ok(());
    }
    Err(Error::forbidden(match target.role {
        Role::Admin => "an admin cannot be banned; take the role away first",
        _ => "a moderator can only be banned by an admin",
    }))
}

/// Writes an audit entry for an action on a user.
pub(super) async fn record(
    context: &AppContext,
    tx: &crate::platform::db::Tx,
    by: &Moderator,
    action: &'static str,
    id: UserId,
    details: serde_json::Value,
) -> Result<()> {
    let (target, address) = (Target::User(id), by.address());
    audit::record(context, tx, Act { actor: Some(by.id()), action, target, details, address }).await
}
