//! What happens to mails when the peer or the server dies, refuses or is slow: none is lost, and none is sent twice,
//! except if the connection breaks at the one moment when neither side can know whether the mail was accepted.

use std::collections::BTreeMap;
use std::time::Duration;

use entity::{mail, mail_outbox};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, Database, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use super::{FROM, Peer, app, expect_log, log, post, register, token};
use crate::binary::{Running, post as post_to, serve, signal};
use crate::support::{PASSWORD, TestApp, database_kind, eventually, fresh_database};

/// Registers `count` users, each of whom is sent a mail.
async fn crowd(app: &TestApp, count: usize) {
    for number in 0..count {
        register(app, &format!("user{number}"), &format!("u{number}@example.org")).await;
    }
}

/// Receives `count` mails; returns their `Message-ID`s by recipient.
async fn receive(peer: &mut Peer, count: usize) -> BTreeMap<String, Vec<String>> {
    let mut came: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for _ in 0..count {
        let mail = peer.mail().await;
        let to = mail["to"][0].as_str().expect("a recipient").to_owned();
        came.entry(to).or_default().push(mail["messageId"].as_str().expect("an id").to_owned());
    }
    came
}

const VERIFY: (&str, &str) = ("EMAIL_VERIFICATION", "optional");

#[harness::test]
async fn mails_wait_until_the_peer_is_available() {
    let peer = Peer::start().await;
    let port = peer.port;
    let app = app(&peer, &[VERIFY]).await;
    drop(peer);
    crowd(&app, 3).await;
    eventually("each was tried", async || {
        log(&app).await.iter().all(|row| row.attempts > 0 && row.last_error.is_some())
    })
    .await;
    let rows = log(&app).await;
    assert!(rows.iter().all(|row| row.state.as_str() == "queued" && row.claimed_until.is_none()), "{rows:?}");
    let mut peer = Peer::with(json!({"port": port})).await;
    let came = receive(&mut peer, 3).await;
    assert_eq!(came.len(), 3, "each once: {came:?}");
    expect_log(&app, &[("verify_email", "sent"); 3]).await;
    let ids: Vec<String> = came.into_values().flatten().collect();
    assert!(
        log(&app)
            .await
            .iter()
            .all(|row| ids.contains(&row.message_id) && row.attempts == 2 && row.last_error.is_none())
    );
    peer.expect_silence().await;
}

#[harness::test]
async fn a_temporary_failure_is_retried_and_the_mail_arrives_once() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[VERIFY]).await;
    let failures = [
        json!({"at": "connect", "code": 421}),
        json!({"at": "mail", "code": 451}),
        json!({"at": "rcpt", "code": 450}),
        json!({"at": "dot", "code": 452}),
        json!({"at": "connect", "drop": true}),
        json!({"at": "mail", "drop": true}),
        json!({"at": "content", "drop": true}),
        json!({"at": "dot", "drop": true}),
        // The failure concerns the server's setup, not the mail: an operator will fix it.
        json!({"at": "connect", "code": 554}),
        json!({"at": "mail", "code": 530}),
    ];
    peer.next(json!(failures)).await;
    crowd(&app, failures.len()).await;
    let came = receive(&mut peer, failures.len()).await;
    assert_eq!(came.len(), failures.len(), "each once: {came:?}");
    expect_log(&app, &vec![("verify_email", "sent"); failures.len()]).await;
    assert!(log(&app).await.iter().all(|row| row.attempts == 2), "{:?}", log(&app).await);
    peer.expect_silence().await;
}

#[harness::test]
async fn a_permanent_failure_is_not_retried_and_its_reason_is_stored() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[VERIFY]).await;
    for (number, at) in ["mail", "rcpt", "dot"].into_iter().enumerate() {
        peer.next(json!([{"at": at, "code": 550, "text": "no such mailbox here"}])).await;
        register(&app, &format!("user{number}"), &format!("u{number}@example.org")).await;
        expect_log(&app, &vec![("verify_email", "failed"); number + 1]).await;
    }
    for row in log(&app).await {
        assert_eq!(row.attempts, 1);
        assert!(row.last_error.as_deref().is_some_and(|it| it.contains("no such mailbox here")), "{row:?}");
    }
    peer.expect_silence().await;
}

#[harness::test]
async fn a_mail_that_the_peer_accepted_with_250_is_not_sent_again() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[VERIFY]).await;
    peer.next(json!([{"at": "taken", "drop": true}])).await;
    register(&app, "alice", "alice@example.org").await;
    peer.mail().await;
    expect_log(&app, &[("verify_email", "sent")]).await;
    // Longer than the first delay before a mail is retried.
    tokio::time::sleep(Duration::from_secs(6)).await;
    peer.expect_silence().await;
    assert_eq!(log(&app).await[0].attempts, 1);
}

#[harness::test]
async fn a_mail_with_an_unknown_result_is_sent_again_with_the_same_message_id() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[VERIFY]).await;
    peer.next(json!([{"at": "dot", "drop": true, "keep": true}])).await;
    register(&app, "alice", "alice@example.org").await;
    let (first, second) = (peer.mail().await, peer.mail().await);
    assert_eq!((&first["messageId"], &first["raw"]), (&second["messageId"], &second["raw"]));
    expect_log(&app, &[("verify_email", "sent")]).await;
    peer.expect_silence().await;
}

#[harness::test]
async fn a_mail_fails_after_its_last_attempt_or_when_its_token_has_expired() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[VERIFY]).await;
    let db = app.server.context.db.read();
    let refusals: Vec<Value> = (0..3).map(|_| json!({"at": "connect", "code": 421})).collect();
    peer.next(json!(refusals)).await;
    crowd(&app, 2).await;
    eventually("both were tried", async || log(&app).await.iter().all(|row| row.last_error.is_some())).await;
    let now = app.server.context.clock.now();
    let first = log(&app).await[0].id;
    // The first mail has been attempted often, the token of the second has expired.
    mail::Entity::update_many()
        .col_expr(mail::Column::Attempts, Expr::value(9))
        .col_expr(mail::Column::NextAttemptAt, Expr::value(now))
        .filter(mail::Column::Id.eq(first))
        .exec(db)
        .await
        .expect("time passes");
    eventually("it is given up", async || log(&app).await[0].state.as_str() == "failed").await;
    assert_eq!(log(&app).await[0].attempts, 10);
    mail::Entity::update_many()
        .col_expr(mail::Column::ExpiresAt, Expr::value(now))
        .col_expr(mail::Column::NextAttemptAt, Expr::value(now))
        .filter(mail::Column::Id.ne(first))
        .exec(db)
        .await
        .expect("time passes");
    expect_log(&app, &[("verify_email", "failed"), ("verify_email", "failed")]).await;
    assert_eq!(log(&app).await[1].last_error.as_deref(), Some("expired"));
    peer.expect_silence().await;
}

#[harness::test]
async fn each_mail_is_sent_by_one_of_two_nodes() {
    let mut peer = Peer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let database = fresh_database(&folder).await;
    let url = peer.url();
    let settings = [("SMTP_URL", url.as_str()), ("MAIL_FROM", FROM), VERIFY];
    let one = TestApp::on(folder, &database, &settings).await;
    let other = TestApp::on(tempfile::tempdir().expect("a folder"), &database, &settings).await;
    for number in 0..24 {
        let node = if number % 2 == 0 { &one } else { &other };
        register(node, &format!("user{number}"), &format!("u{number}@example.org")).await;
        // Both servers look for mails at once.
        one.server.context.mail.wake();
        other.server.context.mail.wake();
    }
    let came = receive(&mut peer, 24).await;
    assert_eq!(came.len(), 24, "each once: {came:?}");
    expect_log(&one, &[("verify_email", "sent"); 24]).await;
    peer.expect_silence().await;
}

#[harness::test]
async fn a_shutdown_waits_for_the_mail_in_progress() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[VERIFY]).await;
    peer.next(json!([{"at": "dot", "delay": 1_500}])).await;
    register(&app, "alice", "alice@example.org").await;
    // Requested just before the shutdown, and not picked up yet.
    peer.event("dot").await;
    assert_eq!(post(&app, "/auth/password/forgot", None, json!({"email": "alice@example.org"})).await.0, 202);
    let context = app.server.context.clone();
    app.server.shutdown().await;
    let rows =
        mail::Entity::find().order_by_asc(mail::Column::Id).all(context.db.read()).await.expect("the log");
    let states: Vec<(&str, &str)> =
        rows.iter().map(|row| (row.template.as_str(), row.state.as_str())).collect();
    assert_eq!(states[0], ("verify_email", "sent"));
    assert_eq!(states[1].0, "reset_password", "written, so it goes now or after the next start: {states:?}");
}

/// Starts the binary; several runs share one database.
fn live(folder: &tempfile::TempDir, database: &str, url: &str) -> Running {
    let settings = [
        ("DATABASE_URL", database),
        ("SMTP_URL", url),
        ("MAIL_FROM", FROM),
        ("JWT_SECRET", "a-secret-that-stays-over-both-lives"),
        VERIFY,
    ];
    serve(folder, &settings)
}

async fn join(server: &Running, number: usize) {
    let payload = json!({"username": format!("user{number}"), "password": PASSWORD, "email": format!("u{number}@example.org")});
    let me = post_to(&server.host, "/user", payload).await;
    assert!(me["id"].is_i64(), "{me}");
}

#[harness::test]
async fn mails_of_a_killed_server_arrive_once_after_a_restart() {
    let mut peer = Peer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let database = fresh_database(&folder).await;
    let url = peer.url();
    let mut server = live(&folder, &database, &url);
    // Four are in flight, each stuck before the peer has accepted it; the others wait.
    peer.next(json!([{"at": "connect", "hang": true}, {"at": "mail", "hang": true}, {"at": "rcpt", "hang": true}, {"at": "dot", "hang": true}])).await;
    for number in 0..7 {
        join(&server, number).await;
    }
    peer.event("dot").await;
    server.child.kill().expect("killed");
    server.child.wait().expect("gone");
    peer.expect_silence().await;
    let db = Database::connect(&database).await.expect("connects");
    let rows = mail::Entity::find().all(&db).await.expect("the log");
    assert!(rows.len() == 7 && rows.iter().all(|row| row.state.as_str() == "queued"), "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row.claimed_until.is_some()).count(), 4);
    if database_kind() == "postgres" {
        // Other nodes may be running, so a lease has to expire first. Simulate that.
        db.execute_unprepared("UPDATE mail_log SET claimed_until = 1 WHERE claimed_until IS NOT NULL")
            .await
            .expect("it does");
    }
    let mut server = live(&folder, &database, &url);
    let came = receive(&mut peer, 7).await;
    assert_eq!(came.len(), 7, "each once: {came:?}");
    eventually("all are recorded", async || {
        mail::Entity::find().all(&db).await.expect("the log").iter().all(|row| row.state.as_str() == "sent")
    })
    .await;
    assert!(mail_outbox::Entity::find().all(&db).await.expect("the outbox").is_empty());
    signal(&server.child, "TERM");
    assert_eq!(server.child.wait().expect("ends").code(), Some(0));
    // A third run has nothing to send.
    let _server = live(&folder, &database, &url);
    peer.expect_silence().await;
    db.close().await.expect("closed");
}

#[harness::test]
async fn a_restarted_server_does_not_take_over_leases_of_other_servers() {
    if database_kind() != "postgres" {
        return;
    }
    let mut peer = Peer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let database = fresh_database(&folder).await;
    let url = peer.url();
    let server = live(&folder, &database, &url);
    peer.next(json!([{"at": "mail", "hang": true}])).await;
    join(&server, 0).await;
    peer.event("connected").await;
    let other = live(&folder, &database, &url);
    join(&other, 1).await;
    let came = receive(&mut peer, 1).await;
    assert_eq!(came.keys().collect::<Vec<_>>(), ["u1@example.org"], "the other one is in hand");
    peer.expect_silence().await;
}

#[harness::test]
async fn a_mail_is_queued_exactly_if_its_change_is_committed() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[VERIFY]).await;
    // Concurrent requests: one succeeds, the database refuses the others late.
    let payload = json!({"username": "alice", "password": PASSWORD, "email": "alice@example.org"});
    let answers =
        futures_util::future::join_all((0..6).map(|_| post(&app, "/user", None, payload.clone()))).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 1, "{answers:?}");
    let mail = peer.mail().await;
    assert_eq!(post(&app, "/auth/email/verify", None, json!({"token": token(&mail)})).await.0, 204);
    expect_log(&app, &[("verify_email", "sent")]).await;
    peer.expect_silence().await;
}
