//! Guessing passwords is slowed down, does not reveal which accounts exist, costs no hashing while it is slowed down,
//! and does not lock users out of their own accounts.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::limited;
use crate::binary::serve;
use crate::support::{PASSWORD, Socket, TestApp, Transport, fresh_database};

/// Logs in once from an address; returns the status, the headers, and the body without the parts that always differ.
async fn login(app: &TestApp, address: &str, username: &str, password: &str) -> (u16, HeaderMap, Value) {
    let answer = app
        .http
        .post(format!("{}/auth/login", app.url))
        .header("x-forwarded-for", address)
        .json(&json!({"username": username, "password": password}))
        .send()
        .await
        .expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let mut body: Value = answer.json().await.expect("JSON");
    body["request_id"] = Value::Null;
    (status, headers, body)
}

/// Starts a server behind a proxy, so that a test has many addresses; the buckets are too large to matter.
async fn behind_a_proxy() -> TestApp {
    limited(&[("TRUSTED_PROXIES", "127.0.0.1"), ("RATE_LOGIN", "1000/s"), ("RATE_REGISTER", "1000/s")]).await
}

#[harness::test]
async fn logins_are_rate_limited_per_ip_address_and_per_account() {
    let app = limited(&[("TRUSTED_PROXIES", "127.0.0.1"), ("RATE_LOGIN", "1/h:2")]).await;
    app.http
        .post(format!("{}/user", app.url))
        .json(&json!({"username": "alice", "password": PASSWORD}))
        .send()
        .await
        .expect("registered");
    assert_eq!(login(&app, "192.0.2.1", "nobody", "12345678").await.0, 401);
    assert_eq!(login(&app, "192.0.2.1", "somebody", "12345678").await.0, 401);
    let (status, headers, body) = login(&app, "192.0.2.1", "alice", PASSWORD).await;
    assert_eq!((status, &body["code"]), (429, &json!("rate_limited")), "the address has had its two");
    assert!(headers.contains_key("retry-after"));
    assert_eq!(login(&app, "192.0.2.2", "ALICE", "12345678").await.0, 401);
    assert_eq!(login(&app, "192.0.2.3", "alice ", "12345678").await.0, 401);
    assert_eq!(login(&app, "192.0.2.4", "alice", PASSWORD).await.0, 429, "the account has had its two");
    assert_eq!(login(&app, "192.0.2.5", "nobody", "12345678").await.0, 401, "that is the second");
    assert_eq!(
        login(&app, "192.0.2.6", "nobody", "12345678").await.0,
        429,
        "as if there were such an account"
    );
}

#[harness::test]
async fn a_rate_limited_login_does_not_count_as_a_failed_login() {
    let app = limited(&[("RATE_LOGIN", "1/h:2")]).await;
    let rates = &app.server.context.rates;
    let from = |number: u8| Some(std::net::Ipv4Addr::new(198, 51, 100, number).into());
    for number in 0..2 {
        let attempt = rates.begin_login(from(number), "alice", 0).await.expect("may try");
        rates.failures.settle(attempt, true, 0);
    }
    for number in 2..12 {
        let refused = rates.begin_login(from(number), "alice", 0).await.expect_err("the bucket is empty");
        assert_eq!(refused.message, "too many logins, try again later", "{number}");
    }
}

#[harness::test]
async fn failed_logins_are_slowed_down_equally_for_existing_and_unknown_accounts() {
    let app = behind_a_proxy().await;
    app.person("alice").await;
    let mut told = Vec::new();
    for username in ["alice", "nobody"] {
        let mut answers = Vec::new();
        for guess in 0..8_u32 {
            // Each from another address: the account has to wait.
            let address = format!("198.51.100.{guess}");
            let (status, headers, body) = login(&app, &address, username, "wrong password").await;
            answers.push((status, headers.get("retry-after").cloned(), body));
        }
        told.push(answers);
    }
    let statuses: Vec<u16> = told[0].iter().map(|(status, ..)| *status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 429, 429, 429, 429], "the fourth failure begins the wait");
    assert_eq!(told[0][7].1.as_ref().expect("a wait"), "1");
    assert_eq!(told[0], told[1], "nothing tells the one from the other");
    // The right password has to wait as well. Otherwise the wait would reveal which password is right.
    assert_eq!(login(&app, "198.51.100.99", "alice", PASSWORD).await.0, 429);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(login(&app, "198.51.100.99", "alice", "wrong password").await.0, 401);
    let (status, headers, _) = login(&app, "198.51.100.99", "alice", "wrong password").await;
    assert_eq!(
        (status, headers["retry-after"].to_str().expect("text")),
        (429, "2"),
        "each wait is twice the last"
    );
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(login(&app, "198.51.100.99", "alice", PASSWORD).await.0, 200, "nobody is locked out");
    for _ in 0..3 {
        assert_eq!(login(&app, "198.51.100.99", "alice", "mistyped").await.0, 401, "a success forgets");
    }
}

#[harness::test]
async fn failed_logins_from_another_address_do_not_lock_a_user_out() {
    let app = behind_a_proxy().await;
    let alice = app.person("alice").await;
    let home = "203.0.113.7";
    assert_eq!(login(&app, home, "alice", PASSWORD).await.0, 200);
    for guess in 0..40_u32 {
        let (status, ..) = login(&app, &format!("198.51.100.{guess}"), "alice", "wrong password").await;
        assert!(status == 401 || status == 429, "{status}");
    }
    assert_eq!(login(&app, "198.51.100.200", "alice", PASSWORD).await.0, 429, "strangers wait");
    assert_eq!(login(&app, home, "alice", PASSWORD).await.0, 200, "from home nothing has changed");
    // Open sessions are not affected either.
    let body = json!({"refresh_token": alice.refresh});
    let (status, _) = app.send(reqwest::Method::POST, "/auth/refresh", None, Some(body)).await;
    assert_eq!(status.as_u16(), 200);
    assert!(Socket::open(&app.host, Some(&alice.access), Transport::MAIN).await.is_ok());
}

#[harness::test]
async fn failed_logins_from_one_address_to_many_accounts_are_slowed_down() {
    let app = behind_a_proxy().await;
    let mut statuses = Vec::new();
    for victim in 0..14 {
        statuses.push(login(&app, "198.51.100.1", &format!("victim{victim}"), "password1").await.0);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 11, "{statuses:?}");
    assert_eq!(login(&app, "198.51.100.2", "victim0", "password1").await.0, 401, "others do not");
    // IPv6: a customer has a whole network, so changing the address within it does not help.
    let mut statuses = Vec::new();
    for victim in 0..14 {
        let address = format!("2001:db8:1:2::{victim:x}");
        statuses.push(login(&app, &address, &format!("sheep{victim}"), "password1").await.0);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 11, "{statuses:?}");
}

#[harness::test]
async fn a_login_rejected_by_the_slowdown_computes_no_hash() {
    // Costly enough that hashing would be noticed.
    let settings = [("TRUSTED_PROXIES", "127.0.0.1"), ("RATE_LOGIN", "1000/s")];
    let app = limited(&[settings[0], settings[1], ("PASSWORD_HASH", "argon2id,m=65536,t=3,p=1")]).await;
    let mut hashing = Duration::MAX;
    for _ in 0..4 {
        let started = Instant::now();
        assert_eq!(login(&app, "198.51.100.1", "alice", "wrong password").await.0, 401);
        hashing = hashing.min(started.elapsed());
    }
    let mut refusing = Duration::MAX;
    for _ in 0..4 {
        let started = Instant::now();
        if login(&app, "198.51.100.1", "alice", "wrong password").await.0 == 429 {
            refusing = refusing.min(started.elapsed());
        }
    }
    assert!(refusing < hashing / 4, "a refusal takes {refusing:?}, a hash {hashing:?}");
}

#[harness::test]
async fn password_guesses_with_an_access_token_are_slowed_down() {
    let app = behind_a_proxy().await;
    let alice = app.person("alice").await;
    let patch = async |password: &str| {
        let body = json!({"email": "thief@example.org", "password": password});
        let (status, body) =
            app.send(reqwest::Method::PATCH, "/user/me", Some(&alice.access), Some(body)).await;
        (status.as_u16(), body["code"].as_str().unwrap_or_default().to_owned())
    };
    for guess in 0..4 {
        assert_eq!(patch(&format!("guess {guess}")).await, (422, "validation_failed".into()));
    }
    assert_eq!(patch(PASSWORD).await, (429, "rate_limited".into()));
    assert_eq!(app.get("/user/me", &alice).await["email"], Value::Null);
    assert_eq!(login(&app, "203.0.113.7", "alice", PASSWORD).await.0, 200, "logging in is another matter");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(patch(PASSWORD).await.0, 200);
}

#[harness::test]
async fn concurrent_logins_over_the_limit_are_rejected_with_a_retry_time() {
    // Rate limits are off: this limit protects memory and CPU whatever the settings say. The server is a separate
    // process, so that its memory can be measured.
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let server = serve(&folder, &[("DATABASE_URL", &url), ("PASSWORD_HASH", "argon2id,m=19456,t=2,p=1")]);
    // Its peak so far, in MiB.
    let memory = || {
        let path = format!("/proc/{}/status", server.child.id());
        let status = std::fs::read_to_string(path).expect("Linux tells");
        let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("its peak");
        line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("KiB") / 1_024
    };
    let before = memory();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let attempts = (0..600).map(async |number| {
        let payload = json!({"username": format!("user{number}"), "password": "wrong password"});
        let answer = http.post(format!("http://{}/auth/login", server.host)).json(&payload).send().await;
        let answer = answer.expect("an answer");
        let retry_after = answer.headers().contains_key("retry-after");
        (answer.status().as_u16(), retry_after, answer.json::<Value>().await.expect("JSON"))
    });
    let (mut judged, mut sent_away) = (0, 0);
    for (status, retry_after, body) in futures_util::future::join_all(attempts).await {
        match status {
            401 => judged += 1,
            503 => {
                assert_eq!(body["code"], json!("unavailable"), "{body}");
                assert!(retry_after, "it says when to come again");
                sent_away += 1;
            }
            other => panic!("{other}: {body}"),
        }
    }
    assert!(judged >= 256 && sent_away > 0, "{judged} judged, {sent_away} sent away");
    // A hash takes 19 MiB, and at most one hash runs per core; connections and requests take the rest.
    let cores = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    let grown = memory() - before;
    assert!(grown < cores * 20 + 100, "{grown} MiB more for 600 logins at once");
    // After the burst, logins work again.
    let payload = json!({"username": "alice", "password": PASSWORD});
    for (path, expected) in [("/user", 201), ("/auth/login", 200)] {
        let answer = http.post(format!("http://{}{path}", server.host)).json(&payload).send().await;
        assert_eq!(answer.expect("an answer").status().as_u16(), expected);
    }
}
