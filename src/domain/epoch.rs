//! The database's epoch identifies its history. Clients that hold state of another history drop it. An operator
//! renews the epoch after a restore; on PostgreSQL the server also renews it by itself if the database's identity
//! has changed.

use entity::meta;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement};

use super::AppContext;
use super::audit::{self, Act, Target};
use crate::error::{Error, Result};
use crate::platform::db::Db;
use crate::random;

const EPOCH: &str = "epoch";
const IDENTITY: &str = "postgres_identity";

/// Returns the epoch. Creates it if there is none, and renews it if the database is not the one it was created in.
pub async fn current(db: &Db) -> Result<String> {
    let identity = identity(db).await;
    let tx = db.begin().await?;
    let known = read(tx.conn(), IDENTITY).await?;
    let moved = matches!((&identity, &known), (Some(now), Some(then)) if now != then);
    if let Some(identity) = identity {
        write(tx.conn(), IDENTITY, &identity).await?;
    }
    if moved {
        tracing::warn!("the database is another one, or was restored: its epoch is renewed");
        write(tx.conn(), EPOCH, &random::hex(8)?).await?;
    } else {
        // If several nodes start at the same time, only one of them creates it.
        insert_new(tx.conn(), EPOCH, &random::hex(8)?).await?;
    }
    let epoch = read(tx.conn(), EPOCH).await?;
    tx.commit_silently().await?;
    epoch.ok_or_else(|| Error::internal("the epoch is not in the database"))
}

/// Renews the epoch, as part of restoring a backup. Running servers notice it at their next start.
pub async fn renew(context: &AppContext) -> Result<String> {
    let epoch = random::hex(8)?;
    let tx = context.db.begin().await?;
    write(tx.conn(), EPOCH, &epoch).await?;
    let act = Act {
        actor: None,
        action: "server.new_epoch",
        target: Target::Server,
        details: serde_json::json!({}),
        address: None,
    };
    audit::record(context, &tx, act).await?;
    tx.commit_silently().await?;
    Ok(epoch)
}

/// Returns the recorded epoch; `None` if no server has used the database yet.
pub async fn recorded(db: &Db) -> Result<Option<String>> {
    read(db.read(), EPOCH).await
}

/// Renews the epoch of a database that no server uses.
pub async fn write_new(db: &Db) -> Result<()> {
    let tx = db.begin().await?;
    write(tx.conn(), EPOCH, &random::hex(8)?).await?;
    tx.commit_silently().await
}

/// Returns PostgreSQL's system identifier and timeline: a restore to a point in time changes the timeline, another
/// server has another identifier. `None` if the role may not read them.
async fn identity(db: &Db) -> Option<String> {
    if db.backend() != DbBackend::Postgres {
        return None;
    }
    let sql = "SELECT s.system_identifier::text || '/' || c.timeline_id::text AS identity \
               FROM pg_control_system() s, pg_control_checkpoint() c";
    let asked = db.read().query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
    match asked.and_then(|row| row.map(|row| row.try_get("", "identity")).transpose()) {
        Ok(identity) => identity,
        Err(error) => {
            tracing::info!(%error, "the database has no readable identity; renew the epoch by hand after a restore");
            None
        }
    }
}

async fn read(conn: &impl ConnectionTrait, key: &str) -> Result<Option<String>> {
    Ok(meta::Entity::find_by_id(key.to_owned()).one(conn).await?.map(|row| row.value))
}

async fn write(conn: &impl ConnectionTrait, key: &str, value: &str) -> Result<()> {
    let replace = OnConflict::column(meta::Column::Key).update_column(meta::Column::Value).to_owned();
    meta::Entity::insert(row(key, value)).on_conflict(replace).exec_without_returning(conn).await?;
    Ok(())
}

async fn insert_new(conn: &impl ConnectionTrait, key: &str, value: &str) -> Result<()> {
    let keep = OnConflict::column(meta::Column::Key).do_nothing().to_owned();
    meta::Entity::insert(row(key, value)).on_conflict(keep).exec_without_returning(conn).await?;
    Ok(())
}

fn row(key: &str, value: &str) -> meta::ActiveModel {
    meta::ActiveModel { key: Set(key.to_owned()), value: Set(value.to_owned()) }
}
