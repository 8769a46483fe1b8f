//! Changes the address of an account. If addresses are verified, the change stays pending until the token that was
//! mailed to the new address is used. The old address receives a notice either way, so that an attacker cannot take
//! over an account unnoticed.

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
    /// Nothing is stored until the new address is confirmed.
    Pending,
}

/// Decides when the change takes effect, and queues the mails. `before` is locked; `new` is valid and differs from the
/// current address.
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
        // Without an address, tokens that were mailed to the old one and pending changes are void.
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
    // However many accounts request it, one mailbox receives only a few of these mails.
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

/// Notifies the account's address, current or former, of the new one. The new address is masked, because it may belong
/// to a stranger, and is omitted if the old address is unconfirmed and may itself belong to a stranger.
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

/// Sets the address that has just been confirmed. Fails if another account has it by now.
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
