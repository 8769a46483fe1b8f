//! The second half of deleting an account: leaving its groups and removing its photo. What is left to do is
//! a row in the database, written with the deletion, so that a crash in between is picked up: at the next
//! start, and every minute.

use std::sync::Arc;
use std::time::Duration;

use entity::{account_ending, chat, member};
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use crate::domain::{Core, chats, photos};
use crate::error::{Code, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::again;

/// Groups that are read at a time.
const SOME: u64 = 100;

/// Finishes what is left over, now and then.
pub fn watch(core: &Arc<Core>) {
    core.keep("deleted accounts", |core| async move {
        let mut minute = tokio::time::interval(Duration::from_mins(1));
        loop {
            minute.tick().await;
            if let Err(error) = finish_all(&core).await {
                tracing::warn!(%error, "deleted accounts could not be looked for");
            }
        }
    });
}

/// Finishes all accounts that were deleted and are not yet out of everything.
pub async fn finish_all(core: &Core) -> Result<()> {
    let left: Vec<i64> = account_ending::Entity::find()
        .select_only()
        .column(account_ending::Column::UserId)
        .order_by_asc(account_ending::Column::UserId)
        .into_tuple()
        .all(core.db.read())
        .await?;
    for id in left {
        finish(core, UserId(id)).await;
    }
    Ok(())
}

/// Finishes one account; where that fails, the next round tries again.
pub(super) async fn finish(core: &Core, id: UserId) {
    if let Err(error) = try_finish(core, id).await {
        tracing::warn!(user = id.0, %error, "a deleted account could not leave everything yet");
    }
}

async fn try_finish(core: &Core, id: UserId) -> Result<()> {
    loop {
        let groups = own_groups(core, id).await?;
        if groups.is_empty() {
            break;
        }
        for chat in groups {
            leave(core, chat, id).await?;
        }
    }
    for chat in blocked_chats(core, id).await? {
        chats::judge_block(core, chat).await?;
    }
    let row = account_ending::Entity::find_by_id(id.0).one(core.db.read()).await?;
    let Some(row) = row else { return Ok(()) };
    photos::remove(core, &row.photo).await?;
    let tx = core.db.begin().await?;
    account_ending::Entity::delete_by_id(id.0).exec(tx.conn()).await?;
    core.publish(tx.commit(()).await?).await;
    Ok(())
}

/// Some of the groups that a user is in; direct chats stay, for the other side.
async fn own_groups(core: &Core, id: UserId) -> Result<Vec<ChatId>> {
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
        .all(core.db.read())
        .await?;
    Ok(ids.into_iter().map(ChatId).collect())
}

/// Direct chats that one of the two has blocked: where it was who is gone, they are open again.
async fn blocked_chats(core: &Core, id: UserId) -> Result<Vec<ChatId>> {
    let mine = member::Entity::of_user(id.0).select_only().column(member::Column::ChatId).into_query();
    let ids: Vec<i64> = chat::Entity::present()
        .select_only()
        .column(chat::Column::Id)
        .filter(chat::Column::Blocked.eq(true))
        .filter(chat::Column::Id.in_subquery(mine))
        .into_tuple()
        .all(core.db.read())
        .await?;
    Ok(ids.into_iter().map(ChatId).collect())
}

/// Leaves one group, in a transaction of its own.
async fn leave(core: &Core, chat: ChatId, id: UserId) -> Result<()> {
    match again(|| leave_once(core, chat, id)).await {
        // Deleted, or left by another node in this moment.
        Err(error) if error.code == Code::NotFound => Ok(()),
        done => done,
    }
}

async fn leave_once(core: &Core, chat: ChatId, id: UserId) -> Result<()> {
    let mut tx = core.db.begin().await?;
    chats::leave(core, &mut tx, chat, id).await?;
    core.publish(tx.commit(()).await?).await;
    Ok(())
}
