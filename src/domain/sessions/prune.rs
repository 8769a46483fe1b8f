//! Deletes sessions and tokens that are no longer needed.

use std::sync::Arc;
use std::time::Duration;

use entity::{refresh_token, session};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter};

use crate::domain::AppContext;
use crate::error::Result;

/// Retention of ended sessions, so that they can be investigated; milliseconds.
const KEPT_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// Prunes once an hour.
pub fn watch(context: &Arc<AppContext>) {
    context.keep("old sessions", |context| async move {
        let mut hour = tokio::time::interval(Duration::from_hours(1));
        loop {
            hour.tick().await;
            if let Err(error) = prune(&context).await {
                tracing::warn!(%error, "old sessions could not be pruned");
            }
        }
    });
}

/// Deletes expired refresh tokens, and sessions that ended long ago.
pub async fn prune(context: &AppContext) -> Result<()> {
    let now = context.clock.now();
    let tx = context.db.begin().await?;
    refresh_token::Entity::delete_many()
        .filter(refresh_token::Column::ExpiresAt.lt(now))
        .exec(tx.conn())
        .await?;
    let long_over = Condition::any()
        .add(session::Column::EndedAt.lt(now - KEPT_MS))
        .add(session::Column::ExpiresAt.lt(now - KEPT_MS));
    session::Entity::delete_many().filter(long_over).exec(tx.conn()).await?;
    tx.commit_silently().await
}
