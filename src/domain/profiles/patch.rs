//! Changes profiles.

use entity::user;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, IntoActiveModel};
use serde::Deserialize;
use utoipa::ToSchema;

use super::announce;
use crate::domain::mail::tokens::Purpose;
use crate::domain::users::{
    self, Identity, check_tried, confirm, find, lock, require_unchanged, taken_at_insert,
};
use crate::domain::verification::{AddressChange, change_address};
use crate::domain::{AppContext, mail, photos};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::db::{Tx, retry};
use crate::protocol::parse::{Check, Limits, Problems, given};
use crate::protocol::users::Me;
use crate::text::{fold, nfc};

/// Changes to a profile. Omitted fields stay unchanged; `null` clears a field.
#[derive(Default, Deserialize, ToSchema)]
pub struct Patch {
    /// Display name.
    #[serde(default, deserialize_with = "given")]
    pub name: Option<Option<String>>,
    /// Free text about the user.
    #[serde(default, deserialize_with = "given")]
    pub description: Option<Option<String>>,
    /// 3 to 32 letters, digits or `_`.
    #[serde(default, deserialize_with = "given")]
    pub username: Option<Option<String>>,
    /// Base64; `null` sets a default avatar.
    #[serde(default, deserialize_with = "given")]
    pub photo: Option<Option<String>>,
    /// A new phone requires `password`.
    #[serde(default, deserialize_with = "given")]
    pub phone: Option<Option<String>>,
    /// A new e-mail requires `password`.
    #[serde(default, deserialize_with = "given")]
    pub email: Option<Option<String>>,
    /// The current password; required for a new phone or e-mail.
    #[serde(default)]
    pub password: Option<String>,
}

impl Patch {
    fn identity(&self, problems: &mut Problems) -> Identity {
        let text = |field: &'_ Option<Option<String>>| field.clone().flatten();
        let (phone, email, username) = (text(&self.phone), text(&self.email), text(&self.username));
        Identity::read(phone.as_deref(), email.as_deref(), username.as_deref(), problems)
    }
}

impl Check for Patch {
    const LARGE: bool = true;

    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_name("name", self.name.as_ref().and_then(Option::as_deref), 0);
        problems.check_length("description", self.description.as_ref().and_then(Option::as_deref), 0, 1_000);
        if let Some(password) = &self.password {
            check_tried(problems, password);
        }
        let is_for_something = self.password.is_none() || self.phone.is_some() || self.email.is_some();
        problems.check(
            "password",
            is_for_something,
            "only confirms a new phone or email; change the password with POST /auth/password/change",
        );
        self.identity(problems);
        let blank = self.username.as_ref().and_then(Option::as_deref).is_some_and(|it| it.trim().is_empty());
        problems.check("username", !blank, "must have 3 to 32 letters, digits or _; null removes it");
    }
}

/// Makes all changes of the patch, or none.
pub async fn patch(context: &AppContext, user_id: UserId, request: Patch) -> Result<Me> {
    let before = find(context.db.read(), user_id).await?;
    let identity = request.identity(&mut Problems::default());
    let new_phone = request.phone.is_some() && identity.phone != before.phone;
    let new_email = request.email.is_some() && identity.email != before.email;
    let mut checked_hash = None;
    if new_phone || new_email {
        let Some(password) = request.password.as_deref() else {
            return Err(Error::invalid("password", "is required to change phone or email"));
        };
        confirm(context, &before, password).await?;
        checked_hash = Some(before.password_hash.clone());
    }
    if let Some(taken) = identity.taken(context.db.read(), Some(user_id.0)).await? {
        return Err(taken);
    }
    let photo = match &request.photo {
        None => None,
        Some(Some(text)) if !text.trim().is_empty() => {
            Some(photos::store_base64(context, "photo", text.clone()).await?)
        }
        Some(_) => without_photo(&before),
    };
    save(context, user_id, &request, identity, photo, checked_hash).await
}

/// Returns a default avatar to replace a photo, or `None` if the user already has one.
fn without_photo(before: &user::Model) -> Option<String> {
    (!photos::is_default_avatar(&before.photo)).then(photos::default_avatar)
}

/// Sets a stored photo, or a default avatar for `None`.
pub async fn set_photo(context: &AppContext, user_id: UserId, photo: Option<String>) -> Result<Me> {
    let photo = match photo {
        Some(photo) => Some(photo),
        None => without_photo(&find(context.db.read(), user_id).await?),
    };
    save(context, user_id, &Patch::default(), Identity::default(), photo, None).await
}

/// Stores the changes if the password hash is still `checked_hash`, then deletes the photo that is no longer
/// referenced.
async fn save(
    context: &AppContext,
    user_id: UserId,
    request: &Patch,
    identity: Identity,
    photo: Option<String>,
    checked_hash: Option<String>,
) -> Result<Me> {
    let stored =
        retry(|| store(context, user_id, request, identity.clone(), photo.clone(), checked_hash.as_deref()));
    match stored.await {
        Ok((me, Some(old))) => {
            photos::discard(context, &old).await;
            Ok(me)
        }
        Ok((me, None)) => Ok(me),
        Err(error) => {
            // After an internal error the change may have been committed: an unused file is better than a missing one.
            if error.source.is_none()
                && let Some(photo) = photo
            {
                photos::discard(context, &photo).await;
            }
            Err(error)
        }
    }
}

/// Returns the new profile, and the previous photo if it changed.
async fn store(
    context: &AppContext,
    user_id: UserId,
    request: &Patch,
    identity: Identity,
    photo: Option<String>,
    checked_hash: Option<&str>,
) -> Result<(Me, Option<String>)> {
    let mut tx = context.db.begin().await?;
    let before = lock(tx.conn(), user_id).await?;
    let other_phone = request.phone.is_some() && identity.phone != before.phone;
    let other_email = request.email.is_some() && identity.email != before.email;
    if checked_hash.is_none() && (other_phone || other_email) {
        // The request matched the account when it was checked, but the account has changed since.
        return Err(Error::invalid("password", "is required to change phone or email"));
    }
    if let Some(checked_hash) = checked_hash {
        require_unchanged(&before, checked_hash)?;
    }
    let mut row = before.clone().into_active_model();
    let text = |text: &Option<String>| text.clone().filter(|it| !it.trim().is_empty());
    if let Some(name) = &request.name {
        let name = text(name).map(|name| nfc(name.trim()));
        row.name_key = Set(name.as_deref().map(fold));
        row.name = Set(name);
    }
    if let Some(description) = &request.description {
        row.description = Set(text(description));
    }
    if request.username.is_some() {
        row.username_key = Set(identity.username.as_ref().map(|it| it.to_lowercase()));
        row.username = Set(identity.username);
    }
    if request.phone.is_some() {
        row.phone = Set(identity.phone);
    }
    if request.email.is_some() {
        set_email(context, &tx, &before, &mut row, identity.email).await?;
    }
    if let Some(photo) = photo {
        row.photo = Set(photo);
    }
    let after =
        if row.is_changed() { row.update(tx.conn()).await.map_err(taken_at_insert)? } else { before.clone() };
    if after.phone.is_none() && after.email.is_none() && after.username.is_none() {
        return Err(Error::invalid("phone", "keep at least one of phone, email and username"));
    }
    let shown = |row: &user::Model| {
        (row.username.clone(), row.name.clone(), row.description.clone(), row.photo.clone())
    };
    if shown(&before) != shown(&after) {
        announce(context, &mut tx, &after).await?;
    }
    let old_photo = (before.photo != after.photo).then_some(before.photo);
    let other_address = before.email_key != after.email_key;
    let me = users::me(context, after);
    let reply = context.publish(tx.commit((me, old_photo)).await?).await;
    if other_address {
        tracing::info!(user = user_id.0, "an e-mail address was changed");
    }
    Ok(reply)
}

/// Sets or removes the address if that requires no confirmation; otherwise queues a mail.
async fn set_email(
    context: &AppContext,
    tx: &Tx,
    before: &user::Model,
    row: &mut user::ActiveModel,
    email: Option<String>,
) -> Result<()> {
    if email == before.email {
        // A request with the current address withdraws a pending change.
        return mail::tokens::revoke(context, tx, UserId(before.id), &[Purpose::ChangeEmail]).await;
    }
    if change_address(context, tx, before, email.as_deref()).await? == AddressChange::AtOnce {
        let key = email.as_ref().map(|it| it.to_lowercase());
        row.email_verified = Set(before.email_verified && key == before.email_key);
        row.email_key = Set(key);
        row.email = Set(email);
    }
    Ok(())
}
