//! The second half of deleting an account: leaving its groups and removing its photo. The deletion writes a row for
//! the remaining work, so that it is resumed after a crash: at the next start, and every minute.

use std::sync::Arc;
use std::time::Duration;

use entity::{account_ending, chat, member};
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use crate::domain::{AppContext, chats, photos};
use crate::error::{Code, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::retry;

/// Groups per query.
const SOME: u64 = 100;

/// Finishes pending deletions, once a minute.
pub fn watch(context: &Arc<AppContext>) {
    context.keep("deleted accounts", |context| async move {
        let mut minute = tokio::time::interval(Duration::from_mins(1));
        loop {
            minute.tick().await;
            if let Err(error) = finish_all(&context).await {
                tracing::warn!(%error, "deleted accounts could not be listed");
            }
        }
    });
}

/// Finishes all pending deletions.
pub async fn finish_all(context: &AppContext) -> Result<()> {
    let left: Vec<i64> = account_ending::Entity::find()
        .select_only()
        .column(account_ending::Column::UserId)
        .order_by_asc(account_ending::Column::UserId)
        .into_tuple()
        .all(context.db.read())
        .await?;
    for id in left {
        finish(context, UserId(id)).await;
    }
    Ok(())
}

/// Finishes one deletion; if that fails, the next round tries again.
pub(super) async fn finish(context: &AppContext, id: UserId) {
    if let Err(error) = try_finish(context, id).await {
        tracing::warn!(user = id.0, %error, "a deleted account could not leave all its chats yet");
    }
}

async fn try_finish(context: &AppContext, id: UserId) -> Result<()> {
    loop {
        let groups = own_groups(context, id).await?;
        if groups.is_empty() {
            break;
        }
        for chat in groups {
            leave(context, chat, id).await?;
        }
    }
    for chat in blocked_chats(context, id).await? {
        chats::judge_block(context, chat).await?;
    }
    let row = account_ending::Entity::find_by_id(id.0).one(context.db.read()).await?;
    let Some(row) = row else { return Ok(()) };
    photos::remove(context, &row.photo).await?;
    let tx = context.db.begin().await?;
    account_ending::Entity::delete_by_id(id.0).exec(tx.conn()).await?;
    context.publish(tx.commit(()).await?).await;
    Ok(())
}

/// Returns some of the groups that a user is in. Direct chats are kept for the other user.
async fn own_groups(context: &AppContext, id: UserId) -> Result<Vec<ChatId>> {
    let mut mine = Query::select();
    mine.column(member::Column::ChatId)
        .from(member::Entity)
        .and_where(member::Column::UserId.eq(id.0))
        .and_where(member::Column::LeftAt.is_null());
    let ids: Vec<i64> = chat::Entity::present()
        .select_only()
        .column(chat::Column::Id)
        .filter(chat::Column::IsGroup.eq(true))
        .filter(chat::Column::Id.in_subquery(mine))
        .order_by_asc(chat::Column::Id)
        .limit(SOME)
        .into_tuple()
        .all(context.db.read())
        .await?;
    Ok(ids.into_iter().map(ChatId).collect())
}

/// Returns the user's blocked direct chats. They open again if only the deleted user had blocked the other.
async fn blocked_chats(context: &AppContext, id: UserId) -> Result<Vec<ChatId>> {
    let mine = member::Entity::of_user(id.0).select_only().column(member::Column::ChatId).into_query();
    let ids: Vec<i64> = chat::Entity::present()
        .select_only()
        .column(chat::Column::Id)
        .filter(chat::Column::Blocked.eq(true))
        .filter(chat::Column::Id.in_subquery(mine))
        .into_tuple()
        .all(context.db.read())
        .await?;
    Ok(ids.into_iter().map(ChatId).collect())
}

/// Leaves one group, in its own transaction.
async fn leave(context: &AppContext, chat: ChatId, id: UserId) -> Result<()> {
    match retry(|| leave_once(context, chat, id)).await {
        // The group was deleted, or another node has just done this.
        Err(error) if error.code == Code::NotFound => Ok(()),
        done => done,
    }
}

async fn leave_once(context: &AppContext, chat: ChatId, id: UserId) -> Result<()> {
    let tx = context.db.begin().await?;
    let tx = chats::leave(context, tx, chat, id).await?;
    context.publish(tx.commit(()).await?).await;
    Ok(())
}
