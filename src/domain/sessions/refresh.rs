//! Exchanges refresh tokens. A token may be exchanged again as long as its successor has not been used, because the
//! response may have been lost; the new successor replaces the unused one. Several tabs may exchange the same token
//! within ten seconds of the first exchange; the family (the tokens of one session) continues with the successor that
//! is used first. Any other reuse counts as theft and ends the session.

use entity::{refresh_token, session};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::end::end_in;
use super::refusal::{over, refusal};
use super::{TokenPair, issue_pair, require_live, seconds_left};
use crate::domain::{Actor, AppContext};
use crate::error::{Code, Error, Result};
use crate::ids::SessionId;
use crate::platform::db::{Tx, retry};
use crate::platform::limits::{Bucket, Key};
use crate::platform::tokens::{Kind, Verified};

/// Exchanges within this time of the first count as simultaneous exchanges of several tabs, milliseconds.
const AT_ONCE_MS: i64 = 10_000;

/// Successors per token: enough for many tabs, too few to fill the database.
const MOST_SUCCESSORS: usize = 32;

/// Exchanges a refresh token for a new pair.
pub async fn refresh(context: &AppContext, token: &str) -> Result<TokenPair> {
    let verified = context.tokens.verify(Kind::Refresh, token)?;
    context.rates.take(Bucket::Refresh, Key::user(verified.user_id)).await?;
    retry(|| exchange(context, &verified)).await
}

async fn exchange(context: &AppContext, verified: &Verified) -> Result<TokenPair> {
    let now = context.clock.now();
    let tx = context.db.begin().await?;
    // Locking the session's row first serializes the exchanges of one family.
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
    match row.exchanged_at {
        // The family continues with this token: tokens that another tab or an attacker received at the same time are
        // revoked.
        None => mark_all_exchanged(tx.conn(), family.id, now).await?,
        Some(exchanged) => {
            let successors = children(tx.conn(), &[row.id]).await?;
            let used = !children(tx.conn(), &successors).await?.is_empty();
            let at_once = now <= exchanged + AT_ONCE_MS;
            // A token without a successor was replaced by a sibling: another client continued from its parent.
            if successors.is_empty() || (used && !at_once) {
                return Err(end_family(context, tx, &family).await?);
            }
            if at_once && successors.len() >= MOST_SUCCESSORS {
                let after = AT_ONCE_MS as u64;
                return Err(Error::rate_limited("this token was exchanged too often at once", after));
            }
            if !at_once {
                replace(tx.conn(), successors, now).await?;
            }
        }
    }
    session::ActiveModel { id: Set(family.id), last_used_at: Set(now), ..Default::default() }
        .update(tx.conn())
        .await?;
    let pair = issue_pair(
        context,
        tx.conn(),
        verified.user_id,
        verified.session_id,
        family.expires_at,
        Some(row.id),
    )
    .await?;
    Ok(context.publish(tx.commit(pair).await?).await)
}

/// Ends a session after the reuse of one of its tokens. Returns the error for the client.
async fn end_family(context: &AppContext, mut tx: Tx, family: &session::Model) -> Result<Error> {
    end_in(context, &mut tx, family, "refresh_reused").await?;
    tracing::warn!(
        user = family.user_id,
        session = family.id,
        "a refresh token came back after its time: its session is ended"
    );
    let outcome = tx.commit(()).await?;
    context.sessions.end(SessionId(family.id));
    context.publish(outcome).await;
    Ok(Error::new(Code::RefreshReused, "this token was used before; the session has ended"))
}

/// Returns the tokens that any of these were exchanged for.
async fn children(conn: &impl ConnectionTrait, parents: &[i64]) -> Result<Vec<i64>> {
    let children = refresh_token::Entity::find()
        .select_only()
        .column(refresh_token::Column::Id)
        .filter(refresh_token::Column::ParentId.is_in(parents.iter().copied()));
    Ok(children.into_tuple().all(conn).await?)
}

/// Revokes successors that were never used, because a new one replaces them. Deletes the oldest if a client has lost
/// many responses.
async fn replace(conn: &impl ConnectionTrait, mut successors: Vec<i64>, now: i64) -> Result<()> {
    mark_exchanged(conn, &successors, now).await?;
    successors.sort_unstable_by(|one, other| other.cmp(one));
    if let Some(oldest) = successors.get(MOST_SUCCESSORS - 1..) {
        refresh_token::Entity::delete_many()
            .filter(refresh_token::Column::Id.is_in(oldest.iter().copied()))
            .exec(conn)
            .await?;
    }
    Ok(())
}

/// Marks all tokens of a family as exchanged, which revokes them.
async fn mark_all_exchanged(conn: &impl ConnectionTrait, family: i64, now: i64) -> Result<()> {
    refresh_token::Entity::update_many()
        .col_expr(refresh_token::Column::ExchangedAt, Expr::value(Some(now)))
        .filter(refresh_token::Column::SessionId.eq(family))
        .filter(refresh_token::Column::ExchangedAt.is_null())
        .exec(conn)
        .await?;
    Ok(())
}

/// Marks those tokens that have not been exchanged yet as exchanged.
async fn mark_exchanged(conn: &impl ConnectionTrait, ids: &[i64], now: i64) -> Result<()> {
    refresh_token::Entity::update_many()
        .col_expr(refresh_token::Column::ExchangedAt, Expr::value(Some(now)))
        .filter(refresh_token::Column::Id.is_in(ids.iter().copied()))
        .filter(refresh_token::Column::ExchangedAt.is_null())
        .exec(conn)
        .await?;
    Ok(())
}

/// Returns the holder of a refresh token, exchanged or not, without exchanging it; used to log out.
pub async fn holder(context: &AppContext, token: &str) -> Result<Actor> {
    let verified = context.tokens.verify(Kind::Refresh, token)?;
    refresh_token::Entity::find()
        .filter(refresh_token::Column::TokenHash.eq(&verified.hash))
        .filter(refresh_token::Column::SessionId.eq(verified.session_id.0))
        .one(context.db.read())
        .await?
        .ok_or_else(unknown)?;
    let actor = Actor { user_id: verified.user_id, session_id: verified.session_id };
    require_live(context, actor).await?;
    Ok(actor)
}

fn unknown() -> Error {
    Error::new(Code::TokenInvalid, "the token was not issued by this server")
}

/// Issues only an access token, as Mango's clients request it. It expires with the session at the latest.
pub async fn access_only(context: &AppContext, actor: Actor) -> Result<TokenPair> {
    context.rates.take(Bucket::Refresh, Key::user(actor.user_id)).await?;
    retry(|| access_only_once(context, actor)).await
}

async fn access_only_once(context: &AppContext, actor: Actor) -> Result<TokenPair> {
    let now = context.clock.now();
    let family = session::Entity::find_by_id(actor.session_id.0)
        .one(context.db.read())
        .await?
        .filter(|row| row.ended_at.is_none() && row.expires_at > now)
        .ok_or_else(over)?;
    let tx = context.db.begin().await?;
    session::Entity::update_many()
        .col_expr(session::Column::LastUsedAt, now.into())
        .filter(session::Column::Id.eq(family.id))
        .exec(tx.conn())
        .await?;
    context.publish(tx.commit(()).await?).await;
    let until = family.expires_at.min(now + context.settings.tokens.access_ttl.as_millis() as i64);
    let access = context.tokens.issue(Kind::Access, actor.user_id, actor.session_id, until)?;
    Ok(TokenPair {
        access_token: access.token,
        refresh_token: None,
        token_type: "bearer",
        expires_in: seconds_left(access.expires_at, now),
        refresh_expires_in: 0,
    })
}
