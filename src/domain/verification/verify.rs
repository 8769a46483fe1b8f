//! Confirms addresses.

use entity::user;
use minijinja::context;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ColumnTrait, PaginatorTrait, QueryFilter};
use serde::Deserialize;
use utoipa::ToSchema;

use super::address;
use super::by_address;
use crate::config::Verification;
use crate::domain::mail::tokens::{self, Purpose};
use crate::domain::mail::{self, Email, MailTemplate, masked};
use crate::domain::{Actor, AppContext, users};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::db::{Tx, retry};
use crate::platform::limits::{Bucket, Key};
use crate::protocol::parse::{Check, Limits, Problems};

/// A token from a mail.
#[derive(Deserialize, ToSchema)]
pub struct VerifyEmail {
    /// The token from the mailed link, after `#token=`.
    pub token: String,
}

impl Check for VerifyEmail {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("token", Some(&self.token), 1, 256);
    }
}

/// Mails a token for the account's current address, within a transaction that holds the lock of its row.
pub async fn request_verification(context: &AppContext, tx: &Tx, user: &user::Model) -> Result<()> {
    let Some(email) = user.email.as_deref().filter(|_| !user.email_verified) else { return Ok(()) };
    if context.settings.mail.verification == Verification::Off {
        return Ok(());
    }
    let token = tokens::issue(context, tx, UserId(user.id), Purpose::VerifyEmail, email).await?;
    let email = Email {
        template: MailTemplate::VerifyEmail,
        user,
        to: email,
        token: Some(&token),
        facts: context! {},
    };
    mail::enqueue(context, tx, email).await
}

/// Takes from the rate limit for mails that registrations cause, which is counted per address: registering and deleting
/// repeatedly cannot flood a mailbox. Registrations are also limited per network address.
pub async fn take_verification(context: &AppContext, email: Option<&str>) -> Result<()> {
    match email {
        Some(email) if context.settings.mail.verification != Verification::Off => {
            context.rates.take(Bucket::Welcome, Key::account(email)).await
        }
        _ => Ok(()),
    }
}

/// Accepts a mailed token: confirms the account's address, or the pending new one.
pub async fn verify(context: &AppContext, request: &VerifyEmail) -> Result<()> {
    let purposes = [Purpose::VerifyEmail, Purpose::ChangeEmail];
    // Begin a write transaction only for a valid token.
    tokens::peek(context, context.db.read(), &request.token, &purposes).await?;
    retry(|| accept(context, &request.token, &purposes)).await
}

async fn accept(context: &AppContext, token: &str, purposes: &[Purpose]) -> Result<()> {
    let tx = context.db.begin().await?;
    let spent = tokens::spend(context, &tx, token, purposes).await?;
    if spent.purpose == Purpose::ChangeEmail {
        address::confirm(context, &tx, &spent).await?;
    } else {
        user::ActiveModel { id: Set(spent.user.id), email_verified: Set(true), ..Default::default() }
            .update(tx.conn())
            .await?;
    }
    context.publish(tx.commit(()).await?).await;
    if spent.purpose == Purpose::ChangeEmail {
        tracing::info!(user = spent.user.id, "an e-mail address was changed");
    }
    Ok(())
}

/// Fails if this server does not verify addresses; the response is the same for all callers.
pub fn in_use(context: &AppContext) -> Result<()> {
    if context.settings.mail.verification == Verification::Off {
        return Err(Error::forbidden("this server does not verify e-mail addresses"));
    }
    Ok(())
}

/// Mails the token for the user's own address again, if it is not confirmed yet.
pub async fn resend_own(context: &AppContext, actor: Actor) -> Result<()> {
    in_use(context)?;
    let row = users::find(context.db.read(), actor.user_id).await?;
    if row.email.is_none() {
        return Err(Error::invalid("email", "is not set"));
    }
    if row.email_verified {
        return Ok(());
    }
    context.rates.take(Bucket::Mail, Key::user(actor.user_id)).await?;
    retry(|| send_again(context, actor.user_id)).await
}

/// Mails the token again for a user who cannot log in yet. Runs after the response.
pub async fn resend_to(context: &AppContext, email: &str) -> Result<()> {
    in_use(context)?;
    match by_address(context, email).await? {
        Some(row) if !row.email_verified => retry(|| send_again(context, UserId(row.id))).await,
        _ => Ok(()),
    }
}

/// Makes sure that a user who has just given the right password has a link to confirm the address: accounts that are
/// older than the requirement never received one. Returns the message for the user.
pub async fn link_at_login(context: &AppContext, user: &user::Model) -> Result<String> {
    let id = UserId(user.id);
    let to = user.email.as_deref().map(masked).unwrap_or_default();
    let again_by = "POST /auth/email/resend mails it again";
    if !tokens::is_waiting(context, id, Purpose::VerifyEmail).await? {
        if context.rates.take(Bucket::Mail, Key::user(id)).await.is_err() {
            return Ok(format!("confirm your e-mail address {to} first: {again_by}"));
        }
        retry(|| send_again(context, id)).await?;
    }
    Ok(format!("confirm your e-mail address first: a link was mailed to {to}, {again_by}"))
}

/// Counts the accounts whose address is not confirmed, which cannot log in while confirmation is required.
pub async fn count_unconfirmed(context: &AppContext) -> Result<u64> {
    let waiting = user::Entity::present()
        .filter(user::Column::Email.is_not_null())
        .filter(user::Column::EmailVerified.eq(false));
    Ok(waiting.count(context.db.read()).await?)
}

async fn send_again(context: &AppContext, id: UserId) -> Result<()> {
    let tx = context.db.begin().await?;
    let row = users::lock(tx.conn(), id).await?;
    request_verification(context, &tx, &row).await?;
    context.publish(tx.commit(()).await?).await;
    Ok(())
}
