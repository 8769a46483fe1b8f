//! One-time tokens: 32 random bytes, mailed, good for one use and a short time, known here by their SHA-256 only.
//! A new one takes the earlier ones of its purpose out of use, and mails that still carry those are not sent.

use std::time::Duration;

use entity::enums::MailTemplate;
pub use entity::enums::TokenPurpose as Purpose;
use entity::{one_time_token, user};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::outbox;
use crate::domain::{AppContext, users};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::db::Tx;
use crate::platform::tokens::hash;
use crate::random;

fn lifetime(purpose: Purpose) -> Duration {
    match purpose {
        Purpose::VerifyEmail => Duration::from_hours(24),
        Purpose::ResetPassword => Duration::from_mins(30),
        Purpose::ChangeEmail => Duration::from_hours(1),
    }
}

/// The mail that carries a token.
fn template_of(purpose: Purpose) -> MailTemplate {
    match purpose {
        Purpose::VerifyEmail => MailTemplate::VerifyEmail,
        Purpose::ResetPassword => MailTemplate::ResetPassword,
        Purpose::ChangeEmail => MailTemplate::EmailChange,
    }
}

/// A new token.
#[derive(Clone)]
pub struct Issued {
    /// What is mailed.
    pub text: String,
    /// Its end, milliseconds.
    pub expires_at: i64,
}

/// Issues a token that is mailed to `email`. The caller holds the lock of the user's row.
pub async fn issue(
    context: &AppContext,
    tx: &Tx,
    user: UserId,
    purpose: Purpose,
    email: &str,
) -> Result<Issued> {
    revoke(context, tx, user, &[purpose]).await?;
    let now = context.clock.now();
    let text = random::hex(32)?;
    let expires_at = now + lifetime(purpose).as_millis() as i64;
    let row = one_time_token::ActiveModel {
        user_id: Set(user.0),
        purpose: Set(purpose),
        token_hash: Set(hash(&text)),
        email: Set(Some(email.to_owned())),
        created_at: Set(now),
        expires_at: Set(expires_at),
        ..Default::default()
    };
    one_time_token::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(Issued { text, expires_at })
}

/// Takes a user's tokens of these purposes out of use; mails that carry them are not sent any more.
pub async fn revoke(context: &AppContext, tx: &Tx, user: UserId, purposes: &[Purpose]) -> Result<()> {
    one_time_token::Entity::update_many()
        .col_expr(one_time_token::Column::UsedAt, Expr::value(Some(context.clock.now())))
        .filter(one_time_token::Column::UserId.eq(user.0))
        .filter(one_time_token::Column::Purpose.is_in(purposes.iter().copied()))
        .filter(one_time_token::Column::UsedAt.is_null())
        .exec(tx.conn())
        .await?;
    let templates: Vec<MailTemplate> = purposes.iter().map(|it| template_of(*it)).collect();
    outbox::cancel(context, tx, user, &templates).await
}

/// Whether a token of this purpose was mailed to somebody and can still be used.
pub async fn is_waiting(context: &AppContext, user: UserId, purpose: Purpose) -> Result<bool> {
    let waiting = one_time_token::Entity::find()
        .filter(one_time_token::Column::UserId.eq(user.0))
        .filter(one_time_token::Column::Purpose.eq(purpose))
        .filter(one_time_token::Column::UsedAt.is_null())
        .filter(one_time_token::Column::ExpiresAt.gt(context.clock.now()));
    Ok(waiting.one(context.db.read()).await?.is_some())
}

/// One answer for a token that never was, was used, replaced, has ended, is for something else, or whose
/// account is gone.
fn not_good() -> Error {
    Error::invalid("token", "is invalid or no longer valid; request a new mail")
}

/// The token's row, if it is good now.
pub async fn peek(
    context: &AppContext,
    conn: &impl ConnectionTrait,
    text: &str,
    purposes: &[Purpose],
) -> Result<one_time_token::Model> {
    one_time_token::Entity::find()
        .filter(one_time_token::Column::TokenHash.eq(hash(text)))
        .filter(one_time_token::Column::Purpose.is_in(purposes.iter().copied()))
        .filter(one_time_token::Column::UsedAt.is_null())
        .filter(one_time_token::Column::ExpiresAt.gt(context.clock.now()))
        .one(conn)
        .await?
        .ok_or_else(not_good)
}

/// A token that was used within a transaction.
pub struct Spent {
    /// What it was for.
    pub purpose: Purpose,
    /// The address it was mailed to.
    pub email: String,
    /// Whose account it is about; the row is locked.
    pub user: user::Model,
}

/// Uses a token within the transaction that does what it is good for. Of two at the same instant one gets it:
/// whoever changes the row is right, the other is told what everybody with a used token is told.
///
/// The account's row is locked before the token's, in the order in which tokens are issued.
pub async fn spend(context: &AppContext, tx: &Tx, text: &str, purposes: &[Purpose]) -> Result<Spent> {
    let row = peek(context, tx.conn(), text, purposes).await?;
    let user = users::lock(tx.conn(), UserId(row.user_id))
        .await
        .map_err(|error| if error.source.is_some() { error } else { not_good() })?;
    let marked = one_time_token::Entity::update_many()
        .col_expr(one_time_token::Column::UsedAt, Expr::value(Some(context.clock.now())))
        .filter(one_time_token::Column::Id.eq(row.id))
        .filter(one_time_token::Column::UsedAt.is_null())
        .exec(tx.conn())
        .await?;
    if marked.rows_affected != 1 {
        return Err(not_good());
    }
    let purpose = row.purpose;
    let email = row.email.unwrap_or_default();
    // A token that was mailed to an address which is the account's no more proves nothing.
    if purpose != Purpose::ChangeEmail && user.email.as_deref() != Some(&email) {
        return Err(not_good());
    }
    Ok(Spent { purpose, email, user })
}
