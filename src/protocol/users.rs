//! How users are shown.

use super::moderation::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::ids::UserId;

/// Names a user by their id.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UserRef {
    /// The user's id.
    pub id: UserId,
}

/// `user_updated`.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserUpdated {
    /// The profile after the change.
    pub user: User,
}

/// A user, as others see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct User {
    /// Unique; never reused.
    pub id: UserId,
    /// Login name, if the user has one.
    pub username: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Name for `/static/{photo}/…`.
    pub photo: String,
    /// Free text about the user.
    pub description: Option<String>,
    /// Their role in the whole service.
    pub role: Role,
    /// Whether any device is connected.
    pub online: bool,
    /// When the last device disconnected.
    pub last_seen_at: Option<Timestamp>,
    /// When the user registered.
    pub created_at: Timestamp,
    /// The account was deleted; its messages stay.
    pub deleted: bool,
}

/// A user, as they see themselves.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Me {
    /// The public profile.
    #[serde(flatten)]
    pub user: User,
    /// Digits, optionally with a leading `+`.
    pub phone: Option<String>,
    /// As it was entered.
    pub email: Option<String>,
    /// Whether the address is confirmed.
    pub email_verified: bool,
}

/// A user, as the author of something.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Author {
    /// The user's id.
    pub id: UserId,
    /// Login name, if the user has one.
    pub username: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Name for `/static/{photo}/…`.
    pub photo: String,
    /// Their role in the whole service.
    pub role: Role,
}
