//! Fills the search index with the messages that were stored without it: before there was one, while search was switched
//! off, or when texts yielded other terms.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use entity::{message, meta};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, DbBackend};
use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::config::Module;
use crate::domain::AppContext;
use crate::domain::message_view::{attachments, kind};
use crate::domain::messages::index;
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::retry;
use crate::text::terms::VERSION;

/// The name of the entry in `meta`: the version of the terms, and the first message that is not indexed, or `end`.
const KEY: &str = "search_index";

/// Messages per transaction.
const SOME: u64 = 200;

/// Pause between transactions, for those of users.
const PAUSE: Duration = Duration::from_millis(20);

/// Pause after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// How far the index is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// From this message on, something may be missing.
    From(i64),
    /// Nothing is missing.
    Complete,
}

impl Progress {
    /// Parses an entry. Of another version, everything is missing.
    fn parse(text: Option<&str>) -> Self {
        let Some((version, next)) = text.and_then(|it| it.split_once(' ')) else { return Self::From(1) };
        if version != VERSION.to_string() {
            return Self::From(1);
        }
        if next == "end" { Self::Complete } else { next.parse().map_or(Self::From(1), Self::From) }
    }

    fn to_text(self) -> String {
        match self {
            Self::From(next) => format!("{VERSION} {next}"),
            Self::Complete => format!("{VERSION} end"),
        }
    }
}

/// Without search, records where the index ends, before any message is sent.
pub async fn prepare(context: &AppContext) -> Result<()> {
    if context.settings.modules.has(Module::Search)
        || read(context.db.background()).await? != Progress::Complete
    {
        return Ok(());
    }
    let last = message::Entity::find()
        .select_only()
        .column(message::Column::Id)
        .order_by_desc(message::Column::Id)
        .limit(1)
        .into_tuple::<i64>();
    let last = last.one(context.db.background()).await?.unwrap_or(0);
    let tx = context.db.begin().await?;
    write(tx.conn(), Progress::From(last + 1)).await?;
    tx.commit_silently().await
}

/// Fills the index in the background.
pub fn watch(context: &Arc<AppContext>) {
    if !context.settings.modules.has(Module::Search) {
        return;
    }
    context.keep("search index", |context| async move {
        while let Err(error) = Box::pin(fill(&context)).await {
            tracing::warn!(%error, "messages could not be indexed for search");
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    });
}

async fn fill(context: &AppContext) -> Result<()> {
    let mut progress = read(context.db.background()).await?;
    let mut number = 0;
    while let Progress::From(next) = progress {
        let (indexed, after) = retry(|| some(context, next)).await?;
        number += indexed;
        progress = after;
        tokio::time::sleep(PAUSE).await;
    }
    if number > 0 {
        tracing::info!(messages = number, "indexed messages for search");
    }
    Ok(())
}

/// Indexes some messages from this one on. Returns how many, and how far the index is filled then.
async fn some(context: &AppContext, next: i64) -> Result<(usize, Progress)> {
    let conn = context.db.background();
    let rows = message::Entity::find()
        .filter(message::Column::Id.gte(next))
        .order_by_asc(message::Column::Id)
        .limit(SOME)
        .all(conn)
        .await?;
    let progress = match rows.last() {
        Some(last) if rows.len() as u64 == SOME => Progress::From(last.id + 1),
        _ => Progress::Complete,
    };
    let number = rows.len();
    let with_files = rows.iter().filter(|row| row.attachment_count > 0).map(|row| row.id);
    let files = attachments(conn, with_files).await?;
    // Before the transaction, because it takes a while.
    let entry = move |row: &message::Model| {
        if row.deleted_at.is_some() {
            return String::new();
        }
        let files = files.get(&row.id).map(Vec::as_slice).unwrap_or_default();
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let kind = kind(row.message_type);
        let words = index::terms_of(&row.content, kind, &names);
        index::entry(&words, ChatId(row.chat_id), UserId(row.user_id), kind)
    };
    let work = move || rows.into_iter().map(|row| (row.id, row.edited_at, entry(&row))).collect();
    let made: Vec<(i64, Option<i64>, String)> =
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)?;
    let tx = context.db.begin().await?;
    let mut select = message::Entity::find()
        .select_only()
        .columns([message::Column::Id, message::Column::EditedAt, message::Column::DeletedAt])
        .filter(message::Column::Id.is_in(made.iter().map(|(id, ..)| *id)))
        .order_by_asc(message::Column::Id);
    if tx.conn().get_database_backend() == DbBackend::Postgres {
        select = select.lock_shared();
    }
    let now: Vec<(i64, Option<i64>, Option<i64>)> = select.into_tuple().all(tx.conn()).await?;
    let now: HashMap<i64, (Option<i64>, Option<i64>)> =
        now.into_iter().map(|(id, edited, deleted)| (id, (edited, deleted))).collect();
    // Whoever has edited or deleted a message meanwhile has also changed its entry.
    let is_current = |(id, edited, entry): &(i64, Option<i64>, String)| match now.get(id) {
        Some((now, deleted)) => now == edited && (deleted.is_none() || entry.is_empty()),
        None => false,
    };
    let entries = made.into_iter().filter(is_current).map(|(id, _, entry)| (id, entry)).collect();
    index::replace(tx.conn(), entries).await?;
    write(tx.conn(), progress).await?;
    tx.commit_silently().await?;
    Ok((number, progress))
}

async fn read(conn: &impl ConnectionTrait) -> Result<Progress> {
    let row = meta::Entity::find_by_id(KEY.to_owned()).one(conn).await?;
    Ok(Progress::parse(row.as_ref().map(|row| row.value.as_str())))
}

async fn write(conn: &impl ConnectionTrait, progress: Progress) -> Result<()> {
    let row = meta::ActiveModel { key: Set(KEY.to_owned()), value: Set(progress.to_text()) };
    let replace = OnConflict::column(meta::Column::Key).update_column(meta::Column::Value).to_owned();
    meta::Entity::insert(row).on_conflict(replace).exec_without_returning(conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_as_it_was_written() {
        for progress in [Progress::From(7), Progress::Complete] {
            assert_eq!(Progress::parse(Some(&progress.to_text())), progress);
        }
        for text in [None, Some(""), Some("0 end"), Some("0 5"), Some("x")] {
            assert_eq!(Progress::parse(text), Progress::From(1), "{text:?}");
        }
    }
}
