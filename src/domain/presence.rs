//! Who is connected to this node, counted by device.

use dashmap::DashMap;
use entity::user;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::Core;
use crate::error::Result;
use crate::ids::UserId;

/// Connected devices by user.
#[derive(Default)]
pub struct Presence {
    devices: DashMap<UserId, usize>,
}

impl Presence {
    /// Whether any device of the user is connected.
    pub fn is_online(&self, user: UserId) -> bool {
        self.devices.contains_key(&user)
    }

    /// A device came.
    pub fn arrived(&self, user: UserId) {
        *self.devices.entry(user).or_default() += 1;
    }

    /// A device went; true for the user's last one.
    pub fn left(&self, user: UserId) -> bool {
        if let Some(mut devices) = self.devices.get_mut(&user) {
            *devices = devices.saturating_sub(1);
        }
        self.devices.remove_if(&user, |_, devices| *devices == 0).is_some()
    }
}

/// Notes when a user's last device went.
pub async fn note_last_seen(core: &Core, user_id: UserId) -> Result<()> {
    let tx = core.db.begin().await?;
    user::Entity::update_many()
        .col_expr(user::Column::LastSeenAt, core.clock.now().into())
        .filter(user::Column::Id.eq(user_id.0))
        .exec(tx.conn())
        .await?;
    tx.commit(()).await?;
    Ok(())
}
