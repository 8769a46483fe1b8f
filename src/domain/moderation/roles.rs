//! Grants and revokes service-wide roles. Only an admin or the command line on the server can do so. Registration and
//! profile changes never read a role.

use entity::user;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ColumnTrait, QueryFilter, QueryOrder};
use serde_json::json;

use super::bans::record;
use super::moderators::{Admin, Locked, Moderator};
use super::user_view;
use crate::domain::AppContext;
use crate::domain::audit::{self, Act, Target};
use crate::domain::profiles::{self, Registration};
use crate::domain::users::{self, Identity};
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::platform::db::{Tx, retry};
use crate::protocol::moderation::{AdminUser, Role};
use crate::protocol::parse::{Check, Problems};

/// Sets a user's role.
pub async fn set_role(context: &AppContext, by: &Admin, id: UserId, role: Role) -> Result<AdminUser> {
    retry(|| set_role_once(context, by.as_moderator(), id, role)).await
}

async fn set_role_once(context: &AppContext, by: &Moderator, id: UserId, role: Role) -> Result<AdminUser> {
    let mut tx = context.db.begin().await?;
    let locked = Locked::read(context, &tx, by, Role::Admin, id).await?;
    let target = locked.find(id)?;
    let before = target.role;
    if before == role {
        let shown = user_view::show(context, target, by);
        tx.roll_back().await?;
        return Ok(shown);
    }
    if before == Role::Admin {
        locked.require_another_admin(id)?;
    }
    if role > before && target.is_banned(context.clock.now()) {
        return Err(Error::invalid("role", "the user is banned; lift the ban first"));
    }
    let row = give(context, &mut tx, id, role).await?;
    let details = json!({"from": before.as_str(), "to": role.as_str()});
    record(context, &tx, by, "user.role", id, details).await?;
    Ok(context.publish(tx.commit(user_view::show(context, &row, by)).await?).await)
}

/// Sets the role and notifies the users who share a chat.
async fn give(context: &AppContext, tx: &mut Tx, id: UserId, role: Role) -> Result<user::Model> {
    let row =
        user::ActiveModel { id: Set(id.0), role: Set(role), ..Default::default() }.update(tx.conn()).await?;
    profiles::announce(context, tx, &row).await?;
    Ok(row)
}

/// The arguments of `admin create`.
pub struct Appointment {
    /// The username.
    pub username: String,
    /// The address of a new account; it counts as confirmed, because the operator entered it.
    pub email: Option<String>,
    /// The password of a new account; `None` promotes an existing account.
    pub password: Option<String>,
}

/// Makes an account an admin, from the command line. Returns its id.
///
/// The account is registered first and then promoted. If the process stops between the two, the account has no role,
/// and another call promotes it.
pub async fn appoint(context: &AppContext, request: Appointment) -> Result<UserId> {
    let promoted = request.password.is_none();
    let id = match request.password {
        None => find_by_username(context, &request.username).await?,
        Some(password) => register(context, request.username, request.email, password).await?,
    };
    retry(|| promote(context, id, promoted)).await?;
    Ok(id)
}

/// Makes an account an admin; `promoted` if it existed before.
async fn promote(context: &AppContext, id: UserId, promoted: bool) -> Result<()> {
    let mut tx = context.db.begin().await?;
    let row = users::lock(tx.conn(), id).await?;
    if row.is_banned(context.clock.now()) {
        return Err(Error::forbidden("the account is banned; lift the ban first"));
    }
    if row.role == Role::Admin {
        return Err(Error::invalid("username", "is an admin already"));
    }
    if row.email.is_some() && !promoted {
        user::ActiveModel { id: Set(id.0), email_verified: Set(true), ..Default::default() }
            .update(tx.conn())
            .await?;
    }
    let before = row.role;
    give(context, &mut tx, id, Role::Admin).await?;
    let details = json!({"from": before, "to": "admin", "created": !promoted});
    let act = Act { actor: None, action: "admin.create", target: Target::User(id), details, address: None };
    audit::record(context, &tx, act).await?;
    context.publish(tx.commit(()).await?).await;
    Ok(())
}

async fn register(
    context: &AppContext,
    username: String,
    email: Option<String>,
    password: String,
) -> Result<UserId> {
    let name = Some(username.clone());
    let request = Registration {
        password,
        phone: None,
        email,
        username: Some(username),
        name,
        description: None,
        photo: None,
        invite: None,
    };
    let mut problems = Problems::default();
    request.check(&context.limits, &mut problems);
    problems.into_result()?;
    let made = profiles::register(context, request).await.map_err(|mut error| {
        if error.code == Code::UsernameTaken {
            error.message += "; --promote makes an account that exists an admin";
        }
        error
    })?;
    Ok(made.user.id)
}

async fn find_by_username(context: &AppContext, username: &str) -> Result<UserId> {
    let mut problems = Problems::default();
    let identity = Identity::read(None, None, Some(username), &mut problems);
    problems.into_result()?;
    let key = identity.username.unwrap_or_default().to_lowercase();
    let row =
        user::Entity::present().filter(user::Column::UsernameKey.eq(key)).one(context.db.read()).await?;
    row.map(|row| UserId(row.id))
        .ok_or_else(|| Error::field(Code::NotFound, "username", "there is no such account to promote"))
}

/// Returns id, username and role of moderators and admins, for the command line.
pub async fn list_moderators(context: &AppContext) -> Result<Vec<(UserId, Option<String>, Role)>> {
    let rows = user::Entity::present()
        .filter(user::Column::Role.ne(Role::User))
        .order_by_asc(user::Column::Id)
        .all(context.db.read())
        .await?;
    Ok(rows.into_iter().map(|row| (UserId(row.id), row.username, row.role)).collect())
}
