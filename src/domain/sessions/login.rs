//! Logs users in with a phone, an e-mail or a username.

use entity::{session, user};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ColumnTrait, Condition, QueryFilter, QueryOrder};
use serde::Deserialize;
use utoipa::ToSchema;

use super::refusal::banned;
use super::{Origin, TokenPair, end_oldest, issue_pair, new_device};
use crate::config::Verification;
use crate::domain::{AppContext, users, verification};
use crate::error::{Code, Error, Result};
use crate::ids::{SessionId, UserId};
use crate::platform::db::retry;
use crate::platform::passwords::PasswordCheck;
use crate::protocol::parse::{Check, Limits, Problems};

/// A login, as a form or as JSON. Other fields of an `OAuth2` form are ignored.
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
        users::check_tried(problems, &self.password);
    }
}

/// Opens a session. Failed attempts delay further ones, per account and per address.
pub async fn login(context: &AppContext, request: &Login, origin: Origin) -> Result<TokenPair> {
    let address = origin.address.clone();
    let attempt = context.rates.begin_login(origin.ip(), &request.username, context.clock.uptime()).await?;
    let result = judge(context, request, origin).await;
    match &result {
        Ok(_) => context.rates.failures.settle(attempt, true, context.clock.uptime()),
        Err(error) if error.code == Code::InvalidCredentials => {
            // Never log the input: people type passwords into this field.
            tracing::warn!(address, "a login failed");
            context.rates.failures.settle(attempt, false, context.clock.uptime());
        }
        // An internal error is no failed attempt, and a banned user has given the right password.
        Err(_) => context.rates.failures.give_back(attempt),
    }
    result
}

/// Checks a login. An unknown user and a wrong password give the same response after the same time.
async fn judge(context: &AppContext, request: &Login, origin: Origin) -> Result<TokenPair> {
    // Only a caller who knows the password learns about bans and confirmation. If confirmation is required, only
    // operators can create accounts without an address; those have nothing to confirm.
    let confirms = context.settings.mail.verification == Verification::Required;
    for _ in 0..ATTEMPTS {
        let (user, check) = find_by_password(context, request).await?.ok_or_else(wrong)?;
        if user.is_banned(context.clock.now()) {
            return Err(banned(&user));
        }
        if confirms && user.email.is_some() && !user.email_verified {
            return Err(Error::new(
                Code::EmailUnverified,
                verification::link_at_login(context, &user).await?,
            ));
        }
        let renewed = match check {
            PasswordCheck::RightButOld => Some(context.passwords.hash(&request.password).await?),
            _ => None,
        };
        if let Some(pair) = retry(|| open_session(context, &user, renewed.clone(), origin.clone())).await? {
            return Ok(pair);
        }
    }
    Err(wrong())
}

/// Sessions per account. A further login ends the least recently used one.
const MOST_SESSIONS: u64 = 100;

/// How often a login is checked if the password's hash changed meanwhile: another login rehashed it, or the password
/// was changed.
const ATTEMPTS: usize = 3;

fn wrong() -> Error {
    Error::new(Code::InvalidCredentials, "unknown user or wrong password")
}

/// Opens a session for a user whose password was right. Returns `None` if the hash is no longer the one that was
/// checked.
async fn open_session(
    context: &AppContext,
    user: &user::Model,
    renewed_hash: Option<String>,
    origin: Origin,
) -> Result<Option<TokenPair>> {
    let now = context.clock.now();
    let end = now + context.settings.tokens.session_max.as_millis() as i64;
    let mut tx = context.db.begin().await?;
    // The account may have changed since the password was checked.
    let still = users::lock(tx.conn(), UserId(user.id)).await.map_err(|error| match error.code {
        Code::NotFound => wrong(),
        _ => error,
    })?;
    if still.password_hash != user.password_hash {
        return Ok(None);
    }
    if still.is_banned(now) {
        return Err(banned(&still));
    }
    let language =
        origin.language.map(|it| it.as_str().to_owned()).filter(|it| still.language.as_ref() != Some(it));
    if renewed_hash.is_some() || language.is_some() {
        let mut row = user::ActiveModel { id: Set(user.id), ..Default::default() };
        if let Some(hash) = renewed_hash {
            row.password_hash = Set(hash);
        }
        if let Some(language) = language {
            row.language = Set(Some(language));
        }
        row.update(tx.conn()).await?;
    }
    new_device::notice(context, &tx, &still, &origin).await?;
    end_oldest(context, &mut tx, UserId(user.id), MOST_SESSIONS - 1).await?;
    let address = origin.address.clone();
    let session = session::ActiveModel {
        user_id: Set(user.id),
        user_agent: Set(origin.stored_agent()),
        address: Set(origin.address),
        created_at: Set(now),
        last_used_at: Set(now),
        expires_at: Set(end),
        ..Default::default()
    }
    .insert(tx.conn())
    .await?;
    let pair =
        issue_pair(context, tx.conn(), UserId(user.id), SessionId(session.id), session.expires_at, None)
            .await?;
    let pair = context.publish(tx.commit(pair).await?).await;
    tracing::info!(user = user.id, session = session.id, address, "logged in");
    Ok(Some(pair))
}

/// Returns the one of the matching users whose password is right. The same text may be the phone of one user, the
/// e-mail address of another and the username of a third; none of them can prevent the others from logging in.
async fn find_by_password(
    context: &AppContext,
    request: &Login,
) -> Result<Option<(user::Model, PasswordCheck)>> {
    let candidates = find_by_any(context, &request.username).await?;
    if candidates.is_empty() {
        // Take as long as for an existing user.
        context.passwords.verify(&request.password, None).await?;
    }
    for row in candidates {
        let check = context.passwords.verify(&request.password, Some(&row.password_hash)).await?;
        if check != PasswordCheck::Wrong {
            return Ok(Some((row, check)));
        }
    }
    Ok(None)
}

async fn find_by_any(context: &AppContext, text: &str) -> Result<Vec<user::Model>> {
    let key = text.trim().to_lowercase();
    // No name contains NUL, and PostgreSQL rejects it.
    if key.contains('\0') {
        return Ok(Vec::new());
    }
    let mut any =
        Condition::any().add(user::Column::EmailKey.eq(&key)).add(user::Column::UsernameKey.eq(&key));
    if let Some(phone) = users::normalize_phone(text.trim()) {
        any = any.add(user::Column::Phone.eq(phone));
    }
    Ok(user::Entity::present().filter(any).order_by_asc(user::Column::Id).all(context.db.read()).await?)
}
