//! Small promises of `docs/security.md` that no other module shows: flags of cookies on https, pages without
//! an opener, methods that nothing uses.

use reqwest::Method;
use serde_json::json;

use crate::support::{PASSWORD, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_are_secure_on_https() {
    let app = TestApp::with(&[("PUBLIC_URL", "https://chat.example.org")]).await;
    app.person("alice").await;
    let wish = json!({"username": "alice", "password": PASSWORD});
    let login = app.raw(Method::POST, "/auth/login", None, Some(wish)).await;
    assert_eq!(login.status(), 200);
    let logout = app.raw(Method::POST, "/auth/logout", None, None).await;
    for answer in [login, logout] {
        let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies.len(), 3, "{cookies:?}");
        for cookie in cookies {
            let cookie = cookie.to_str().expect("text");
            let flags: Vec<&str> = cookie.split("; ").collect();
            for flag in ["Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(flags.contains(&flag), "{flag} in {cookie}");
            }
            assert!(!cookie.contains("Domain"), "for this host only: {cookie}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_have_no_opener_and_unused_methods_are_refused() {
    let app = TestApp::start().await;
    let page = app.raw(Method::GET, "/docs/", None, None).await;
    assert_eq!(page.headers()["cross-origin-opener-policy"], "same-origin");
    let alice = app.person("alice").await;
    for (method, path) in [
        (Method::TRACE, "/user/me"),
        (Method::TRACE, "/health/live"),
        (Method::DELETE, "/auth/login"),
        (Method::PUT, "/chat"),
        (Method::from_bytes(b"PROPFIND").expect("a method"), "/chat"),
    ] {
        let answer = app.raw(method.clone(), path, Some(&alice.access), None).await;
        assert_eq!(answer.status(), 405, "{method} {path}");
        let text = answer.text().await.expect("text");
        assert!(!text.contains(&alice.access), "nothing of the request is sent back: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_front_page_leads_to_this_host_only() {
    let app = TestApp::start().await;
    let client =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    for path in ["/", "/?next=https://evil.example.org", "//evil.example.org/", "/%2f%2fevil.example.org"] {
        let request = client.get(format!("{}{path}", app.url)).header("x-forwarded-host", "evil.example.org");
        let answer = request.send().await.expect("an answer");
        let leads = answer.headers().get("location").map(|it| it.to_str().expect("text"));
        assert!(matches!(leads, None | Some("/docs/")), "{path} leads to {leads:?}");
    }
}
