//! The schema, migrated up and down, and by several nodes at once.

use std::time::Duration;

use futures_util::future::join_all;
use mango_chat::config::DatabaseLimits;
use mango_chat::platform::db::{Db, known_migrations};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, EntityTrait};
use serde_json::json;
use tokio::time::sleep;

use mango_chat::domain::epoch;

use crate::support::{TestApp, Transport, fresh_database};

#[harness::test]
async fn the_schema_migrates_up_down_and_up_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let db = Db::connect(&url, &DatabaseLimits::default()).await.expect("connects");
    let applied = async || {
        let status = db.migration_status().await.expect("a status");
        (status.iter().filter(|(_, applied)| *applied).count(), status.len())
    };
    let (none, all) = applied().await;
    assert_eq!(none, 0);
    db.migrate_up().await.expect("up");
    assert_eq!(applied().await, (all, all));
    for left in (0..all).rev() {
        db.migrate_down().await.expect("one step back");
        assert_eq!(applied().await, (left, all));
    }
    db.migrate_up().await.expect("up again");
    drop(db);
    let app = TestApp::on(folder, &url, &[]).await;
    app.person("alice").await;
}

#[harness::test]
async fn data_survives_a_migration_step_down_and_up() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let payload = json!({"message": {"chat_id": chat, "content": "kept", "message_type": "text"}});
    assert_eq!(owner.call("send_message", payload).await["ok"], json!(true));
    let url = app.server.context.settings.database.url.clone();
    let TestApp { server, folder, .. } = app;
    server.shutdown().await;
    let db = Db::connect(&url, &DatabaseLimits::default()).await.expect("connects");
    // Back to before the migration that folds names.
    let later = known_migrations().into_iter().skip_while(|name| !name.ends_with("fold_names"));
    for _ in later {
        db.migrate_down().await.expect("one step back");
    }
    // Two names that an older version stored as different, but that are equal if compared by Unicode rules.
    let tx = db.begin().await.expect("begun");
    for (username, name) in [("alice", "Пётр"), ("bob", "ПЕТР")] {
        let key = name.to_lowercase();
        let sql =
            format!("UPDATE users SET name = '{name}', name_key = '{key}' WHERE username = '{username}'");
        tx.conn().execute_unprepared(&sql).await.expect("named");
    }
    tx.commit_silently().await.expect("committed");
    db.migrate_up().await.expect("and forward");
    drop(db);
    let app = TestApp::on(folder, &url, &[]).await;
    let bob = app.login("bob").await;
    let found = app.get("/user?query=%D0%BF%D0%B5%D1%82%D1%80", &bob).await;
    assert_eq!(found.as_array().map(Vec::len), Some(2), "both are found: {found}");
    assert_eq!(app.contents(chat, &bob).await, ["kept"]);
}

#[harness::test]
async fn nodes_that_start_concurrently_migrate_without_conflicts() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let nodes = (0..4).map(async |_| {
        let db = Db::connect(&url, &DatabaseLimits::default()).await.expect("connects");
        db.migrate_up().await
    });
    for done in join_all(nodes).await {
        done.expect("every node finds the schema up to date");
    }
}

#[harness::test]
async fn opening_a_new_sqlite_file_waits_for_another_writer() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/new.db?mode=rwc", folder.path().display());
    // A connection that has not switched the file to a write-ahead log yet, in the middle of a write.
    let one = ConnectOptions::new(&url).max_connections(1).to_owned();
    let other = Database::connect(one).await.expect("opens");
    other.execute_unprepared("BEGIN IMMEDIATE").await.expect("begins");
    let opening = tokio::spawn(async move { Db::connect(&url, &DatabaseLimits::default()).await.map(drop) });
    sleep(Duration::from_millis(300)).await;
    assert!(!opening.is_finished(), "it waits");
    other.execute_unprepared("ROLLBACK").await.expect("ends");
    opening.await.expect("no panic").expect("opens as soon as it can");
}

#[harness::test]
async fn the_epoch_stays_until_it_is_renewed_or_the_database_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let first = TestApp::on(folder, &url, &[]).await;
    // The query that every start runs.
    let current = async || epoch::current(&first.server.context.db).await.expect("an epoch");
    assert_eq!(first.server.context.epoch, current().await);
    assert_eq!(first.server.context.epoch.len(), 16);
    let renewed = epoch::renew(&first.server.context).await.expect("renewed");
    assert_ne!(renewed, first.server.context.epoch);
    let acts =
        entity::audit::Entity::find().all(first.server.context.db.read()).await.expect("the audit log");
    assert_eq!(acts.iter().map(|act| act.action.as_str()).collect::<Vec<_>>(), ["server.new_epoch"]);
    assert_eq!(current().await, renewed);
    if crate::support::database_kind() == "postgres" {
        // As after a restore: the epoch was created in another database.
        let sql = "UPDATE meta SET value = 'another/1' WHERE key = 'postgres_identity'";
        let changed = first.server.context.db.read().execute_unprepared(sql).await.expect("changed");
        assert_eq!(changed.rows_affected(), 1);
        assert_ne!(current().await, renewed);
    }
}
