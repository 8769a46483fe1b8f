//! Deleting an account. One transaction turns the row into a tombstone, removes the data that belongs to the user
//! alone, and ends all sessions; when it commits, the account is deleted. Afterwards the account leaves its groups
//! one by one (see `leaving`).
//!
//! Data that other users share is kept: messages with the tombstone as their author, likes, direct chats and
//! reports to moderators.

use std::sync::Arc;

use entity::{account_ending, contact, join_request, member, one_time_token, session, user};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::leaving::finish;
use crate::domain::audit::{self, Act, Target};
use crate::domain::moderation::Admin;
use crate::domain::sessions::{self, Ending};
use crate::domain::{Actor, AppContext, mail, moderation, photos, profiles, users};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::db::retry;
use crate::protocol::moderation::Role;
use crate::protocol::parse::{Check, Limits, Problems};
use tracing::Instrument;

/// The display name of a tombstone.
const NAME: &str = "Deleted user";

/// A request to delete the caller's account.
#[derive(Deserialize, ToSchema)]
pub struct Deletion {
    /// The current password.
    pub password: String,
}

impl Check for Deletion {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check("password", !self.password.is_empty(), "is empty");
        users::check_tried(problems, &self.password);
    }
}

/// Deletes the caller's account. The last admin cannot be deleted.
pub async fn delete(context: &Arc<AppContext>, actor: Actor, request: &Deletion) -> Result<()> {
    let id = actor.user_id;
    let known = users::find(context.db.read(), id).await?;
    users::confirm(context, &known, &request.password).await?;
    retry(|| bury(context, id, By::Password(&known.password_hash))).await?;
    leave_groups(context, id);
    Ok(())
}

/// Deletes the account of another user. The last admin cannot be deleted.
pub async fn delete_by_admin(context: &Arc<AppContext>, by: &Admin, id: UserId) -> Result<()> {
    if by.as_moderator().id() == id {
        return Err(Error::forbidden("delete your own account with your password: DELETE /user/me"));
    }
    retry(|| bury(context, id, By::Admin(by))).await?;
    leave_groups(context, id);
    Ok(())
}

/// Leaving thousands of groups takes a while; the caller need not wait for it.
fn leave_groups(context: &Arc<AppContext>, id: UserId) {
    let context = context.clone();
    tokio::spawn(async move { finish(&context, id).await }.in_current_span());
}

/// Who deletes an account.
#[derive(Clone, Copy)]
enum By<'a> {
    /// Its owner, who has proved the password with this hash.
    Password(&'a str),
    /// An admin.
    Admin(&'a Admin),
}

/// Turns the row into a tombstone, if who wants it still may.
async fn bury(context: &AppContext, id: UserId, by: By<'_>) -> Result<()> {
    let mut tx = context.db.begin().await?;
    let row = match by {
        By::Password(judged) => {
            let row = moderation::require_another_admin(tx.conn(), id).await?;
            users::require_unchanged(&row, judged)?;
            row
        }
        By::Admin(admin) => moderation::lock_for_deletion(context, &tx, admin, id).await?,
    };
    let now = context.clock.now();
    let ending = Ending::new("deleted", "the account was deleted");
    sessions::end_all(context, &mut tx, id, None, &ending).await?;
    forget(tx.conn(), id).await?;
    mail::forget(context, &tx, id).await?;
    let left = account_ending::ActiveModel {
        user_id: Set(id.0),
        photo: Set(row.photo.clone()),
        created_at: Set(now),
    };
    account_ending::Entity::insert(left).exec_without_returning(tx.conn()).await?;
    let tombstone = tombstone(&row, now).update(tx.conn()).await?;
    profiles::announce(context, &mut tx, &tombstone).await?;
    // The address of the user is not recorded: only necessary data of a deleted user is kept.
    let details = json!({"role": row.role});
    let (actor, address) = match by {
        By::Password(_) => (id, None),
        By::Admin(admin) => (admin.as_moderator().id(), admin.as_moderator().address()),
    };
    let target = Target::User(id);
    let act = Act { actor: Some(actor), action: "user.delete", target, details, address };
    audit::record(context, &tx, act).await?;
    context.publish(tx.commit(()).await?).await;
    Ok(())
}

/// Returns the row that remains: an id, a name that marks a deleted account, and the time of the deletion.
fn tombstone(row: &user::Model, now: i64) -> user::ActiveModel {
    user::ActiveModel {
        id: Set(row.id),
        username: Set(None),
        username_key: Set(None),
        phone: Set(None),
        email: Set(None),
        email_key: Set(None),
        email_verified: Set(false),
        name: Set(Some(NAME.to_owned())),
        name_key: Set(None),
        description: Set(None),
        photo: Set(photos::tombstone_avatar()),
        role: Set(Role::User),
        // No password has this hash.
        password_hash: Set("!".to_owned()),
        last_seen_at: Set(None),
        deleted_at: Set(Some(now)),
        banned_at: Set(None),
        banned_until: Set(None),
        ban_reason: Set(None),
        language: Set(None),
        password_changed_at: Set(None),
        ..Default::default()
    }
}

/// Removes the data that belongs to the user alone.
async fn forget(conn: &impl ConnectionTrait, id: UserId) -> Result<()> {
    // Follows and blocks by other users stay: those users can remove them.
    contact::Entity::delete_many().filter(contact::Column::UserId.eq(id.0)).exec(conn).await?;
    join_request::Entity::delete_many().filter(join_request::Column::UserId.eq(id.0)).exec(conn).await?;
    member::Entity::update_many()
        .col_expr(member::Column::Draft, Expr::value(None::<String>))
        .col_expr(member::Column::DraftReplyTo, Expr::value(None::<i64>))
        .col_expr(member::Column::DraftSavedAt, Expr::value(None::<i64>))
        .filter(member::Column::UserId.eq(id.0))
        .filter(member::Column::Draft.is_not_null())
        .exec(conn)
        .await?;
    one_time_token::Entity::delete_many().filter(one_time_token::Column::UserId.eq(id.0)).exec(conn).await?;
    // This also deletes their refresh tokens.
    session::Entity::delete_many().filter(session::Column::UserId.eq(id.0)).exec(conn).await?;
    Ok(())
}
