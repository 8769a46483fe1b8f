//! One-time tokens: 32 random bytes that are mailed, valid for one use and a short time. The server stores only their
//! SHA-256. A new token revokes the earlier ones of its purpose, and cancels mails that carry them.

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

/// Returns the template of the mail that carries a token.
fn template_of(purpose: Purpose) -> MailTemplate {
    match purpose {
        Purpose::VerifyEmail => MailTemplate::VerifyEmail,
        Purpose::ResetPassword => MailTemplate::ResetPassword,
        Purpose::ChangeEmail => MailTemplate::EmailChange,
    }
}

/// A newly issued token.
#[derive(Clone)]
pub struct Issued {
    /// The token, as it is mailed.
    pub text: String,
    /// Expiry time, milliseconds.
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

/// Revokes a user's tokens of these purposes and cancels the mails that carry them.
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

/// Whether a token of this purpose was mailed to the user and is still valid.
pub async fn is_waiting(context: &AppContext, user: UserId, purpose: Purpose) -> Result<bool> {
    let waiting = one_time_token::Entity::find()
        .filter(one_time_token::Column::UserId.eq(user.0))
        .filter(one_time_token::Column::Purpose.eq(purpose))
        .filter(one_time_token::Column::UsedAt.is_null())
        .filter(one_time_token::Column::ExpiresAt.gt(context.clock.now()));
    Ok(waiting.one(context.db.read()).await?.is_some())
}

/// Returns the same error for a token that never existed, was used, replaced, has expired, has another purpose, or
/// whose account is gone.
fn not_good() -> Error {
    Error::invalid("token", "is invalid or no longer valid; request a new mail")
}

/// Returns the token's row if the token is valid now.
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
    /// Its purpose.
    pub purpose: Purpose,
    /// The address it was mailed to.
    pub email: String,
    /// The user it belongs to; the row is locked.
    pub user: user::Model,
}

/// Uses a token within the transaction of the change that it allows. Of two simultaneous uses, the one that changes the
/// row succeeds; the other fails as for any used token.
///
/// The account's row is locked before the token's row, in the same order as when tokens are issued.
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
    // A token proves nothing if it was mailed to an address that is no longer the account's.
    if purpose != Purpose::ChangeEmail && user.email.as_deref() != Some(&email) {
        return Err(not_good());
    }
    Ok(Spent { purpose, email, user })
}
