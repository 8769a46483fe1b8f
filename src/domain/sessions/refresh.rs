//! Exchanging a refresh token. Each is exchanged once; for ten seconds more while its successor is unused,
//! so that two tabs or a lost answer do no harm; after that its coming back is theft, and the family ends.

use entity::{refresh_token, session};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};

use super::end::end_in;
use super::refusal::{over, refusal};
use super::{TokenPair, issue_pair, require_live, seconds_left};
use crate::domain::{Actor, Core};
use crate::error::{Code, Error, Result};
use crate::ids::SessionId;
use crate::platform::db::again;
use crate::platform::limits::{Bucket, Key};
use crate::platform::tokens::{Kind, Verified};

/// How long an exchanged token is still taken, milliseconds.
const GRACE_MS: i64 = 10_000;

/// How often a token is exchanged within that time: enough for many tabs, too few to fill the database.
const MOST_SUCCESSORS: u64 = 32;

/// Exchanges a refresh token for a new pair.
pub async fn refresh(core: &Core, token: &str) -> Result<TokenPair> {
    let verified = core.tokens.verify(Kind::Refresh, token)?;
    core.rates.take(Bucket::Refresh, Key::user(verified.user_id)).await?;
    again(|| exchange(core, &verified)).await
}

async fn exchange(core: &Core, verified: &Verified) -> Result<TokenPair> {
    let now = core.clock.now();
    let mut tx = core.db.begin().await?;
    // The session's row is locked first: two exchanges of one family take their turns.
    let family =
        session::Entity::find_by_id(verified.session_id.0).lock_exclusive().one(tx.conn()).await?.filter(
            |row| row.ended_at.is_none() && row.expires_at > now && row.user_id == verified.user_id.0,
        );
    let Some(family) = family else {
        return Err(refusal(tx.conn(), verified.user_id, now).await?);
    };
    let row = refresh_token::Entity::find()
        .filter(refresh_token::Column::TokenHash.eq(&verified.hash))
        .filter(refresh_token::Column::SessionId.eq(family.id))
        .one(tx.conn())
        .await?
        .ok_or_else(unknown)?;
    if let Some(exchanged) = row.exchanged_at {
        let used_successors = refresh_token::Entity::find()
            .filter(refresh_token::Column::ParentId.eq(row.id))
            .filter(refresh_token::Column::ExchangedAt.is_not_null())
            .count(tx.conn())
            .await?;
        let successors = refresh_token::Entity::find()
            .filter(refresh_token::Column::ParentId.eq(row.id))
            .count(tx.conn())
            .await?;
        if used_successors == 0 && now <= exchanged + GRACE_MS && successors >= MOST_SUCCESSORS {
            return Err(Error::rate_limited("this token was exchanged too often at once", GRACE_MS as u64));
        }
        if used_successors > 0 || now > exchanged + GRACE_MS {
            end_in(core, &mut tx, &family, "refresh_reused").await?;
            tracing::warn!(
                user = family.user_id,
                session = family.id,
                "a refresh token came back after its time: its session is ended"
            );
            let outcome = tx.commit(()).await?;
            core.sessions.end(SessionId(family.id));
            core.publish(outcome).await;
            return Err(Error::new(Code::RefreshReused, "this token was used before; the session has ended"));
        }
    } else {
        refresh_token::ActiveModel { id: Set(row.id), exchanged_at: Set(Some(now)), ..Default::default() }
            .update(tx.conn())
            .await?;
    }
    session::ActiveModel { id: Set(family.id), last_used_at: Set(now), ..Default::default() }
        .update(tx.conn())
        .await?;
    let pair =
        issue_pair(core, tx.conn(), verified.user_id, verified.session_id, family.expires_at, Some(row.id))
            .await?;
    Ok(core.publish(tx.commit(pair).await?).await)
}

/// Whose refresh token it is, exchanged or not, without exchanging it: enough to log out by.
pub async fn holder(core: &Core, token: &str) -> Result<Actor> {
    let verified = core.tokens.verify(Kind::Refresh, token)?;
    refresh_token::Entity::find()
        .filter(refresh_token::Column::TokenHash.eq(&verified.hash))
        .filter(refresh_token::Column::SessionId.eq(verified.session_id.0))
        .one(core.db.read())
        .await?
        .ok_or_else(unknown)?;
    let actor = Actor { user_id: verified.user_id, session_id: verified.session_id };
    require_live(core, actor).await?;
    Ok(actor)
}

fn unknown() -> Error {
    Error::new(Code::TokenInvalid, "the token is not one of ours")
}

/// A new access token for a holder of one, as Mango's clients ask for; not beyond the session's end.
pub async fn access_only(core: &Core, actor: Actor) -> Result<TokenPair> {
    core.rates.take(Bucket::Refresh, Key::user(actor.user_id)).await?;
    again(|| access_only_once(core, actor)).await
}

async fn access_only_once(core: &Core, actor: Actor) -> Result<TokenPair> {
    let now = core.clock.now();
    let family = session::Entity::find_by_id(actor.session_id.0)
        .one(core.db.read())
        .await?
        .filter(|row| row.ended_at.is_none() && row.expires_at > now)
        .ok_or_else(over)?;
    let tx = core.db.begin().await?;
    session::Entity::update_many()
        .col_expr(session::Column::LastUsedAt, now.into())
        .filter(session::Column::Id.eq(family.id))
        .exec(tx.conn())
        .await?;
    core.publish(tx.commit(()).await?).await;
    let until = family.expires_at.min(now + core.settings.access_token_ttl.as_millis() as i64);
    let access = core.tokens.issue(Kind::Access, actor.user_id, actor.session_id, until)?;
    Ok(TokenPair {
        access_token: access.token,
        refresh_token: None,
        token_type: "bearer",
        expires_in: seconds_left(access.expires_at, now),
        refresh_expires_in: 0,
    })
}
