//! An import that is interrupted: it is killed, or its source fails. Run again, it has the same result as one clean
//! run.

use std::process::{Command, Stdio};
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};

use mango_chat::domain::import::Options;
use mango_chat::error::Code;

use super::mango::{Mango, by_old_ids, expect_sound, import_with, rows};
use crate::support::{TestApp, eventually, fresh_database};

const BINARY: &str = env!("CARGO_BIN_EXE_mango-chat");

fn command(folder: &std::path::Path, url: &str, mango: &Mango, more: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .current_dir(folder)
        .env_clear()
        .env("MANGO_ENV", "test")
        .env("DATABASE_URL", url)
        .env("PASSWORD_HASH", "argon2id,m=64,t=1,p=1")
        .args(["import", "mango", "--from", &mango.url])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

async fn noted(db: &impl ConnectionTrait) -> i64 {
    rows(db, "SELECT COUNT(*) AS number FROM imports").await[0]["number"].as_i64().expect("a number")
}

#[harness::test]
async fn an_import_that_is_killed_repeatedly_has_the_result_of_one_run() {
    let Some(mango) = Mango::generated(60, 90, 3_000).await else { return };
    let clean = TestApp::start().await;
    let whole = mango.import(&clean.server.context).await;
    assert!(whole.is_complete());
    let expected = by_old_ids(clean.server.context.db.read()).await;

    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    // Creates the schema, and reads the database from outside.
    let app = TestApp::on(tempfile::tempdir().expect("a folder"), &url, &[]).await;
    let db = app.server.context.db.read();
    let (mut middles, mut kills) = (std::collections::BTreeSet::new(), 0);
    loop {
        let mut child = command(folder.path(), &url, &mango, &["--batch", "20"]).spawn().expect("starts");
        // It is killed once it has made progress, at a different moment each time.
        let before = noted(db).await;
        let done = loop {
            if let Some(status) = child.try_wait().expect("asked") {
                break Some(status);
            }
            if noted(db).await > before {
                tokio::time::sleep(Duration::from_millis(kills * 37 % 110)).await;
                child.kill().expect("killed");
                child.wait().expect("gone");
                break None;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        };
        let Some(status) = done else {
            kills += 1;
            middles.insert(noted(db).await);
            assert!(kills < 500, "it gets on");
            continue;
        };
        assert!(status.success(), "{status}");
        break;
    }
    assert!(middles.len() >= 3, "it was killed in the middle: {middles:?}");
    expect_sound(db).await;
    assert!(by_old_ids(db).await == expected, "after {kills} kills it is as if it had run once");
}

#[harness::test]
async fn an_import_completes_after_a_failure_of_its_source() {
    let Some(mango) = Mango::generated(40, 60, 2_000).await else { return };
    let clean = TestApp::start().await;
    mango.import(&clean.server.context).await;
    let expected = by_old_ids(clean.server.context.db.read()).await;

    let app = TestApp::start().await;
    let db = app.server.context.db.read();
    let running = import_with(&app.server.context, Options { batch: 10, ..mango.options() });
    let killing = async {
        eventually("messages come over", async || {
            rows(db, "SELECT COUNT(*) AS n FROM messages").await[0]["n"].as_i64() > Some(50)
        })
        .await;
        let killer = Database::connect(&mango.url).await.expect("connects");
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        killer.execute_unprepared(end).await.expect("ended");
    };
    let (done, ()) = tokio::join!(running, killing);
    let error = done.err().expect("it cannot go on");
    assert_eq!(error.code, Code::Internal);
    assert!(error.chain().contains("--from"), "{}", error.chain());
    let middle = rows(db, "SELECT COUNT(*) AS n FROM messages").await[0]["n"].as_i64().expect("a number");
    assert!((50..2_000).contains(&middle), "{middle}");
    expect_sound(db).await;

    let again = mango.import(&app.server.context).await;
    assert!(again.is_complete());
    assert!(by_old_ids(db).await == expected);
}

#[harness::test]
async fn concurrent_imports_create_no_duplicates() {
    let Some(mango) = Mango::generated(40, 60, 1_500).await else { return };
    let clean = TestApp::start().await;
    mango.import(&clean.server.context).await;
    let expected = by_old_ids(clean.server.context.db.read()).await;
    let app = TestApp::start().await;
    let run = async |batch| import_with(&app.server.context, Options { batch, ..mango.options() }).await;
    let (one, other) = tokio::join!(run(50), run(70));
    // Either run may have to retry later; neither may do damage.
    for error in [one.err(), other.err()].into_iter().flatten() {
        println!("told to come again: {error}");
    }
    mango.import(&app.server.context).await;
    expect_sound(app.server.context.db.read()).await;
    assert!(by_old_ids(app.server.context.db.read()).await == expected);
}

#[harness::test]
async fn an_invalid_or_unreachable_source_is_reported() {
    let Some(mango) = Mango::empty().await else { return };
    let app = TestApp::start().await;
    let before = super::mango::dump(app.server.context.db.read()).await;
    let refused = async |from: &str| {
        let done =
            import_with(&app.server.context, Options { from: from.to_owned(), ..mango.options() }).await;
        done.err().unwrap_or_else(|| panic!("{from} was taken")).message
    };
    assert!(refused(&mango.url).await.contains("no table `user_table`"));
    mango.run("CREATE TABLE user_table (id int, hashed_password text)").await;
    assert!(refused(&mango.url).await.contains("no table `chat`"));
    mango.run("CREATE TABLE chat (id int, is_group bool); CREATE TABLE chat_user (chat_id int, user_id int); CREATE TABLE message (id int, chat_id int, user_id int)").await;
    let message = refused(&mango.url).await;
    assert!(message.contains("`user_table` has no column `phone`"), "{message}");
    mango.run("ALTER TABLE user_table ADD phone text").await;
    let message = refused(&mango.url).await;
    assert!(message.contains("`message` has no column `content`"), "{message}");
    let (front, _) = mango.url.rsplit_once('/').expect("a database");
    for (bad, told) in [
        (format!("{front}/there_is_no_such"), "does not exist"),
        ("postgres://postgres@127.0.0.1:1/mango".to_owned(), "refused"),
        ("sqlite://mango.db".to_owned(), "must be postgres://"),
        ("postgres://".to_owned(), "must be postgres://"),
        ("mango".to_owned(), "must be postgres://"),
        (String::new(), "must be postgres://"),
    ] {
        let message = refused(&bad).await;
        assert!(message.starts_with("--from: ") && message.contains(told), "{bad}: {message}");
    }
    assert_eq!(super::mango::dump(app.server.context.db.read()).await, before);
    // A small Mango with an older schema works.
    mango.run("ALTER TABLE message ADD content text").await;
    let report = mango.import(&app.server.context).await;
    assert!(report.to_text().contains("no table for likes"), "{}", report.to_text());
}

#[harness::test]
async fn a_second_source_requires_another_source_name() {
    let Some(one) = Mango::generated(10, 5, 50).await else { return };
    let Some(other) = Mango::generated(10, 5, 50).await else { return };
    other.run("UPDATE user_table SET created_at = '2024-01-01 00:00:00', phone = '8' || phone").await;
    other.run("UPDATE user_table SET phone = replace(phone, '+', '')").await;
    let app = TestApp::start().await;
    one.import(&app.server.context).await;
    let error = import_with(&app.server.context, other.options()).await.err().expect("refused");
    assert!(error.message.contains("--source"), "{error}");
    let options = Options { name: "second".into(), ..other.options() };
    let report = import_with(&app.server.context, options).await.expect("taken under its own name");
    assert!(report.is_complete(), "{}", report.to_text());
    let people = rows(app.server.context.db.read(), "SELECT COUNT(*) AS n FROM users").await;
    assert_eq!(people[0]["n"].as_i64(), Some(20));
    expect_sound(app.server.context.db.read()).await;
}

#[harness::test]
async fn the_binary_reports_skipped_data_by_its_exit_status_and_in_a_file() {
    let Some(mango) = Mango::generated(10, 5, 50).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let run = |mango: &Mango, more: &[&str]| {
        let mut command = command(folder.path(), &url, mango, more);
        let done = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    let (code, out, progress) = run(&mango, &["--report", "report.jsonl"]);
    assert_eq!(code, Some(0), "{out}{progress}");
    assert!(out.lines().any(|line| line.split_whitespace().eq(["messages", "50", "0", "0"])), "{out}");
    assert!(progress.contains("messages: 50 of 50"), "lines where there is no terminal: {progress}");
    mango.run("INSERT INTO message (user_id, chat_id, content) VALUES (1, NULL, 'secret words'), (NULL, 1, 'more')").await;
    let (code, out, _) = run(&mango, &["--report", "report.jsonl"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("skipped: 1 messages: its author was not imported (52)"), "{out}");
    let file = std::fs::read_to_string(folder.path().join("report.jsonl")).expect("a report");
    let lines: Vec<serde_json::Value> =
        file.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect();
    let skipped: Vec<i64> =
        lines.iter().filter(|it| it["what"] == "skipped").filter_map(|it| it["old_id"].as_i64()).collect();
    assert_eq!(skipped, [51, 52]);
    assert_eq!(lines.iter().filter(|it| it["started_at"].is_string()).count(), 2, "both runs are in it");
    assert!(!file.contains("secret") && !out.contains("secret"), "a report repeats no message");
    let nowhere = Mango { url: "postgres://postgres@127.0.0.1:1/mango".into(), db: mango.db.clone() };
    let (code, _, told) = run(&nowhere, &[]);
    assert_eq!(code, Some(2));
    assert!(told.contains("mango-chat: --from: cannot connect"), "{told}");
    for bad in [
        &["--batch", "0"][..],
        &["--batch", "10001"],
        &["--photos", "nowhere"],
        &["--source", ""],
        &["--report", "no/such/file"],
    ] {
        let (code, _, told) = run(&mango, bad);
        assert_eq!(code, Some(2), "{bad:?}");
        assert!(told.contains(bad[0]), "{bad:?}: {told}");
    }
}
