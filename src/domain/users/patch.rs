//! Changing one's own profile.

use entity::member;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, IntoActiveModel, QuerySelect};
use serde::Deserialize;
use utoipa::ToSchema;

use super::identity::{Identity, taken_at_insert};
use super::{find, view};
use crate::domain::{Core, photos};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::bus::{Audience, Delivery};
use crate::platform::passwords::Verdict;
use crate::protocol::events::UserUpdated;
use crate::protocol::objects::Me;
use crate::protocol::parse::{Check, Limits, Problems, given};

/// A field that is left out stays; `null` clears it.
#[derive(Default, Deserialize, ToSchema)]
pub struct Patch {
    /// Display name.
    #[serde(default, deserialize_with = "given")]
    pub name: Option<Option<String>>,
    /// A line about oneself.
    #[serde(default, deserialize_with = "given")]
    pub description: Option<Option<String>>,
    /// 3 to 32 letters, digits and `_`.
    #[serde(default, deserialize_with = "given")]
    pub username: Option<Option<String>>,
    /// Base64; `null` gives a default avatar.
    #[serde(default, deserialize_with = "given")]
    pub photo: Option<Option<String>>,
    /// Needs `password`.
    #[serde(default, deserialize_with = "given")]
    pub phone: Option<Option<String>>,
    /// Needs `password`.
    #[serde(default, deserialize_with = "given")]
    pub email: Option<Option<String>>,
    /// The present password, for phone and e-mail.
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
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("name", self.name.as_ref().and_then(Option::as_deref), 0, 100);
        problems.check_length("description", self.description.as_ref().and_then(Option::as_deref), 0, 1_000);
        self.identity(problems);
        let needs = self.phone.is_some() || self.email.is_some();
        problems.check("password", !needs || self.password.is_some(), "is needed to change phone or email");
    }
}

/// Changes what the patch names, all of it or nothing.
pub async fn patch(core: &Core, user_id: UserId, wish: Patch) -> Result<Me> {
    let before = find(core.db.read(), user_id).await?;
    if wish.phone.is_some() || wish.email.is_some() {
        let password = wish.password.as_deref().unwrap_or_default();
        if core.passwords.verify(password, Some(&before.password_hash)).await? == Verdict::Wrong {
            return Err(Error::invalid("password", "is not the present one"));
        }
    }
    let identity = wish.identity(&mut Problems::default());
    if let Some(taken) = identity.taken(core.db.read(), Some(user_id.0)).await? {
        return Err(taken);
    }
    let photo = match &wish.photo {
        None => None,
        Some(Some(text)) if !text.trim().is_empty() => Some(photos::store_base64(core, "photo", text).await?),
        Some(_) => Some(photos::default_avatar()),
    };
    let saved = save(core, user_id, &wish, identity, photo.clone()).await;
    swap_photo(core, &before.photo, photo, saved).await
}

/// Sets a photo that was stored already, or `None` for a default avatar.
pub async fn set_photo(core: &Core, user_id: UserId, photo: Option<String>) -> Result<Me> {
    let before = find(core.db.read(), user_id).await?;
    let photo = Some(photo.unwrap_or_else(photos::default_avatar));
    let saved = save(core, user_id, &Patch::default(), Identity::default(), photo.clone()).await;
    swap_photo(core, &before.photo, photo, saved).await
}

/// Whichever photo is no longer referred to goes.
async fn swap_photo(core: &Core, old: &str, new: Option<String>, saved: Result<Me>) -> Result<Me> {
    match (&saved, new) {
        (Ok(_), Some(_)) => photos::discard(core, old).await,
        (Err(_), Some(new)) => photos::discard(core, &new).await,
        (_, None) => {}
    }
    saved
}

async fn save(
    core: &Core,
    user_id: UserId,
    wish: &Patch,
    identity: Identity,
    photo: Option<String>,
) -> Result<Me> {
    let mut tx = core.db.begin().await?;
    let mut row = find(tx.conn(), user_id).await?.into_active_model();
    let text = |text: &Option<String>| text.clone().filter(|it| !it.trim().is_empty());
    if let Some(name) = &wish.name {
        row.name = Set(text(name));
    }
    if let Some(description) = &wish.description {
        row.description = Set(text(description));
    }
    if wish.username.is_some() {
        row.username_key = Set(identity.username.as_ref().map(|it| it.to_lowercase()));
        row.username = Set(identity.username);
    }
    if wish.phone.is_some() {
        row.phone = Set(identity.phone);
    }
    if wish.email.is_some() {
        row.email_key = Set(identity.email.as_ref().map(|it| it.to_lowercase()));
        row.email = Set(identity.email);
        row.email_verified = Set(false);
    }
    if let Some(photo) = photo {
        row.photo = Set(photo);
    }
    let row = if row.is_changed() {
        row.update(tx.conn()).await.map_err(taken_at_insert)?
    } else {
        find(tx.conn(), user_id).await?
    };
    if row.phone.is_none() && row.email.is_none() && row.username.is_none() {
        return Err(Error::invalid("phone", "keep at least one of phone, email and username"));
    }
    let chats: Vec<i64> = member::Entity::of_user(user_id.0)
        .select_only()
        .column(member::Column::ChatId)
        .into_tuple()
        .all(tx.conn())
        .await?;
    // One's own devices are in one's chats' rooms; without a chat there is nobody else to tell.
    let audience = if chats.is_empty() {
        Audience::User(user_id)
    } else {
        Audience::Chats(chats.into_iter().map(ChatId).collect())
    };
    let event = UserUpdated { user: view::show(core, &row) };
    tx.announce(Delivery::new(audience, "user_updated", &event)?);
    Ok(core.publish(tx.commit(view::me(core, row)).await?).await)
}
