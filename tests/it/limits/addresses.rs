//! Forwarded addresses are accepted only from configured proxies.

use serde_json::{Value, json};

use super::limited;
use crate::support::{PASSWORD, TestApp};

/// Returns the address that is recorded for a login.
async fn noted(app: &TestApp, forwarded: &[&str]) -> String {
    let mut request = app.http.post(format!("{}/auth/login", app.url));
    for line in forwarded {
        request = request.header("x-forwarded-for", *line);
    }
    let body = json!({"username": "alice", "password": PASSWORD});
    let pair: Value = request.json(&body).send().await.expect("an answer").json().await.expect("JSON");
    let token = pair["access_token"].as_str().unwrap_or_else(|| panic!("{pair}"));
    let (_, sessions) = app.send(reqwest::Method::GET, "/auth/session", Some(token), None).await;
    let current =
        sessions.as_array().expect("a list").iter().find(|it| it["current"] == json!(true)).expect("mine");
    current["address"].as_str().expect("an address").to_owned()
}

#[harness::test]
async fn sessions_show_the_client_address_reported_by_a_trusted_proxy() {
    let app = TestApp::with(&[("TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.7")]).await;
    app.person("alice").await;
    assert_eq!(noted(&app, &[]).await, "127.0.0.1");
    assert_eq!(noted(&app, &["192.0.2.1"]).await, "192.0.2.1");
    assert_eq!(
        noted(&app, &["198.51.100.66, 192.0.2.1, 10.0.0.7"]).await,
        "192.0.2.1",
        "what a client claims is left"
    );
    assert_eq!(noted(&app, &["198.51.100.66", "[2001:db8::5]:4711", "10.0.0.7"]).await, "2001:db8::5");
    assert_eq!(noted(&app, &["192.0.2.1, nonsense"]).await, "127.0.0.1");
}

#[harness::test]
async fn forged_forwarding_headers_are_ignored() {
    let app = limited(&[("RATE_LOGIN", "1/h:5"), ("TRUSTED_PROXIES", "10.0.0.0/8")]).await;
    app.person("alice").await;
    assert_eq!(noted(&app, &["192.0.2.1"]).await, "127.0.0.1");
    let mut statuses = Vec::new();
    for guess in 0..6 {
        let answer = app
            .http
            .post(format!("{}/auth/login", app.url))
            .header("x-forwarded-for", format!("192.0.2.{guess}"))
            .header("forwarded", format!("for=192.0.2.{guess}"))
            .header("x-real-ip", format!("192.0.2.{guess}"))
            .json(&json!({"username": format!("user{guess}"), "password": "wrong password"}))
            .send()
            .await
            .expect("an answer");
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429], "two logins went before: one address, five tokens");
}
