//! Clients that hold resources because they are slow or never end.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{bare, limited};
use crate::support::TestApp;

/// Sends a beginning and then a byte every second; returns the response, and after how long the server closed.
async fn trickle(app: &TestApp, beginning: String, byte: &str) -> (String, Duration) {
    let started = Instant::now();
    let stream = TcpStream::connect(&app.host).await.expect("connects");
    let (mut from, mut to) = stream.into_split();
    to.write_all(beginning.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let feeding = async {
        loop {
            sleep(Duration::from_secs(1)).await;
            if to.write_all(byte.as_bytes()).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        // A reset ends it as well as a close.
        read = from.read_to_end(&mut answer) => drop(read),
        () = feeding => {}
        () = sleep(Duration::from_mins(1)) => panic!("it was never closed: {beginning}"),
    }
    (String::from_utf8_lossy(&answer).into_owned(), started.elapsed())
}

/// Returns the path of a new polling session.
async fn polling(app: &TestApp) -> String {
    let open = app.raw(Method::GET, "/socket.io/?EIO=4&transport=polling", None, None).await;
    let open = open.text().await.expect("text");
    let open: Value = serde_json::from_str(open.trim_start_matches('0')).expect("JSON");
    format!("/socket.io/?EIO=4&transport=polling&sid={}", open["sid"].as_str().expect("a sid"))
}

#[harness::test]
async fn connections_that_send_headers_slowly_are_closed_and_do_not_delay_others() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let slow = join_all((0..50).map(|number| {
        let beginning = match number % 3 {
            0 => String::new(),
            1 => "GET /health/live HTTP/1.1\r\nhost: x\r\nx-a: ".to_owned(),
            _ => "POST /user HT".to_owned(),
        };
        trickle(&app, beginning, "a")
    }));
    let others = async {
        for _ in 0..20 {
            let asked = Instant::now();
            app.get("/user/me", &alice).await;
            assert!(asked.elapsed() < Duration::from_secs(3), "served after {:?}", asked.elapsed());
            sleep(Duration::from_millis(400)).await;
        }
    };
    let (ends, ()) = tokio::join!(slow, others);
    for (answer, after) in ends {
        assert!((8..14).contains(&after.as_secs()), "closed after {after:?}: {answer}");
    }
}

#[harness::test]
async fn idle_connections_stay_open_and_incomplete_requests_time_out() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(&app.host).await.expect("connects");
    let request = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut answer = vec![0; 4_096];
    for pause in [0, 1, 12] {
        sleep(Duration::from_secs(pause)).await;
        stream.write_all(request).await.expect("sent");
        let length = stream.read(&mut answer).await.expect("answered");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "after {pause} s");
    }
    stream.write_all(&request[..20]).await.expect("sent");
    let begun = Instant::now();
    let end = timeout(Duration::from_secs(20), stream.read(&mut answer)).await.expect("it ends");
    assert!(end.is_err() || end.is_ok_and(|length| length == 0), "closed without an answer");
    assert!((8..14).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[harness::test]
async fn incomplete_request_bodies_time_out_with_a_response() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let form = "multipart/form-data; boundary=b";
    let part = "--b\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n";
    let json = "application/json";
    let mut tries = Vec::new();
    for (method, path, kind, begin) in [
        ("POST", "/user", json, "{"),
        ("POST", "/auth/login", json, "{"),
        ("POST", "/auth/login", "application/x-www-form-urlencoded", "username=a"),
        ("POST", "/auth/login", form, "--b\r\ncontent-disposition: form-data; name=\"username\"\r\n\r\n"),
        ("POST", "/auth/refresh", json, "{"),
        ("POST", "/user/photo_to_base64", form, part),
        ("PUT", "/user/me/photo", form, part),
        ("PUT", "/user/me/photo", json, "{"),
        ("PATCH", "/user/me", json, "{"),
        ("POST", "/events/sync", json, "{"),
        ("POST", "polling", "text/plain", "4"),
    ] {
        for length in ["content-length: 5000\r\n", "transfer-encoding: chunked\r\n"] {
            let (begin, byte) = if length.starts_with("transfer") {
                (format!("{:x}\r\n{begin}\r\n", begin.len()), "1\r\na\r\n")
            } else {
                (begin.to_owned(), "a")
            };
            let path = if path == "polling" { polling(&app).await } else { path.to_owned() };
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: {kind}\r\n{length}\r\n{begin}",
                alice.access
            );
            tries.push((head.clone(), trickle(&app, head, byte)));
        }
    }
    let (heads, tries): (Vec<_>, Vec<_>) = tries.into_iter().unzip();
    for (head, (answer, after)) in heads.iter().zip(join_all(tries).await) {
        assert!(after < Duration::from_secs(40), "after {after:?}: {head}");
        assert!(answer.starts_with("HTTP/1.1 408"), "{head}\n{answer}");
        assert!(answer.contains("\"code\":\"request_timeout\""), "{head}\n{answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{head}\n{answer}");
    }
}

/// Sends a head and an endless body until the server closes the connection; returns the response.
async fn flood(host: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(host).await.expect("connects");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let (mut from, mut to) = stream.split();
    let writing = async {
        let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
        let mut sent: usize = 0;
        while to.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
            assert!(sent < 64 * 1_024 * 1_024, "it is taken without end: {head}");
            tokio::task::yield_now().await;
        }
    };
    let mut answer = Vec::new();
    let reading = async {
        let mut some = [0; 4_096];
        while let Ok(length @ 1..) = from.read(&mut some).await {
            answer.extend_from_slice(&some[..length]);
        }
    };
    timeout(Duration::from_secs(20), async { tokio::join!(writing, reading) }).await.expect("it is cut off");
    String::from_utf8_lossy(&answer).into_owned()
}

#[harness::test]
async fn endless_request_bodies_are_cut_off() {
    let app = TestApp::with(&[("MAX_PHOTO_BYTES", "100000"), ("MAX_FRAME_BYTES", "50000")]).await;
    let alice = app.person("alice").await;
    let polling = polling(&app).await;
    let form = "multipart/form-data; boundary=b";
    let part = "--b\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n";
    for (method, path, kind, begin, expected) in [
        ("POST", "/user", "application/json", "{", "413"),
        ("POST", "/auth/login", "application/json", "{", "413"),
        (
            "POST",
            "/auth/login",
            form,
            "--b\r\ncontent-disposition: form-data; name=\"username\"\r\n\r\n",
            "413",
        ),
        ("POST", "/auth/refresh", "application/json", "{", "413"),
        ("POST", "/user/photo_to_base64", form, part, "413"),
        ("PUT", "/user/me/photo", form, part, "413"),
        ("PATCH", "/user/me", "application/json", "{", "413"),
        ("POST", "/events/sync", "application/json", "{", "413"),
        ("POST", polling.as_str(), "text/plain", "4", "413"),
        // The server does not read these bodies.
        ("POST", "/auth/logout", "application/json", "{", "204"),
        ("DELETE", "/auth/session/999", "application/json", "{", "401"),
        ("GET", "/health/live", "application/json", "{", "200"),
        ("POST", "/nowhere", "application/json", "{", "404"),
        ("POST", "/health/live", "application/json", "{", "405"),
    ] {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: {kind}\r\n\
             transfer-encoding: chunked\r\n\r\n{:x}\r\n{begin}\r\n",
            alice.access,
            begin.len(),
        );
        // The connection reset may discard the response because the client never stops writing, so retry.
        let mut answer = String::new();
        for _ in 0..20 {
            answer = flood(&app.host, &head).await;
            if !answer.is_empty() {
                break;
            }
        }
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{method} {path}: {answer}");
    }
    app.login("alice").await;
}

#[harness::test]
async fn too_large_request_bodies_are_rejected_on_every_path() {
    let app = TestApp::with(&[("MAX_PHOTO_BYTES", "100000"), ("MAX_FRAME_BYTES", "50000")]).await;
    let alice = app.person("alice").await;
    let polling = polling(&app).await;
    for (method, path, kind, bytes) in [
        (Method::POST, "/user", "application/json", 300_000),
        (Method::POST, "/auth/login", "application/json", 300_000),
        (Method::POST, "/auth/login", "application/x-www-form-urlencoded", 300_000),
        (Method::POST, "/auth/refresh", "application/json", 300_000),
        (Method::PATCH, "/user/me", "application/json", 300_000),
        (Method::PUT, "/user/me/photo", "application/json", 300_000),
        (Method::POST, "/events/sync", "application/json", 300_000),
        (Method::POST, polling.as_str(), "text/plain", 60_000),
    ] {
        let answer = app
            .http
            .request(method, format!("{}{path}", app.url))
            .bearer_auth(&alice.access)
            .header("content-type", kind)
            .body("4".repeat(bytes))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), 413, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        let problem: Value = answer.json().await.expect("a problem");
        assert_eq!(problem["code"], json!("too_large"), "{path}: {problem}");
    }
}

#[harness::test]
async fn the_size_of_request_headers_is_limited() {
    let app = TestApp::start().await;
    let huge = format!("GET /health/live HTTP/1.1\r\nhost: x\r\nx-huge: {}\r\n\r\n", "a".repeat(200_000));
    let mut answers = Vec::new();
    // Data after the limit may reset the connection before the response is read, so retry.
    while answers.len() < 20 && answers.iter().all(String::is_empty) {
        let mut stream = TcpStream::connect(&app.host).await.expect("connects");
        drop(stream.write_all(huge.as_bytes()).await);
        let mut answer = Vec::new();
        drop(timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("it ends"));
        answers.push(String::from_utf8_lossy(&answer).into_owned());
    }
    assert!(answers.last().is_some_and(|it| it.starts_with("HTTP/1.1 431")), "{answers:?}");
    let many = "x-a: a\r\n".repeat(200);
    let answer = bare(&app, &format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[harness::test]
async fn one_address_cannot_use_up_the_concurrency_limit_for_large_bodies() {
    let app = limited(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let head = |address: &str, path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {address}\r\ncontent-type: application/json\r\n\
             content-length: 1000000\r\n\r\n{}",
            "x".repeat(400_000)
        )
    };
    // Four requests occupy all places and stall; the fifth is rejected.
    let mut holding = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(&app.host).await.expect("connects");
        stream.write_all(head("198.51.100.1", "/user").as_bytes()).await.expect("sent");
        holding.push(stream);
    }
    let places = &app.server.context.rates.large_bodies;
    crate::support::eventually("four have their turn", async || places.total() == 4).await;
    let large = |address: &str| {
        let photo = "A".repeat(400_000);
        let payload = json!({"username": "alice", "password": crate::support::PASSWORD, "photo": photo});
        app.http.post(format!("{}/user", app.url)).header("x-forwarded-for", address).json(&payload).send()
    };
    let refused = large("198.51.100.1").await.expect("an answer");
    assert_eq!(refused.status().as_u16(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    let elsewhere = large("192.0.2.1").await.expect("an answer");
    assert_eq!(elsewhere.status().as_u16(), 422, "read, and found to be no picture");
    drop(holding);
    crate::support::eventually("nobody has a turn", async || places.total() == 0).await;
}
