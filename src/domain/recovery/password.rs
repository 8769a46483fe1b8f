//! New passwords: by a mailed token for those who have forgotten theirs, and by the present one.

use entity::user;
use minijinja::context;
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{by_address, password_changed};
use crate::domain::mail::tokens::{self, Purpose};
use crate::domain::mail::{self, Letter, Template, moment};
use crate::domain::sessions::{self, Ended};
use crate::domain::{Actor, Core, users};
use crate::error::{Error, Result};
use crate::ids::{SessionId, UserId};
use crate::platform::db::{Tx, again};
use crate::platform::limits::{Bucket, Key};
use crate::protocol::parse::{Check, Limits, Problems};

/// A new password for a mailed token.
#[derive(Deserialize, ToSchema)]
pub struct ResetPassword {
    /// As it stands in the mailed link, behind `#token=`.
    pub token: String,
    /// The new password, 8 to 128 characters.
    pub password: String,
}

impl Check for ResetPassword {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("token", Some(&self.token), 1, 256);
    }
}

/// A new password for the present one.
#[derive(Deserialize, ToSchema)]
pub struct ChangePassword {
    /// The present password.
    pub password: String,
    /// The new password, 8 to 128 characters.
    pub new_password: String,
}

impl Check for ChangePassword {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        users::check_tried(problems, &self.password);
    }
}

/// Mails a token to the account that has this address, if one has. Runs after the answer.
pub async fn forgot(core: &Core, email: &str) -> Result<()> {
    let Some(found) = by_address(core, email).await? else { return Ok(()) };
    again(|| send_token(core, UserId(found.id))).await
}

async fn send_token(core: &Core, id: UserId) -> Result<()> {
    let tx = core.db.begin().await?;
    let user = users::lock(tx.conn(), id).await?;
    let Some(to) = user.email.clone() else { return Ok(()) };
    let token = tokens::issue(core, &tx, UserId(user.id), Purpose::ResetPassword, &to).await?;
    let letter = Letter {
        template: Template::ResetPassword,
        user: &user,
        to: &to,
        token: Some(&token),
        facts: context! {},
    };
    mail::enqueue(core, &tx, letter).await?;
    core.publish(tx.commit(()).await?).await;
    core.mail.wake();
    Ok(())
}

/// Sets a new password for a mailed token. It ends all sessions, and logs nobody in. The token has also proved
/// the address that it was mailed to.
pub async fn reset(core: &Core, wish: &ResetPassword) -> Result<()> {
    users::check_password(core, "password", &wish.password)?;
    // Hashing is for those who have a token.
    tokens::peek(core, core.db.read(), &wish.token, &[Purpose::ResetPassword]).await?;
    let hash = core.passwords.hash(&wish.password).await?;
    again(|| reset_to(core, &wish.token, hash.clone())).await
}

async fn reset_to(core: &Core, token: &str, hash: String) -> Result<()> {
    let mut tx = core.db.begin().await?;
    let spent = tokens::spend(core, &tx, token, &[Purpose::ResetPassword]).await?;
    let ended = store(core, &mut tx, &spent.user, hash, true, None).await?;
    let outcome = tx.commit(()).await?;
    tracing::info!(user = spent.user.id, "a password was changed");
    ended.note(core);
    core.publish(outcome).await;
    core.mail.wake();
    Ok(())
}

/// Sets a new password for the present one. The session that asks goes on, all others end.
pub async fn change(core: &Core, actor: Actor, wish: &ChangePassword) -> Result<()> {
    let before = users::find(core.db.read(), actor.user_id).await?;
    users::confirm(core, &before, &wish.password).await?;
    users::check_password(core, "new_password", &wish.new_password)?;
    if wish.new_password == wish.password {
        return Err(Error::invalid("new_password", "is the present one"));
    }
    let hash = core.passwords.hash(&wish.new_password).await?;
    again(|| change_to(core, actor, &before, hash.clone())).await
}

/// Stores the new password, if the present one is still the one that was judged.
async fn change_to(core: &Core, actor: Actor, before: &user::Model, hash: String) -> Result<()> {
    let mut tx = core.db.begin().await?;
    let user = users::lock(tx.conn(), actor.user_id).await?;
    users::require_unchanged(&user, &before.password_hash)?;
    let ended = store(core, &mut tx, &user, hash, user.email_verified, Some(actor.session_id)).await?;
    let outcome = tx.commit(()).await?;
    tracing::info!(user = user.id, "a password was changed");
    ended.note(core);
    core.publish(outcome).await;
    core.mail.wake();
    Ok(())
}

/// Stores a password, ends sessions but one, takes mailed tokens out of use and tells the owner.
async fn store(
    core: &Core,
    tx: &mut Tx,
    user: &user::Model,
    hash: String,
    email_verified: bool,
    except: Option<SessionId>,
) -> Result<Ended> {
    let now = core.clock.now();
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
    let ended = sessions::end_all(core, tx, id, except, &password_changed()).await?;
    // A thief who had asked for another address, or a link that was left unused, is of no use any more.
    tokens::revoke(core, tx, id, &[Purpose::ResetPassword, Purpose::ChangeEmail]).await?;
    // Whoever changes it again and again is told of some of it.
    let may_mail = core.rates.take(Bucket::Notice, Key::user(id)).await.is_ok();
    if let Some(to) = user.email.as_deref().filter(|_| may_mail) {
        let letter = Letter {
            template: Template::PasswordChanged,
            user,
            to,
            token: None,
            facts: context! { at => moment(now) },
        };
        mail::enqueue(core, tx, letter).await?;
    }
    Ok(ended)
}
