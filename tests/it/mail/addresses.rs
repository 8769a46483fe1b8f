//! Confirming addresses, and changing them.

use std::path::Path;

use reqwest::Method;
use serde_json::json;

use super::{FROM, Peer, app, expect_log, login, post, register, row, token};
use crate::checker::node::Node;
use crate::support::{PASSWORD, Person, TestApp, fresh_database};

#[harness::test]
async fn the_mailed_token_confirms_an_address_once() {
    let mut peer = Peer::start().await;
    let app =
        app(&peer, &[("EMAIL_VERIFICATION", "optional"), ("PUBLIC_URL", "https://chat.example.org/talk")])
            .await;
    let me = register(&app, "alice", "Alice@Example.org").await;
    assert_eq!((&me["email"], &me["email_verified"]), (&json!("Alice@Example.org"), &json!(false)));
    let mail = peer.expect("Alice@Example.org", "Confirm your e-mail address").await;
    assert_eq!(mail["envelope"], json!({"from": "chat@example.org", "to": ["Alice@Example.org"]}));
    assert!(
        mail["text"].as_str().expect("text").contains("https://chat.example.org/talk/account/verify#token=")
    );
    assert!(mail["text"].as_str().expect("text").contains("alice"), "{mail}");
    // Optional: nothing requires a confirmed address.
    let (status, _) = login(&app, "alice", PASSWORD).await;
    assert_eq!(status, 200);
    let payload = json!({"token": token(&mail)});
    assert_eq!(post(&app, "/auth/email/verify", None, payload.clone()).await.0, 204);
    assert!(row(&app, me["id"].as_i64().expect("an id")).await.email_verified);
    let (status, problem) = post(&app, "/auth/email/verify", None, payload).await;
    assert_eq!(
        (status, problem["errors"]["token"].is_array()),
        (422, true),
        "a token is good once: {problem}"
    );
    expect_log(&app, &[("verify_email", "sent")]).await;
}

#[harness::test]
async fn with_required_verification_a_login_requires_a_confirmed_address() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[("EMAIL_VERIFICATION", "required")]).await;
    let (status, problem) = post(&app, "/user", None, json!({"username": "bob", "password": PASSWORD})).await;
    assert_eq!((status, problem["errors"]["email"].is_array()), (422, true), "{problem}");
    register(&app, "alice", "alice@example.org").await;
    let first = token(&peer.mail().await);
    let (status, problem) = login(&app, "alice", PASSWORD).await;
    assert_eq!((status, &problem["code"]), (403, &json!("email_unverified")));
    let (status, problem) = login(&app, "alice", "not the password").await;
    assert_eq!(
        (status, &problem["code"]),
        (401, &json!("invalid_credentials")),
        "only to who knows the password"
    );
    // A new token invalidates the earlier one.
    let (status, _) = post(&app, "/auth/email/resend", None, json!({"email": "ALICE@example.org"})).await;
    assert_eq!(status, 202);
    let second = token(&peer.expect("alice@example.org", "Confirm your e-mail address").await);
    assert_eq!(post(&app, "/auth/email/verify", None, json!({"token": first})).await.0, 422);
    assert_eq!(post(&app, "/auth/email/verify", None, json!({"token": second})).await.0, 204);
    assert_eq!(login(&app, "alice", PASSWORD).await.0, 200);
    // The address is confirmed, so nothing is mailed any more.
    assert_eq!(post(&app, "/auth/email/resend", None, json!({"email": "alice@example.org"})).await.0, 202);
    peer.expect_silence().await;
}

#[harness::test]
async fn accounts_created_by_operators_can_log_in_without_an_address() {
    let peer = Peer::start().await;
    let app = app(&peer, &[("EMAIL_VERIFICATION", "required")]).await;
    mango_chat::domain::demo::seed(&app.server.context).await.expect("demo users");
    assert_eq!(login(&app, "alice", "mango-demo").await.0, 200);
}

#[harness::test]
async fn without_verification_no_confirmation_mail_is_sent() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[]).await;
    register(&app, "alice", "alice@example.org").await;
    let alice = app.login("alice").await;
    for (person, body) in [(Some(&alice), json!({})), (None, json!({"email": "alice@example.org"}))] {
        let token = person.map(|it| it.access.as_str());
        let (status, problem) = post(&app, "/auth/email/resend", token, body).await;
        assert_eq!((status, &problem["code"]), (403, &json!("forbidden")));
    }
    peer.expect_silence().await;
    expect_log(&app, &[]).await;
}

#[harness::test]
async fn mails_are_in_the_language_of_the_recipient() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[("EMAIL_VERIFICATION", "optional")]).await;
    let send = async |path: &str, language: &str, body: serde_json::Value| {
        let request =
            app.http.post(format!("{}{path}", app.url)).header("accept-language", language).json(&body);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
    };
    let payload =
        |name: &str| json!({"username": name, "password": PASSWORD, "email": format!("{name}@example.org")});
    send("/user", "ru-RU,ru;q=0.9,en;q=0.8", payload("olga")).await;
    let mail = peer.expect("olga@example.org", "Подтвердите адрес почты").await;
    assert!(mail["html"].as_str().expect("HTML").contains("<html lang=\"ru\">"));
    assert!(mail["text"].as_str().expect("text").contains("Ссылка действует 24 часа"));
    send("/user", "de,fr;q=0.5", payload("dieter")).await;
    peer.expect("dieter@example.org", "Confirm your e-mail address").await;
    // A login in another language changes it; a login with an unknown language, or without one, does not.
    let known = json!({"username": "dieter", "password": PASSWORD});
    send("/auth/login", "ru", known.clone()).await;
    send("/auth/login", "de", known).await;
    assert_eq!(
        post(&app, "/auth/password/forgot", None, json!({"email": "dieter@example.org"})).await.0,
        202
    );
    peer.expect("dieter@example.org", "Новый пароль").await;
}

async fn patch(app: &TestApp, person: &Person, body: serde_json::Value) -> (u16, serde_json::Value) {
    let (status, body) = app.send(Method::PATCH, "/user/me", Some(&person.access), Some(body)).await;
    (status.as_u16(), body)
}

#[harness::test]
async fn a_new_address_is_pending_until_it_is_confirmed_and_the_old_one_is_notified() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[("EMAIL_VERIFICATION", "required")]).await;
    register(&app, "alice", "old@example.org").await;
    post(&app, "/auth/email/verify", None, json!({"token": token(&peer.mail().await)})).await;
    let alice = app.login("alice").await;
    let payload = json!({"email": "new@example.org", "password": PASSWORD, "name": "Alice"});
    let (status, me) = patch(&app, &alice, payload).await;
    assert_eq!(
        (status, &me["email"], &me["email_verified"]),
        (200, &json!("old@example.org"), &json!(true)),
        "{me}"
    );
    assert_eq!(me["name"], json!("Alice"), "the rest is done at once");
    let (mut confirm, mut notice) = (peer.mail().await, peer.mail().await);
    if confirm["to"] == json!(["old@example.org"]) {
        std::mem::swap(&mut confirm, &mut notice);
    }
    assert_eq!(
        (&confirm["to"], &confirm["subject"]),
        (&json!(["new@example.org"]), &json!("Confirm your new e-mail address"))
    );
    assert_eq!(
        (&notice["to"], &notice["subject"]),
        (&json!(["old@example.org"]), &json!("Your e-mail address is about to change"))
    );
    let text = notice["text"].as_str().expect("text");
    assert!(text.contains("n…@example.org") && !text.contains("new@example.org"), "masked: {text}");
    // The token has no other use.
    let payload = json!({"token": token(&confirm), "password": "another password"});
    assert_eq!(post(&app, "/auth/password/reset", None, payload).await.0, 422);
    // A reset token that was mailed to the old address is invalid once the address has changed.
    post(&app, "/auth/password/forgot", None, json!({"email": "old@example.org"})).await;
    let reset = token(&peer.expect("old@example.org", "Set a new password").await);
    assert_eq!(post(&app, "/auth/email/verify", None, json!({"token": token(&confirm)})).await.0, 204);
    peer.expect("old@example.org", "Your e-mail address was changed").await;
    let me = app.get("/user/me", &alice).await;
    assert_eq!((&me["email"], &me["email_verified"]), (&json!("new@example.org"), &json!(true)));
    let payload = json!({"token": reset, "password": "another password"});
    assert_eq!(post(&app, "/auth/password/reset", None, payload).await.0, 422);
    assert_eq!(login(&app, "new@example.org", PASSWORD).await.0, 200);
    assert_eq!(login(&app, "old@example.org", PASSWORD).await.0, 401);
    // This server requires an address.
    let (status, problem) = patch(&app, &alice, json!({"email": null, "password": PASSWORD})).await;
    assert_eq!((status, problem["errors"]["email"].is_array()), (422, true), "{problem}");
}

#[harness::test]
async fn an_address_taken_meanwhile_is_rejected_and_a_pending_change_can_be_cancelled() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[("EMAIL_VERIFICATION", "optional")]).await;
    let alice = app.person("alice").await;
    let payload = |email: &str| json!({"email": email, "password": PASSWORD});
    assert_eq!(patch(&app, &alice, payload("shared@example.org")).await.0, 200);
    let late = token(&peer.expect("shared@example.org", "Confirm your new e-mail address").await);
    register(&app, "bob", "Shared@example.org").await;
    let bobs = token(&peer.mail().await);
    let (status, problem) = post(&app, "/auth/email/verify", None, json!({"token": late})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("email_taken")));
    assert_eq!(app.get("/user/me", &alice).await["email"], json!(null), "nothing has changed");
    assert_eq!(post(&app, "/auth/email/verify", None, json!({"token": bobs})).await.0, 204);
    // Alice asks for another address, then cancels the change.
    assert_eq!(patch(&app, &alice, payload("alice@example.org")).await.0, 200);
    let token = token(&peer.expect("alice@example.org", "Confirm your new e-mail address").await);
    assert_eq!(patch(&app, &alice, json!({"email": null})).await.0, 200);
    assert_eq!(post(&app, "/auth/email/verify", None, json!({"token": token})).await.0, 422);
}

#[harness::test]
async fn without_verification_a_new_address_is_valid_immediately_and_the_old_one_is_notified() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[]).await;
    register(&app, "alice", "old@example.org").await;
    let alice = app.login("alice").await;
    let (status, me) = patch(&app, &alice, json!({"email": "new@example.org", "password": PASSWORD})).await;
    assert_eq!((status, &me["email"]), (200, &json!("new@example.org")), "{me}");
    peer.expect("old@example.org", "Your e-mail address was changed").await;
    // A different spelling of the same address is not a change, so no mail reports it.
    assert_eq!(patch(&app, &alice, json!({"email": "New@example.org", "password": PASSWORD})).await.0, 200);
    let (status, me) = patch(&app, &alice, json!({"email": null, "password": PASSWORD})).await;
    assert_eq!((status, &me["email"]), (200, &json!(null)));
    let mail = peer.expect("New@example.org", "Your e-mail address was changed").await;
    assert!(mail["text"].as_str().expect("text").contains("was removed from your account"), "{mail}");
    peer.expect_silence().await;
}

#[harness::test]
async fn enabling_verification_warns_about_excluded_accounts_and_a_login_mails_them_a_link() {
    let mut peer = Peer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let before = TestApp::on(folder, &url, &[]).await;
    register(&before, "alice", "alice@example.org").await;
    let plain = post(&before, "/user", None, json!({"username": "bob", "password": PASSWORD})).await;
    assert_eq!(plain.0, 201, "bob has no address");
    before.server.shutdown().await;

    let later = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_mango-chat"));
    let mut node = Node::new(program, later.path(), &url).expect("a free port");
    let smtp = peer.url();
    let settings = [("EMAIL_VERIFICATION", "required"), ("SMTP_URL", smtp.as_str()), ("MAIL_FROM", FROM)];
    for (name, value) in settings {
        node.set(name, value);
    }
    node.start().await.expect("it starts");
    assert!(
        node.log().contains("EMAIL_VERIFICATION=required") && node.log().contains("accounts=1"),
        "{}",
        node.log()
    );
    node.terminate().expect("it is told to stop");
    assert!(node.ended_well().await);

    let app = TestApp::on(tempfile::tempdir().expect("a folder"), &url, &settings).await;
    assert_eq!(login(&app, "alice", "not the password").await.0, 401);
    peer.expect_silence().await;
    let (status, problem) = login(&app, "alice", PASSWORD).await;
    assert_eq!((status, &problem["code"]), (403, &json!("email_unverified")));
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("mailed") && !detail.contains("alice@example.org"), "{detail}");
    let mail = peer.expect("alice@example.org", "Confirm your e-mail address").await;
    // While one mail is waiting, another login sends none.
    assert_eq!(login(&app, "alice", PASSWORD).await.0, 403);
    peer.expect_silence().await;
    assert_eq!(post(&app, "/auth/email/verify", None, json!({"token": token(&mail)})).await.0, 204);
    assert_eq!(login(&app, "alice", PASSWORD).await.0, 200);
    assert_eq!(
        login(&app, "bob", PASSWORD).await.0,
        200,
        "an account without an address has nothing to confirm"
    );
}
