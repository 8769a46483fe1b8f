//! Logging in with a phone, an e-mail or a username.

use entity::{session, user};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ColumnTrait, Condition, QueryFilter};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Origin, TokenPair, issue_pair};
use crate::domain::{Core, users};
use crate::error::{Code, Error, Result};
use crate::ids::{SessionId, UserId};
use crate::platform::passwords::Verdict;
use crate::protocol::parse::{Check, Limits, Problems};

/// What a login takes, as a form or as JSON; other fields of an `OAuth2` form are ignored.
#[derive(Deserialize, ToSchema)]
pub struct Login {
    /// A phone, an e-mail or a username.
    pub username: String,
    /// The password.
    pub password: String,
}

impl Check for Login {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check("username", !self.username.trim().is_empty(), "is empty");
        problems.check("password", self.password.len() <= 1_024, "is longer than any password here");
    }
}

/// Opens a session. An unknown user and a wrong password answer alike and take as long.
pub async fn login(core: &Core, wish: &Login, origin: Origin) -> Result<TokenPair> {
    let found = find_by_any(core, &wish.username).await?;
    let hash = found.as_ref().map(|row| row.password_hash.as_str());
    let verdict = core.passwords.verify(&wish.password, hash).await?;
    let Some(user) = found.filter(|_| verdict != Verdict::Wrong) else {
        return Err(Error::new(Code::InvalidCredentials, "unknown user or wrong password"));
    };
    let renewed = match verdict {
        Verdict::RightButOld => Some(core.passwords.hash(&wish.password).await?),
        _ => None,
    };
    open_session(core, &user, renewed, origin).await
}

async fn open_session(
    core: &Core,
    user: &user::Model,
    renewed_hash: Option<String>,
    origin: Origin,
) -> Result<TokenPair> {
    let now = core.clock.now();
    let end = now + core.settings.session_max.as_millis() as i64;
    let tx = core.db.begin().await?;
    if let Some(hash) = renewed_hash {
        user::ActiveModel { id: Set(user.id), password_hash: Set(hash), ..Default::default() }
            .update(tx.conn())
            .await?;
    }
    let session = session::ActiveModel {
        user_id: Set(user.id),
        user_agent: Set(origin.user_agent.map(|text| text.chars().take(255).collect())),
        address: Set(origin.address),
        created_at: Set(now),
        last_used_at: Set(now),
        expires_at: Set(end),
        ..Default::default()
    }
    .insert(tx.conn())
    .await?;
    let pair =
        issue_pair(core, tx.conn(), UserId(user.id), SessionId(session.id), session.expires_at, None).await?;
    Ok(core.publish(tx.commit(pair).await?).await)
}

/// A phone is looked for before an e-mail, an e-mail before a username: nobody can take another's phone
/// as a username and stand in its way.
async fn find_by_any(core: &Core, text: &str) -> Result<Option<user::Model>> {
    let key = text.trim().to_lowercase();
    let phone = users::normalize_phone(text.trim());
    let mut any =
        Condition::any().add(user::Column::EmailKey.eq(&key)).add(user::Column::UsernameKey.eq(&key));
    if let Some(phone) = &phone {
        any = any.add(user::Column::Phone.eq(phone));
    }
    let mut rows = user::Entity::present().filter(any).all(core.db.read()).await?;
    rows.sort_by_key(|row| {
        let by_phone = phone.is_some() && row.phone == phone;
        let by_email = row.email_key.as_ref() == Some(&key);
        (!by_phone, !by_email)
    });
    Ok(rows.into_iter().next())
}
