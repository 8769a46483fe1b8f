//! A new address for an account. Where addresses are verified it stays pending until the token that was mailed
//! to it comes back; the old one gets a notice either way, so that a thief cannot take an account over in silence.

use entity::user;
use minijinja::context;
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;

use crate::config::Verification;
use crate::domain::mail::tokens::{self, Purpose, Spent};
use crate::domain::mail::{self, Email, MailTemplate, masked, moment};
use crate::domain::{AppContext, users};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::db::Tx;
use crate::platform::limits::{Bucket, Key};

/// When a new address takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressChange {
    /// The caller stores it now.
    AtOnce,
    /// Nothing is stored before the new address is confirmed.
    Pending,
}

/// Decides, and queues the mails. `before` is locked; `new` was checked, and differs from the present address.
pub async fn change_address(
    context: &AppContext,
    tx: &Tx,
    before: &user::Model,
    new: Option<&str>,
) -> Result<AddressChange> {
    let verification = context.settings.mail.verification;
    let own = Key::user(UserId(before.id));
    let same_mailbox = new.is_some() && new.map(str::to_lowercase) == before.email_key;
    let id = UserId(before.id);
    let Some(new) = new else {
        if verification == Verification::Required {
            return Err(Error::invalid("email", "is required on this server"));
        }
        context.rates.take(Bucket::Mail, own).await?;
        // Tokens that went to the old address are good for nothing now, and there is none to change to.
        tokens::revoke(context, tx, id, Purpose::ALL).await?;
        notice_old_address(context, tx, before, None, false).await?;
        return Ok(AddressChange::AtOnce);
    };
    if same_mailbox {
        return Ok(AddressChange::AtOnce);
    }
    context.rates.take(Bucket::Mail, own).await?;
    if verification == Verification::Off {
        tokens::revoke(context, tx, id, Purpose::ALL).await?;
        notice_old_address(context, tx, before, Some(new), false).await?;
        return Ok(AddressChange::AtOnce);
    }
    // However many accounts ask: one mailbox gets few of these.
    context.rates.take(Bucket::Mail, Key::account(new)).await?;
    let token = tokens::issue(context, tx, id, Purpose::ChangeEmail, new).await?;
    let email = Email {
        template: MailTemplate::EmailChange,
        user: before,
        to: new,
        token: Some(&token),
        facts: context! {},
    };
    mail::enqueue(context, tx, email).await?;
    notice_old_address(context, tx, before, Some(new), true).await?;
    Ok(AddressChange::Pending)
}

/// Tells the address that the account has, or had, where the account goes: masked, it may be a stranger's; and
/// not to one that nobody has confirmed, which may be a stranger's itself.
pub async fn notice_old_address(
    context: &AppContext,
    tx: &Tx,
    before: &user::Model,
    new: Option<&str>,
    pending: bool,
) -> Result<()> {
    let Some(old) = before.email.as_deref() else { return Ok(()) };
    let email = Email {
        template: MailTemplate::EmailChanged,
        user: before,
        to: old,
        token: None,
        facts: context! { at => moment(context.clock.now()), new => new.filter(|_| before.email_verified).map(masked), pending },
    };
    mail::enqueue(context, tx, email).await
}

/// Gives the account the address that has just been confirmed, if nobody else has it by now.
pub(super) async fn confirm(context: &AppContext, tx: &Tx, spent: &Spent) -> Result<()> {
    let after = user::ActiveModel {
        id: Set(spent.user.id),
        email_key: Set(Some(spent.email.to_lowercase())),
        email: Set(Some(spent.email.clone())),
        email_verified: Set(true),
        ..Default::default()
    };
    after.update(tx.conn()).await.map_err(users::taken_at_insert)?;
    tokens::revoke(context, tx, UserId(spent.user.id), Purpose::ALL).await?;
    notice_old_address(context, tx, &spent.user, Some(&spent.email), false).await
}
