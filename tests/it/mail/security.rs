//! TLS and login at the peer, and what the log and the error of a bad setting reveal.

use std::io::Read;

use entity::mail;
use sea_orm::{Database, EntityTrait};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{FROM, Peer, app, expect_log, log, post, register};
use crate::binary::{Running, command, post as post_to, serve, signal};
use crate::support::{PASSWORD, TestApp, eventually, fresh_database};

const VERIFY: (&str, &str) = ("EMAIL_VERIFICATION", "optional");

/// Starts a peer with a self-signed certificate; returns both.
async fn peer_with_tls(kind: &str) -> (Peer, String) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = own.cert.pem();
    let options = json!({
        "tls": kind, "key": own.signing_key.serialize_pem(), "cert": certificate, "user": "me@example.org", "password": "p:s/w@rd",
    });
    (Peer::with(options).await, certificate)
}

/// Returns the peer's URL with the right login; the host is `localhost`, as in the certificate.
fn url_with_login(peer: &Peer, scheme: &str, tail: &str) -> String {
    format!("{scheme}://me%40example.org:p%3As%2Fw%40rd@localhost:{}{tail}", peer.port)
}

async fn registered(server: &Running) {
    let payload = json!({"username": "alice", "password": PASSWORD, "email": "alice@example.org"});
    let me = post_to(&server.host, "/user", payload).await;
    assert!(me["id"].is_i64(), "{me}");
}

#[harness::test]
async fn tls_accepts_only_a_trusted_certificate() {
    for (kind, scheme, tail) in [
        ("wrapped", "smtps", ""),
        ("starttls", "smtp", "?tls=required"),
        ("starttls", "smtp", "?tls=opportunistic"),
    ] {
        let (mut peer, certificate) = peer_with_tls(kind).await;
        let url = url_with_login(&peer, scheme, tail);
        let folder = tempfile::tempdir().expect("a folder");
        let database = fresh_database(&folder).await;
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, certificate).expect("written");
        let settings =
            [("DATABASE_URL", database.as_str()), ("SMTP_URL", url.as_str()), ("MAIL_FROM", FROM), VERIFY];
        // No trusted root has signed the certificate: the server sends neither the mail nor the password.
        let server = serve(&folder, &settings);
        registered(&server).await;
        let db = Database::connect(&database).await.expect("connects");
        let row = async || mail::Entity::find().one(&db).await.expect("the log").expect("a mail");
        eventually("it was tried", async || row().await.last_error.is_some()).await;
        let refused = row().await;
        assert_eq!(refused.state.as_str(), "queued", "somebody may mend it");
        assert!(
            refused
                .last_error
                .as_deref()
                .is_some_and(|it| it.contains("ertificate") || it.contains("Issuer")),
            "{refused:?}"
        );
        peer.expect_silence().await;
        drop(server);
        // Another run, which trusts the certificate.
        let mut trusting = settings.to_vec();
        let roots = roots.display().to_string();
        trusting.push(("SSL_CERT_FILE", &roots));
        let _server = serve(&folder, &trusting);
        let mail = peer.expect("alice@example.org", "Confirm your e-mail address").await;
        assert_eq!((&mail["secure"], &mail["user"]), (&json!(true), &json!("me@example.org")), "{tail}");
        eventually("it is recorded", async || row().await.state.as_str() == "sent").await;
        db.close().await.expect("closed");
    }
}

#[harness::test]
async fn with_required_tls_nothing_is_sent_without_it() {
    let mut peer = Peer::start().await;
    let url = format!("{}?tls=required", peer.url());
    let app = TestApp::with(&[("SMTP_URL", &url), ("MAIL_FROM", FROM), VERIFY]).await;
    register(&app, "alice", "alice@example.org").await;
    eventually("it was tried", async || log(&app).await[0].last_error.is_some()).await;
    assert_eq!(log(&app).await[0].state.as_str(), "queued");
    peer.expect_silence().await;
}

#[harness::test]
async fn a_login_that_the_peer_rejects_loses_no_mail() {
    let mut peer = Peer::with(json!({"user": "me", "password": "right"})).await;
    let url = |password: &str| format!("smtp://me:{password}@127.0.0.1:{}", peer.port);
    let folder = tempfile::tempdir().expect("a folder");
    let database = fresh_database(&folder).await;
    let (wrong, right) = (url("wrong"), url("right"));
    let settings = |url| [("SMTP_URL", url), ("MAIL_FROM", FROM), VERIFY];
    let locked_out = TestApp::on(folder, &database, &settings(&wrong)).await;
    register(&locked_out, "alice", "alice@example.org").await;
    eventually("it was tried", async || log(&locked_out).await[0].last_error.is_some()).await;
    let row = log(&locked_out).await.remove(0);
    assert_eq!(row.state.as_str(), "queued");
    assert!(
        row.last_error.as_deref().is_some_and(|it| it.contains("535") && !it.contains("wrong")),
        "{row:?}"
    );
    locked_out.server.shutdown().await;
    let app = TestApp::on(tempfile::tempdir().expect("a folder"), &database, &settings(&right)).await;
    assert_eq!(peer.expect("alice@example.org", "Confirm your e-mail address").await["user"], json!("me"));
    expect_log(&app, &[("verify_email", "sent")]).await;
}

/// Returns what a server has logged to the files in its folder.
fn logged(folder: &TempDir) -> String {
    let mut logs = String::new();
    for file in std::fs::read_dir(folder.path().join("assets/logs")).expect("log files") {
        let mut file = std::fs::File::open(file.expect("a file").path()).expect("opens");
        file.read_to_string(&mut logs).expect("text");
    }
    logs
}

#[harness::test]
async fn without_a_peer_mails_are_logged_with_their_links_except_in_production() {
    for environment in ["test", "prod"] {
        let folder = tempfile::tempdir().expect("a folder");
        let database = fresh_database(&folder).await;
        let settings = [
            ("MANGO_ENV", environment),
            ("DATABASE_URL", database.as_str()),
            ("JWT_SECRET", "a-secret-of-at-least-thirty-two-bytes"),
            ("EMAIL_VERIFICATION", "required"),
            ("RATE_LIMIT", "false"),
        ];
        let mut server = serve(&folder, &settings);
        registered(&server).await;
        let db = Database::connect(&database).await.expect("connects");
        eventually("it is logged", async || {
            mail::Entity::find()
                .one(&db)
                .await
                .expect("the log")
                .is_some_and(|row| row.state.as_str() == "logged")
        })
        .await;
        assert!(entity::mail_outbox::Entity::find().one(&db).await.expect("the outbox").is_none());
        db.close().await.expect("closed");
        signal(&server.child, "TERM");
        assert_eq!(server.child.wait().expect("ends").code(), Some(0));
        let log = logged(&folder);
        assert!(log.contains("alice@example.org") && log.contains("verify_email"), "{log}");
        assert!(log.contains("EMAIL_VERIFICATION is on without SMTP_URL"), "{log}");
        assert_eq!(log.contains("/account/verify#token="), environment == "test", "{log}");
        if environment == "test" {
            // On a developer's machine, the link in the log is the way to confirm an address.
            let token: String = log.split("#token=").nth(1).expect("a token").chars().take(64).collect();
            let server = serve(&folder, &settings);
            let answer = post_to_status(&server.host, "/auth/email/verify", json!({"token": token})).await;
            assert_eq!(answer, 204);
        }
    }
}

async fn post_to_status(host: &str, path: &str, body: Value) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    client.post(format!("http://{host}{path}")).json(&body).send().await.expect("an answer").status().as_u16()
}

#[test]
fn an_invalid_smtp_url_prevents_the_start_without_printing_its_password() {
    let folder = tempfile::tempdir().expect("a folder");
    for url in [
        "smtps://me:hush-hush@mail.example.org?tls=no",
        "smtp://me:hush-hush@mail.example.org?insecure=true",
        "http://me:hush-hush@mail.example.org",
        "smtp://me:hush-hush@:25",
    ] {
        let output =
            command(&folder).env("SMTP_URL", url).env("MAIL_FROM", "a@example.org").output().expect("runs");
        let told = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.lines().count() == 1 && told.contains("SMTP_URL") && !told.contains("hush"), "{told}");
    }
    let output = command(&folder).env("SMTP_URL", "smtp://localhost").output().expect("runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("MAIL_FROM"));
}

#[harness::test]
async fn tokens_are_not_logged_when_a_peer_is_configured() {
    let mut peer = Peer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let database = fresh_database(&folder).await;
    let url = peer.url();
    let settings = [
        ("DATABASE_URL", database.as_str()),
        ("SMTP_URL", url.as_str()),
        ("MAIL_FROM", FROM),
        ("RUST_LOG", "debug"),
        VERIFY,
    ];
    let mut server = serve(&folder, &settings);
    registered(&server).await;
    let token = super::token(&peer.mail().await);
    post_to_status(&server.host, "/auth/email/verify", json!({"token": token})).await;
    signal(&server.child, "TERM");
    server.child.wait().expect("ends");
    let log = logged(&folder);
    assert!(
        log.contains("a mail was sent") && !log.contains(&token) && !log.contains("alice@example.org"),
        "{log}"
    );
}

#[harness::test]
async fn the_pages_of_mailed_links_run_only_their_own_scripts_and_send_no_referrer() {
    let peer = Peer::start().await;
    let app = app(&peer, &[]).await;
    let page =
        app.raw(reqwest::Method::GET, "/account/verify", None, None).await.text().await.expect("a page");
    let script =
        page.split("src=\"").nth(1).and_then(|it| it.split('"').next()).expect("a script").to_owned();
    for path in ["/account/verify", "/account/reset", &script] {
        let answer = app.raw(reqwest::Method::GET, path, None, None).await;
        assert_eq!(answer.status(), 200, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        let policy = header("content-security-policy");
        let is_page = header("content-type").starts_with("text/html");
        assert_eq!(is_page, path.starts_with("/account"), "{path}");
        let wanted = if is_page { "default-src 'none'; script-src 'self'" } else { "default-src 'none'" };
        assert!(policy.starts_with(wanted) && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header("referrer-policy"), "no-referrer");
        let text = answer.text().await.expect("text");
        assert!(
            !text.contains("http://") && !text.contains("https://") && !text.contains("onclick"),
            "{path}"
        );
    }
    let (status, _) = post(&app, "/account/verify", None, json!({})).await;
    assert_eq!(status, 405);
}
