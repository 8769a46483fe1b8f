//! Sets new passwords: with a mailed token for users who forgot theirs, or with the current password.

use entity::user;
use minijinja::context;
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;
use serde::Deserialize;
use utoipa::ToSchema;

use super::password_changed;
use crate::domain::mail::tokens::{self, Purpose};
use crate::domain::mail::{self, Email, MailTemplate, moment};
use crate::domain::sessions;
use crate::domain::verification::by_address;
use crate::domain::{Actor, AppContext, users};
use crate::error::{Error, Result};
use crate::ids::{SessionId, UserId};
use crate::platform::db::{Tx, retry};
use crate::platform::limits::{Bucket, Key};
use crate::protocol::parse::{Check, Limits, Problems};

/// A new password, with a mailed token.
#[derive(Deserialize, ToSchema)]
pub struct ResetPassword {
    /// The token from the mailed link, after `#token=`.
    pub token: String,
    /// The new password, 8 to 128 characters.
    pub password: String,
}

impl Check for ResetPassword {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("token", Some(&self.token), 1, 256);
    }
}

/// The current and the new password.
#[derive(Deserialize, ToSchema)]
pub struct ChangePassword {
    /// The current password.
    pub password: String,
    /// The new password, 8 to 128 characters.
    pub new_password: String,
}

impl Check for ChangePassword {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        users::check_tried(problems, &self.password);
    }
}

/// Mails a token to the account with this address, if there is one. Runs after the response.
pub async fn forgot(context: &AppContext, email: &str) -> Result<()> {
    let Some(found) = by_address(context, email).await? else { return Ok(()) };
    retry(|| send_token(context, UserId(found.id))).await
}

async fn send_token(context: &AppContext, id: UserId) -> Result<()> {
    let tx = context.db.begin().await?;
    let user = users::lock(tx.conn(), id).await?;
    mail_reset_link(context, &tx, &user).await?;
    context.publish(tx.commit(()).await?).await;
    Ok(())
}

/// Mails a link to set a new password, if the user, whose row is locked, has an address.
pub async fn mail_reset_link(context: &AppContext, tx: &Tx, user: &user::Model) -> Result<()> {
    let Some(to) = &user.email else { return Ok(()) };
    let token = tokens::issue(context, tx, UserId(user.id), Purpose::ResetPassword, to).await?;
    let email =
        Email { template: MailTemplate::ResetPassword, user, to, token: Some(&token), facts: context! {} };
    mail::enqueue(context, tx, email).await
}

/// Sets a new password with a mailed token. Ends all sessions and opens none. The token also proves the address that it
/// was mailed to.
pub async fn reset(context: &AppContext, request: &ResetPassword) -> Result<()> {
    users::check_password(context, "password", &request.password)?;
    // Hash only for requests with a valid token, because hashing is expensive.
    tokens::peek(context, context.db.read(), &request.token, &[Purpose::ResetPassword]).await?;
    let hash = context.passwords.hash(&request.password).await?;
    retry(|| reset_to(context, &request.token, hash.clone())).await
}

async fn reset_to(context: &AppContext, token: &str, hash: String) -> Result<()> {
    let mut tx = context.db.begin().await?;
    let spent = tokens::spend(context, &tx, token, &[Purpose::ResetPassword]).await?;
    store(context, &mut tx, &spent.user, hash, true, None).await?;
    context.publish(tx.commit(()).await?).await;
    tracing::info!(user = spent.user.id, "a password was changed");
    Ok(())
}

/// Sets a new password with the current one. Ends all sessions except that of the request.
pub async fn change(context: &AppContext, actor: Actor, request: &ChangePassword) -> Result<()> {
    let before = users::find(context.db.read(), actor.user_id).await?;
    users::confirm(context, &before, &request.password).await?;
    users::check_password(context, "new_password", &request.new_password)?;
    if request.new_password == request.password {
        return Err(Error::invalid("new_password", "equals the current password"));
    }
    let hash = context.passwords.hash(&request.new_password).await?;
    retry(|| change_to(context, actor, &before, hash.clone())).await
}

/// Stores the new password if the current one is still the one that was checked.
async fn change_to(context: &AppContext, actor: Actor, before: &user::Model, hash: String) -> Result<()> {
    let mut tx = context.db.begin().await?;
    let user = users::lock(tx.conn(), actor.user_id).await?;
    users::require_unchanged(&user, &before.password_hash)?;
    store(context, &mut tx, &user, hash, user.email_verified, Some(actor.session_id)).await?;
    context.publish(tx.commit(()).await?).await;
    tracing::info!(user = user.id, "a password was changed");
    Ok(())
}

/// Stores a password, ends all sessions except one, revokes mailed tokens and notifies the owner.
async fn store(
    context: &AppContext,
    tx: &mut Tx,
    user: &user::Model,
    hash: String,
    email_verified: bool,
    except: Option<SessionId>,
) -> Result<()> {
    let now = context.clock.now();
    user::ActiveModel {
        id: Set(user.id),
        password_hash: Set(hash),
        password_changed_at: Set(Some(now)),
        email_verified: Set(email_verified),
        ..Default::default()
    }
    .update(tx.conn())
    .await?;
    let id = UserId(user.id);
    sessions::end_all(context, tx, id, except, &password_changed()).await?;
    // An attacker's pending change of address, or an unused link, must not outlive the password.
    tokens::revoke(context, tx, id, &[Purpose::ResetPassword, Purpose::ChangeEmail]).await?;
    // If the password is changed very often, only some changes cause a mail.
    let may_mail = context.rates.take(Bucket::Notice, Key::user(id)).await.is_ok();
    if let Some(to) = user.email.as_deref().filter(|_| may_mail) {
        let email = Email {
            template: MailTemplate::PasswordChanged,
            user,
            to,
            token: None,
            facts: context! { at => moment(now) },
        };
        mail::enqueue(context, tx, email).await?;
    }
    Ok(())
}
