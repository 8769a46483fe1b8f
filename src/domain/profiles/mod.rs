//! Profiles: registration, changing and announcing a profile, and searching for users.

mod announce;
mod patch;
mod register;
mod search;

pub use announce::announce;
pub use patch::{Patch, patch, set_photo};
pub use register::{Registration, register, sign_up};
pub use search::{containing, search};

use entity::user;
use sea_orm::EntityTrait;

use super::users::show;
use super::{AppContext, contacts};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::protocol::users::User;

/// Returns a user's public profile; a deleted account is returned as deleted.
///
/// If either user blocks the other, presence is hidden.
pub async fn profile(context: &AppContext, viewer: UserId, id: UserId) -> Result<User> {
    let row = user::Entity::find_by_id(id.0).one(context.db.read()).await?;
    let mut user = row.map(|row| show(context, &row)).ok_or_else(|| Error::not_found("user"))?;
    if !contacts::blocked_between(context.db.read(), viewer, [id]).await?.is_empty() {
        contacts::hide_presence(&mut user);
    }
    Ok(user)
}
