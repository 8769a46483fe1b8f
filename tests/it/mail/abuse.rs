//! Attempts to find out who has an account, invalid tokens, and an attacker's text in the server's mails.

use std::time::{Duration, Instant};

use entity::{one_time_token, user};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use super::{Peer, app, expect_log, log, post, register, token};
use crate::support::{PASSWORD, TestApp, eventually};

#[harness::test]
async fn responses_and_timing_do_not_reveal_which_accounts_exist() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[("EMAIL_VERIFICATION", "required")]).await;
    register(&app, "alice", "alice@example.org").await;
    peer.mail().await;
    for path in ["/auth/password/forgot", "/auth/email/resend"] {
        let mut spent: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
        let mut answers = Vec::new();
        for round in 0..40 {
            let email = ["alice@example.org", "nobody@example.org"][round % 2];
            let started = Instant::now();
            let answer = app.raw(reqwest::Method::POST, path, None, Some(json!({"email": email}))).await;
            spent[round % 2].push(started.elapsed());
            let mut names: Vec<String> = answer.headers().keys().map(ToString::to_string).collect();
            names.sort();
            answers.push((answer.status(), names, answer.text().await.expect("text")));
            // The work that a request starts must not slow down the next one.
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!((answers[0].0.as_u16(), answers[0].2.as_str()), (202, ""));
        // The median of each: other load on the machine shows only at the ends.
        let [known, unknown] = spent.map(|mut times| {
            times.sort();
            times[times.len() / 2].as_secs_f64()
        });
        let ratio = known / unknown;
        assert!((0.33..3.0).contains(&ratio), "{path}: an account takes {ratio} times as long");
    }
    // An error reveals only what the request itself shows.
    for email in ["", "nobody", "a@b@c", "a\r\nBcc: b@c.de"] {
        let (status, problem) = post(&app, "/auth/password/forgot", None, json!({"email": email})).await;
        assert_eq!((status, problem["errors"]["email"].is_array()), (422, true), "{problem}");
    }
    let log = log(&app).await;
    assert!(log.iter().all(|row| row.recipient == "alice@example.org"), "nobody else gets mail");
}

/// Offers a token to every route that takes one.
async fn offer(app: &TestApp, token: &str) -> [(u16, Value); 2] {
    let mut answers = [
        post(app, "/auth/email/verify", None, json!({"token": token})).await,
        post(app, "/auth/password/reset", None, json!({"token": token, "password": "a new password"})).await,
    ];
    for (_, problem) in &mut answers {
        problem["request_id"] = Value::Null;
    }
    answers
}

#[harness::test]
async fn all_invalid_tokens_get_the_same_response() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[("EMAIL_VERIFICATION", "optional")]).await;
    let db = app.server.context.db.read();
    let unknown = offer(&app, &"0".repeat(64)).await;
    assert!(unknown.iter().all(|(status, problem)| *status == 422 && problem["errors"]["token"].is_array()));
    let forgot = async |peer: &mut Peer| {
        post(&app, "/auth/password/forgot", None, json!({"email": "alice@example.org"})).await;
        token(&peer.expect("alice@example.org", "Set a new password").await)
    };
    let alice = register(&app, "alice", "alice@example.org").await["id"].as_i64().expect("an id");
    let verify = token(&peer.mail().await);
    // A token for another purpose.
    let reset = forgot(&mut peer).await;
    assert_eq!(offer(&app, &verify).await[1], unknown[1]);
    let answers = post(&app, "/auth/email/verify", None, json!({"token": reset})).await;
    assert_eq!(answers.0, 422);
    // An expired token.
    one_time_token::Entity::update_many()
        .col_expr(one_time_token::Column::ExpiresAt, Expr::value(app.server.context.clock.now()))
        .filter(one_time_token::Column::UserId.eq(alice))
        .exec(db)
        .await
        .expect("time passes");
    assert_eq!(offer(&app, &reset).await, unknown);
    // A token that a newer one has replaced.
    let replaced = forgot(&mut peer).await;
    let last = forgot(&mut peer).await;
    assert_eq!(offer(&app, &replaced).await, unknown);
    // A token of a deleted account.
    user::ActiveModel { id: Set(alice), deleted_at: Set(Some(1)), ..Default::default() }
        .update(db)
        .await
        .expect("the account goes");
    assert_eq!(offer(&app, &last).await, unknown);
    for garbage in [
        json!({"token": 1}),
        json!({"token": null}),
        json!({}),
        json!({"token": "x".repeat(300)}),
        json!({"token": "\u{0}"}),
    ] {
        let (status, problem) = post(&app, "/auth/email/verify", None, garbage).await;
        assert_eq!((status, problem["errors"]["token"].is_array()), (422, true), "{problem}");
    }
    // The database does not store the token that is mailed.
    for row in one_time_token::Entity::find().all(db).await.expect("rows") {
        assert!(![&verify, &reset, &replaced, &last].contains(&&row.token_hash));
    }
}

#[harness::test]
async fn user_input_cannot_inject_headers_or_text_into_mails() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[("EMAIL_VERIFICATION", "optional")]).await;
    for email in [
        "a@example.org\r\nBcc: victim@example.org",
        "a@example.org\nX-Evil: 1",
        "a\r@example.org",
        "a@example.org\u{0}",
        "a@example.org\u{2028}b",
        "a@example.org,victim@example.org",
        "<a@example.org>",
        "A <a@example.org>",
        "\"a\r\n\"@example.org",
        "a@example.org>",
        "a@[127.0.0.1]",
        "a@exa mple.org",
        "a@example.org ORCPT=x",
    ] {
        let payload = json!({"username": "alice", "password": PASSWORD, "email": email});
        let (status, problem) = post(&app, "/user", None, payload).await;
        assert_eq!((status, problem["errors"]["email"].is_array()), (422, true), "{email:?}: {problem}");
        assert_eq!(
            post(&app, "/auth/password/forgot", None, json!({"email": email})).await.0,
            422,
            "{email:?}"
        );
    }
    // Anyone can choose any name, so it must not reach the mailbox of a person who never asked for mail.
    let sly = "Win now\r\nBcc: victim@example.org\r\n\r\nhttp://evil.example.org";
    let broken =
        json!({"username": "alice", "password": PASSWORD, "email": "alice@example.org", "name": sly});
    let (status, problem) = post(&app, "/user", None, broken).await;
    assert_eq!((status, problem["errors"]["name"].is_array()), (422, true), "{problem}");
    let plain = sly.replace(['\r', '\n'], " ");
    let payload = json!({"username": "alice", "password": PASSWORD, "email": "alice@example.org", "name": plain, "description": sly});
    assert_eq!(post(&app, "/user", None, payload).await.0, 201);
    let mail = peer.mail().await;
    assert_eq!(mail["envelope"]["to"], json!(["alice@example.org"]));
    assert!(
        !mail["raw"].as_str().expect("text").contains("evil")
            && !mail["text"].as_str().expect("text").contains("evil"),
        "{mail}"
    );
    let names: Vec<&str> = mail["headers"]
        .as_array()
        .expect("headers")
        .iter()
        .map(|it| it[0].as_str().expect("a name"))
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "auto-submitted",
            "content-language",
            "content-type",
            "date",
            "from",
            "message-id",
            "mime-version",
            "subject",
            "to"
        ]
    );
    // The HTTP layer refuses line breaks in a client's name; other control characters become spaces.
    let confirmed = post(&app, "/auth/email/verify", None, json!({"token": token(&mail)})).await;
    assert_eq!(confirmed.0, 204, "{confirmed:?}");
    app.login("alice").await;
    let login = json!({"username": "alice", "password": PASSWORD});
    let request = app.http.post(format!("{}/auth/login", app.url)).header("user-agent", "a\tb").json(&login);
    request.send().await.expect("an answer");
    assert!(peer.mail().await["text"].as_str().expect("text").contains("Device: a b\n"));
}

#[harness::test]
async fn an_invalid_stored_address_fails_in_the_log_without_blocking_the_change() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[]).await;
    let alice = app.person("alice").await;
    let sly = "a@example.org\r\nBcc: b@example.org";
    user::ActiveModel {
        id: Set(alice.id),
        email: Set(Some(sly.into())),
        email_key: Set(Some(sly.into())),
        ..Default::default()
    }
    .update(app.server.context.db.read())
    .await
    .expect("an old row");
    let payload = json!({"password": PASSWORD, "new_password": "a new password"});
    assert_eq!(post(&app, "/auth/password/change", Some(&alice.access), payload).await.0, 204);
    expect_log(&app, &[("password_changed", "failed")]).await;
    peer.expect_silence().await;
}

#[harness::test]
async fn repeated_requests_while_the_peer_is_unavailable_keep_only_the_latest_mail() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[]).await;
    register(&app, "alice", "alice@example.org").await;
    let refusals: Vec<Value> = (0..30).map(|_| json!({"at": "connect", "code": 421})).collect();
    peer.next(json!(refusals)).await;
    for round in 1..=5 {
        post(&app, "/auth/password/forgot", None, json!({"email": "alice@example.org"})).await;
        eventually("it is written and tried", async || {
            let log = log(&app).await;
            log.len() == round
                && log.iter().all(|row| row.state.as_str() == "failed" || row.last_error.is_some())
        })
        .await;
    }
    let states: Vec<String> = log(&app).await.into_iter().map(|row| row.state.to_string()).collect();
    assert_eq!(states, ["failed", "failed", "failed", "failed", "queued"]);
    assert_eq!(log(&app).await[0].last_error.as_deref(), Some("superseded"));
}

#[harness::test]
async fn a_mail_with_a_replaced_token_is_not_sent_after_the_new_one() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[]).await;
    register(&app, "alice", "alice@example.org").await;
    peer.next(json!([{"at": "rcpt", "code": 451, "delay": 1_500}])).await;
    let ask = async || post(&app, "/auth/password/forgot", None, json!({"email": "alice@example.org"})).await;
    ask().await;
    peer.event("refusing").await;
    ask().await;
    let latest = token(&peer.expect("alice@example.org", "Set a new password").await);
    eventually("the first is given up", async || {
        log(&app).await.iter().map(|row| row.state.as_str()).eq(["failed", "sent"])
    })
    .await;
    peer.expect_silence().await;
    let payload = json!({"token": latest, "password": "a new password"});
    assert_eq!(post(&app, "/auth/password/reset", None, payload).await.0, 204);
}

#[harness::test]
async fn a_deleted_account_gets_no_mail_and_its_address_is_removed_from_the_log() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[("EMAIL_VERIFICATION", "optional")]).await;
    let refusals: Vec<Value> = (0..9).map(|_| json!({"at": "connect", "code": 421})).collect();
    let id = register(&app, "alice", "alice@example.org").await["id"].as_i64().expect("an id");
    let verify = token(&peer.mail().await);
    peer.next(json!(refusals)).await;
    post(&app, "/auth/password/forgot", None, json!({"email": "alice@example.org"})).await;
    eventually("it was tried", async || log(&app).await.last().is_some_and(|row| row.last_error.is_some()))
        .await;
    let context = &app.server.context;
    let tx = context.db.begin().await.expect("begins");
    mango_chat::domain::mail::forget(context, &tx, mango_chat::ids::UserId(id)).await.expect("forgotten");
    tx.commit_silently().await.expect("committed");
    expect_log(&app, &[("verify_email", "sent"), ("reset_password", "failed")]).await;
    assert!(log(&app).await.iter().all(|row| row.recipient.is_empty()));
    assert_eq!(post(&app, "/auth/email/verify", None, json!({"token": verify})).await.0, 422);
}
