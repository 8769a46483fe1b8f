//! How users are shown.

use super::moderation::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::ids::UserId;

/// A user by their id.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UserRef {
    /// Who.
    pub id: UserId,
}

/// `user_updated`.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserUpdated {
    /// As they are now.
    pub user: User,
}

/// A person as others see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct User {
    /// Never used again.
    pub id: UserId,
    /// Login name, if chosen.
    pub username: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Bare name for `/static/{photo}/…`.
    pub photo: String,
    /// A line about oneself.
    pub description: Option<String>,
    /// `user`, `moderator` or `admin`.
    pub role: Role,
    /// Whether any device is connected.
    pub online: bool,
    /// When the last device went.
    pub last_seen_at: Option<Timestamp>,
    /// Registration.
    pub created_at: Timestamp,
    /// The account is gone; its messages stay.
    pub deleted: bool,
}

/// A person as they see themselves.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Me {
    /// What others see too.
    #[serde(flatten)]
    pub user: User,
    /// Digits with an optional leading `+`.
    pub phone: Option<String>,
    /// As typed.
    pub email: Option<String>,
    /// Whether a mailed token came back.
    pub email_verified: bool,
}

/// A person as the author of something.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Author {
    /// Who.
    pub id: UserId,
    /// Login name, if chosen.
    pub username: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Bare name for `/static/{photo}/…`.
    pub photo: String,
    /// `user`, `moderator` or `admin`.
    pub role: Role,
}
