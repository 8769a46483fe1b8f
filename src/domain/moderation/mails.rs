//! Mails that admins send on behalf of users: links that are mailed again.

use entity::enums::MailTemplate;
use entity::mail;
use sea_orm::EntityTrait;
use serde_json::json;

use super::moderators::{Admin, Locked};
use crate::domain::audit::{self, Act, Target};
use crate::domain::{AppContext, recovery, users, verification};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::db::{Tx, retry};
use crate::protocol::moderation::Role;

/// Mails the link of a mail again, as a new mail.
pub async fn resend(context: &AppContext, by: &Admin, id: i64) -> Result<()> {
    let mail = mail::Entity::find_by_id(id).one(context.db.read()).await?;
    let mail = mail.ok_or_else(|| Error::not_found("mail"))?;
    let user = mail.user_id.map(UserId).ok_or_else(|| Error::not_found("user"))?;
    match mail.template {
        MailTemplate::ResetPassword => {
            send(context, by, user, Target::Mail(id), "mail.resend", Link::Password).await
        }
        MailTemplate::VerifyEmail => {
            send(context, by, user, Target::Mail(id), "mail.resend", Link::Address).await
        }
        _ => Err(Error::forbidden("only mails with a link for a password or an address can be sent again")),
    }
}

/// Mails a user a link to set a new password.
pub async fn mail_password_reset(context: &AppContext, by: &Admin, user: UserId) -> Result<()> {
    send(context, by, user, Target::User(user), "user.password_reset", Link::Password).await
}

/// What a link is for.
#[derive(Clone, Copy)]
enum Link {
    Password,
    Address,
}

async fn send(
    context: &AppContext,
    by: &Admin,
    user: UserId,
    target: Target,
    action: &'static str,
    link: Link,
) -> Result<()> {
    retry(|| async {
        let tx = context.db.begin().await?;
        let by = by.as_moderator();
        Locked::read(context, &tx, by, Role::Admin, user).await?;
        let row = users::find(tx.conn(), user).await?;
        if row.email.is_none() {
            return Err(Error::invalid("email", "the user has no e-mail address"));
        }
        enqueue(context, &tx, &row, link).await?;
        let details = json!({ "user_id": user });
        let act = Act { actor: Some(by.id()), action, target, details, address: by.address() };
        audit::record(context, &tx, act).await?;
        tx.commit_silently().await
    })
    .await
}

async fn enqueue(context: &AppContext, tx: &Tx, user: &entity::user::Model, link: Link) -> Result<()> {
    match link {
        Link::Password => recovery::mail_reset_link(context, tx, user).await,
        Link::Address if user.email_verified => Err(Error::forbidden("the address is confirmed already")),
        Link::Address => {
            verification::in_use(context)?;
            verification::request_verification(context, tx, user).await
        }
    }
}
