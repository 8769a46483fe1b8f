//! Mail against a real SMTP peer: which mails are sent to whom and when, what their tokens allow, and what happens to
//! mails when the peer or the server dies.

mod abuse;
mod addresses;
mod outbox;
mod pages;
mod passwords;
pub mod peer;
mod security;

use peer::{FROM, Peer, token};

use entity::{mail, user};
use reqwest::Method;
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, eventually};

/// A server that sends its mails to this peer.
async fn app(peer: &Peer, extra: &[(&str, &str)]) -> TestApp {
    let url = peer.url();
    let mut settings = vec![("SMTP_URL", url.as_str()), ("MAIL_FROM", FROM)];
    settings.extend_from_slice(extra);
    TestApp::with(&settings).await
}

/// Sends a POST request; returns its status and JSON.
async fn post(app: &TestApp, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
    let (status, body) = app.send(Method::POST, path, token, Some(body)).await;
    (status.as_u16(), body)
}

/// Registers a user with an address.
async fn register(app: &TestApp, username: &str, email: &str) -> Value {
    let (status, me) =
        post(app, "/user", None, json!({"username": username, "password": PASSWORD, "email": email})).await;
    assert_eq!(status, 201, "{me}");
    me
}

async fn login(app: &TestApp, username: &str, password: &str) -> (u16, Value) {
    post(app, "/auth/login", None, json!({"username": username, "password": password})).await
}

/// All rows of the log, oldest first.
async fn log(app: &TestApp) -> Vec<mail::Model> {
    mail::Entity::find()
        .order_by_asc(mail::Column::Id)
        .all(app.server.context.db.read())
        .await
        .expect("the log")
}

/// Waits until the log holds exactly these mails with these states, in order.
async fn expect_log(app: &TestApp, wanted: &[(&str, &str)]) {
    eventually("the log of mails", async || {
        let log = log(app).await;
        log.iter().map(|row| (row.template.as_str(), row.state.as_str())).eq(wanted.iter().copied())
    })
    .await;
    let waiting = log(app).await.iter().filter(|row| row.state.as_str() == "queued").count();
    let kept =
        entity::mail_outbox::Entity::find().all(app.server.context.db.read()).await.expect("the outbox");
    assert_eq!(kept.len(), waiting, "what a mail says is kept only until its fate is known");
}

/// Returns a user's row.
async fn row(app: &TestApp, id: i64) -> user::Model {
    user::Entity::find_by_id(id).one(app.server.context.db.read()).await.expect("answers").expect("a row")
}
