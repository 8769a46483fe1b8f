//! Confirming addresses.

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
use crate::domain::mail::{self, Letter, Template, masked};
use crate::domain::{Actor, Core, users};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::db::{Tx, again};
use crate::platform::limits::{Bucket, Key};
use crate::protocol::parse::{Check, Limits, Problems};

/// A token that came by mail.
#[derive(Deserialize, ToSchema)]
pub struct VerifyEmail {
    /// As it stands in the mailed link, behind `#token=`.
    pub token: String,
}

impl Check for VerifyEmail {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("token", Some(&self.token), 1, 256);
    }
}

/// Mails a token for the account's present address, within a transaction that holds the row.
pub async fn request_verification(core: &Core, tx: &Tx, user: &user::Model) -> Result<()> {
    let Some(email) = user.email.as_deref().filter(|_| !user.email_verified) else { return Ok(()) };
    if core.settings.mail.verification == Verification::Off {
        return Ok(());
    }
    let token = tokens::issue(core, tx, UserId(user.id), Purpose::VerifyEmail, email).await?;
    let letter =
        Letter { template: Template::VerifyEmail, user, to: email, token: Some(&token), facts: context! {} };
    mail::enqueue(core, tx, letter).await
}

/// Mails that registrations cause have a count of their own per address of mail: whoever registers, deletes and
/// registers again fills no mailbox. The registrations of a network address have a limit, too.
pub async fn take_verification(core: &Core, email: Option<&str>) -> Result<()> {
    match email {
        Some(email) if core.settings.mail.verification != Verification::Off => {
            core.rates.take(Bucket::Welcome, Key::account(email)).await
        }
        _ => Ok(()),
    }
}

/// Accepts a mailed token: the account's address, or the one that it is to have, is confirmed.
pub async fn verify(core: &Core, wish: &VerifyEmail) -> Result<()> {
    let purposes = [Purpose::VerifyEmail, Purpose::ChangeEmail];
    // Writing is for those who have a token.
    tokens::peek(core, core.db.read(), &wish.token, &purposes).await?;
    again(|| accept(core, &wish.token, &purposes)).await
}

async fn accept(core: &Core, token: &str, purposes: &[Purpose]) -> Result<()> {
    let tx = core.db.begin().await?;
    let spent = tokens::spend(core, &tx, token, purposes).await?;
    if spent.purpose == Purpose::ChangeEmail {
        address::confirm(core, &tx, &spent).await?;
    } else {
        user::ActiveModel { id: Set(spent.user.id), email_verified: Set(true), ..Default::default() }
            .update(tx.conn())
            .await?;
    }
    let outcome = tx.commit(()).await?;
    if spent.purpose == Purpose::ChangeEmail {
        tracing::info!(user = spent.user.id, "an e-mail address was changed");
    }
    core.publish(outcome).await;
    core.mail.wake();
    Ok(())
}

/// Refuses where this server does not verify addresses; that is the same for everybody.
pub fn in_use(core: &Core) -> Result<()> {
    if core.settings.mail.verification == Verification::Off {
        return Err(Error::forbidden("this server does not verify e-mail addresses"));
    }
    Ok(())
}

/// Mails the token for one's own address again, if it is not confirmed yet.
pub async fn resend_own(core: &Core, actor: Actor) -> Result<()> {
    in_use(core)?;
    let row = users::find(core.db.read(), actor.user_id).await?;
    if row.email.is_none() {
        return Err(Error::invalid("email", "is not set"));
    }
    if row.email_verified {
        return Ok(());
    }
    core.rates.take(Bucket::Mail, Key::user(actor.user_id)).await?;
    again(|| send_again(core, actor.user_id)).await
}

/// The same for somebody who cannot log in yet. Runs after the answer.
pub async fn resend_to(core: &Core, email: &str) -> Result<()> {
    in_use(core)?;
    match by_address(core, email).await? {
        Some(row) if !row.email_verified => again(|| send_again(core, UserId(row.id))).await,
        _ => Ok(()),
    }
}

/// Makes sure that somebody who has just given the right password has a link to confirm the address with: accounts from
/// before confirming was required were never mailed one. Answers what to tell them.
pub async fn link_at_login(core: &Core, user: &user::Model) -> Result<String> {
    let id = UserId(user.id);
    let to = user.email.as_deref().map(masked).unwrap_or_default();
    let again_by = "POST /auth/email/resend mails it again";
    if !tokens::is_waiting(core, id, Purpose::VerifyEmail).await? {
        if core.rates.take(Bucket::Mail, Key::user(id)).await.is_err() {
            return Ok(format!("confirm your e-mail address {to} first: {again_by}"));
        }
        again(|| send_again(core, id)).await?;
    }
    Ok(format!("confirm your e-mail address first: a link was mailed to {to}, {again_by}"))
}

/// Accounts that have an address and may not log in before it is confirmed.
pub async fn count_unconfirmed(core: &Core) -> Result<u64> {
    let waiting = user::Entity::present()
        .filter(user::Column::Email.is_not_null())
        .filter(user::Column::EmailVerified.eq(false));
    Ok(waiting.count(core.db.read()).await?)
}

async fn send_again(core: &Core, id: UserId) -> Result<()> {
    let tx = core.db.begin().await?;
    let row = users::lock(tx.conn(), id).await?;
    request_verification(core, &tx, &row).await?;
    core.publish(tx.commit(()).await?).await;
    core.mail.wake();
    Ok(())
}
