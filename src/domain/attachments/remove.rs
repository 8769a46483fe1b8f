//! Removes files that no message has: uploads whose message was never sent, and files of deleted messages.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use entity::{attachment, message_attachment};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::storage_key;
use crate::domain::AppContext;
use crate::domain::links::File;
use crate::error::Result;
use crate::platform::db::retry;

/// How often files that are due are looked for.
const EVERY: Duration = Duration::from_mins(1);

/// Files per round.
const SOME: u64 = 200;

/// Removes files that are due, once a minute and whenever a message with files was deleted.
pub fn watch(context: &Arc<AppContext>) {
    context.keep("attachments", |context| async move {
        loop {
            if let Err(error) = remove_due(&context).await {
                tracing::warn!(%error, "attachments could not be removed");
            }
            let _ = tokio::time::timeout(EVERY, context.released_attachments.notified()).await;
        }
    });
}

async fn remove_due(context: &AppContext) -> Result<()> {
    let (now, mut last) = (context.clock.now(), 0);
    loop {
        let due: Vec<i64> = attachment::Entity::find()
            .select_only()
            .column(attachment::Column::Id)
            .filter(attachment::Column::DueAt.lte(now))
            .filter(attachment::Column::Id.gt(last))
            .order_by_asc(attachment::Column::Id)
            .limit(SOME)
            .into_tuple()
            .all(context.db.background())
            .await?;
        if due.is_empty() {
            return Ok(());
        }
        for id in due {
            last = id;
            // One that fails stays due, and does not delay the others.
            if let Err(error) = Box::pin(retry(|| remove(context, id, now))).await {
                tracing::warn!(attachment = id, %error, "an attachment could not be removed");
            }
        }
    }
}

/// Removes one attachment, unless a message has got it meanwhile.
async fn remove(context: &AppContext, id: i64, now: i64) -> Result<()> {
    let tx = context.db.begin().await?;
    let row = attachment::Entity::find_by_id(id).filter(attachment::Column::DueAt.lte(now));
    let Some(row) = tx.lock_row(row).await? else { return tx.roll_back().await };
    if !linked(tx.conn(), &[id]).await?.is_empty() {
        attachment::Entity::update_many()
            .col_expr(attachment::Column::DueAt, Expr::value(None::<i64>))
            .filter(attachment::Column::Id.eq(id))
            .exec(tx.conn())
            .await?;
        return tx.commit_silently().await;
    }
    // From here no message can take it, whatever time a sender has read: it is due since ever, and none has it.
    attachment::Entity::update_many()
        .col_expr(attachment::Column::DueAt, 0_i64.into())
        .filter(attachment::Column::Id.eq(id))
        .exec(tx.conn())
        .await?;
    tx.commit_silently().await?;
    for file in [File::Whole, File::Thumbnail] {
        context.storage.delete(&storage_key(&row, file)).await?;
    }
    // The row goes last, so that a file that could not be removed is tried again.
    let tx = context.db.begin().await?;
    attachment::Entity::delete_by_id(id).exec(tx.conn()).await?;
    tx.commit_silently().await
}

/// Returns which of these attachments a message has.
pub async fn linked(conn: &impl ConnectionTrait, ids: &[i64]) -> Result<HashSet<i64>> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let links: Vec<i64> = message_attachment::Entity::find()
        .select_only()
        .column(message_attachment::Column::AttachmentId)
        .filter(message_attachment::Column::AttachmentId.is_in(ids.iter().copied()))
        .into_tuple()
        .all(conn)
        .await?;
    Ok(links.into_iter().collect())
}

/// Takes the attachments from a message that is being deleted. Those that no other message has are removed soon.
pub async fn release(conn: &impl ConnectionTrait, message_id: i64, now: i64) -> Result<()> {
    let of_message = message_attachment::Column::MessageId.eq(message_id);
    let ids: Vec<i64> = message_attachment::Entity::find()
        .select_only()
        .column(message_attachment::Column::AttachmentId)
        .filter(of_message.clone())
        .into_tuple()
        .all(conn)
        .await?;
    if ids.is_empty() {
        return Ok(());
    }
    message_attachment::Entity::delete_many().filter(of_message).exec(conn).await?;
    // Whether another message has them is decided when they are removed: another transaction may be deleting that one.
    attachment::Entity::update_many()
        .col_expr(attachment::Column::DueAt, now.into())
        .filter(attachment::Column::Id.is_in(ids))
        .exec(conn)
        .await?;
    Ok(())
}
