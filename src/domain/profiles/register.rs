//! Registration.

use crate::protocol::moderation::Role;
use entity::user;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, TryIntoModel};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::config::{Registration as Access, Verification};
use crate::domain::chats::{self, lobby};
use crate::domain::mail::Language;
use crate::domain::users::{Identity, check_password, me, taken_at_insert};
use crate::domain::{AppContext, photos, verification};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::db::retry;
use crate::protocol::parse::{Check, Limits, Problems};
use crate::protocol::users::Me;
use crate::text::{fold, nfc};

/// The body of a registration. Unknown fields are ignored; a role is never read.
#[derive(Deserialize, ToSchema)]
pub struct Registration {
    /// 8 to 128 characters.
    pub password: String,
    /// 3 to 30 digits with an optional `+`; spaces, `-`, `(` and `)` are removed.
    #[serde(default)]
    pub phone: Option<String>,
    /// An e-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// 3 to 32 letters, digits or `_`; unique, ignoring case.
    #[serde(default)]
    pub username: Option<String>,
    /// Display name.
    #[serde(default)]
    pub name: Option<String>,
    /// Free text about the user.
    #[serde(default)]
    pub description: Option<String>,
    /// Base64 of a JPEG, PNG, WebP or GIF, bare or as a data URL; if omitted, a default avatar is set.
    #[serde(default)]
    pub photo: Option<String>,
    /// The token of an invite link, whose group the new user joins, or asks to join if the link needs approval. Required
    /// with `REGISTRATION=invite`.
    #[serde(default)]
    pub invite: Option<String>,
}

impl Registration {
    fn identity(&self, problems: &mut Problems) -> Identity {
        Identity::read(self.phone.as_deref(), self.email.as_deref(), self.username.as_deref(), problems)
    }
}

impl Check for Registration {
    const LARGE: bool = true;

    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("password", Some(&self.password), 8, 128);
        problems.check_name("name", self.name.as_deref(), 0);
        problems.check_length("description", self.description.as_deref(), 0, 1_000);
        let identity = self.identity(problems);
        let any = identity.phone.is_some() || identity.email.is_some() || identity.username.is_some();
        problems.check("phone", any, "give at least one of phone, email and username");
    }
}

/// Creates an account by registration. The address is verified as the settings require.
pub async fn sign_up(context: &AppContext, request: Registration, language: Language) -> Result<Me> {
    let given = request.email.as_deref().is_some_and(|it| !it.trim().is_empty());
    if context.settings.mail.verification == Verification::Required && !given {
        return Err(Error::invalid("email", "is required on this server"));
    }
    match context.settings.registration {
        Access::Closed => return Err(Error::forbidden("registration is closed on this server")),
        Access::Invite if invite_of(&request).is_none() => {
            return Err(Error::invalid("invite", "is required: register with an invite link"));
        }
        _ => {}
    }
    if let Some(token) = invite_of(&request) {
        chats::require_invite(context, token, "invite").await?;
    }
    make(context, request, Some(language)).await
}

fn invite_of(request: &Registration) -> Option<&str> {
    request.invite.as_deref().map(str::trim).filter(|it| !it.is_empty())
}

/// Creates an account for demo data or for an operator; sends no mail.
pub async fn register(context: &AppContext, request: Registration) -> Result<Me> {
    make(context, request, None).await
}

async fn make(context: &AppContext, request: Registration, asked_in: Option<Language>) -> Result<Me> {
    check_password(context, "password", &request.password)?;
    let identity = request.identity(&mut Problems::default());
    if let Some(taken) = identity.taken(context.db.read(), None).await? {
        return Err(taken);
    }
    let password_hash = context.passwords.hash(&request.password).await?;
    let own_photo = request.photo.as_deref().filter(|text| !text.trim().is_empty());
    let photo = match own_photo {
        Some(text) => photos::store_base64(context, "photo", text.to_owned()).await?,
        None => photos::default_avatar(),
    };
    let made = async {
        if asked_in.is_some() {
            verification::take_verification(context, identity.email.as_deref()).await?;
        }
        // The lobby's row may be locked.
        retry(|| insert(context, identity.clone(), &request, &password_hash, &photo, asked_in)).await
    };
    match made.await {
        Ok(model) => Ok(me(context, model)),
        Err(error) => {
            // After an internal error the account may exist: an unused file is better than a missing one.
            if error.source.is_none() {
                photos::discard(context, &photo).await;
            }
            Err(error)
        }
    }
}

async fn insert(
    context: &AppContext,
    identity: Identity,
    request: &Registration,
    password_hash: &str,
    photo: &str,
    asked_in: Option<Language>,
) -> Result<user::Model> {
    let text = |text: &Option<String>| text.clone().filter(|it| !it.trim().is_empty());
    let name = text(&request.name).map(|name| nfc(name.trim()));
    let row = user::ActiveModel {
        username_key: Set(identity.username.as_ref().map(|it| it.to_lowercase())),
        username: Set(identity.username),
        phone: Set(identity.phone),
        email_key: Set(identity.email.as_ref().map(|it| it.to_lowercase())),
        email: Set(identity.email),
        email_verified: Set(false),
        name_key: Set(name.as_deref().map(fold)),
        name: Set(name),
        description: Set(text(&request.description)),
        photo: Set(photo.to_owned()),
        role: Set(Role::User),
        password_hash: Set(password_hash.to_owned()),
        user_rev: Set(0),
        created_at: Set(context.clock.now()),
        language: Set(asked_in.map(|it| it.as_str().to_owned())),
        ..Default::default()
    };
    let tx = context.db.begin().await?;
    let model = row.save(tx.conn()).await.map_err(taken_at_insert)?.try_into_model().map_err(Error::from)?;
    let mut tx = lobby::join(context, tx, &model).await?;
    if let Some(token) = invite_of(request) {
        tx = chats::use_invite(context, tx, token, UserId(model.id), "invite").await?.tx;
    }
    if asked_in.is_some() {
        verification::request_verification(context, &tx, &model).await?;
    }
    Ok(context.publish(tx.commit(model).await?).await)
}
