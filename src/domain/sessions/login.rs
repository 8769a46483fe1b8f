//! Logging in with a phone, an e-mail or a username.

use entity::{session, user};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ColumnTrait, Condition, QueryFilter, QueryOrder};
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
    let (user, verdict) = find_by_password(core, wish).await?.ok_or_else(wrong)?;
    if verdict != Verdict::RightButOld {
        return open_session(core, &user, None, origin).await;
    }
    let renewed = Some(core.passwords.hash(&wish.password).await?);
    match open_session(core, &user, renewed, origin.clone()).await {
        // Another login of theirs may have renewed the hash in this very moment: then this one fits the new.
        Err(error) if error.code == Code::InvalidCredentials => {
            let (user, _) = find_by_password(core, wish).await?.ok_or_else(wrong)?;
            open_session(core, &user, None, origin).await
        }
        done => done,
    }
}

fn wrong() -> Error {
    Error::new(Code::InvalidCredentials, "unknown user or wrong password")
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
    // The row may have changed since the password was judged: an account that was banned or deleted, or whose
    // password was changed meanwhile, gets no session.
    let still = users::lock(tx.conn(), UserId(user.id)).await.ok();
    if still.as_ref().is_none_or(|row| row.password_hash != user.password_hash) {
        return Err(wrong());
    }
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

/// The one of those that the text may mean whose password it is. A text may be one's phone, another's
/// e-mail and a third one's username: none of them can stand in another's way.
async fn find_by_password(core: &Core, wish: &Login) -> Result<Option<(user::Model, Verdict)>> {
    let candidates = find_by_any(core, &wish.username).await?;
    if candidates.is_empty() {
        // As long as it would have taken with one.
        core.passwords.verify(&wish.password, None).await?;
    }
    for row in candidates {
        let verdict = core.passwords.verify(&wish.password, Some(&row.password_hash)).await?;
        if verdict != Verdict::Wrong {
            return Ok(Some((row, verdict)));
        }
    }
    Ok(None)
}

async fn find_by_any(core: &Core, text: &str) -> Result<Vec<user::Model>> {
    let key = text.trim().to_lowercase();
    // No name holds one, and PostgreSQL takes none.
    if key.contains('\0') {
        return Ok(Vec::new());
    }
    let mut any =
        Condition::any().add(user::Column::EmailKey.eq(&key)).add(user::Column::UsernameKey.eq(&key));
    if let Some(phone) = users::normalize_phone(text.trim()) {
        any = any.add(user::Column::Phone.eq(phone));
    }
    Ok(user::Entity::present().filter(any).order_by_asc(user::Column::Id).all(core.db.read()).await?)
}
