//! The files of the web pages: their versions, compression and policies.

use reqwest::Response;

use crate::support::TestApp;

async fn fetch(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = app.http.get(format!("{}{path}", app.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

#[harness::test]
async fn a_page_and_its_files_are_of_one_version_and_kept_for_ever() {
    let app = TestApp::start().await;
    let page = fetch(&app, "/", &[]).await;
    let (tag, caching) = (header(&page, "etag").to_owned(), header(&page, "cache-control").to_owned());
    let policy = header(&page, "content-security-policy").to_owned();
    assert_eq!(caching, "no-cache");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "require-trusted-types-for 'script'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let html = page.text().await.expect("a page");
    assert!(!html.contains('{') || !html.contains("{version}"), "every placeholder is filled in");
    let version =
        html.split("/web/").nth(1).and_then(|it| it.split('/').next()).expect("a version").to_owned();
    let known = fetch(&app, "/", &[("if-none-match", &tag)]).await;
    assert_eq!(known.status(), 304);
    let script = format!("/web/{version}/client/mango-chat.js");
    let plain = fetch(&app, &script, &[]).await;
    assert_eq!(header(&plain, "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header(&plain, "content-type"), "text/javascript; charset=utf-8");
    assert_eq!(header(&plain, "content-encoding"), "");
    let small = fetch(&app, &script, &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(header(&small, "content-encoding"), "gzip");
    assert_ne!(header(&small, "etag"), header(&plain, "etag"), "two forms, two tags");
    let (small, plain) = (small.bytes().await.expect("a body"), plain.bytes().await.expect("a body"));
    assert!(small.len() * 2 < plain.len(), "{} of {}", small.len(), plain.len());
    for path in [
        "/web/0000000000000000/client/mango-chat.js".to_owned(),
        format!("/web/{version}/app/index.html"),
        format!("/web/{version}/app/sw.js"),
        format!("/web/{version}/../../Cargo.toml"),
        format!("/web/{version}/..%2f..%2fCargo.toml"),
        format!("/web/{version}/client/../../../Cargo.toml"),
        format!("/web/{version}/nothing.js"),
    ] {
        assert_eq!(fetch(&app, &path, &[]).await.status(), 404, "{path}");
    }
}

#[harness::test]
async fn one_chat_may_be_framed_by_listed_origins_and_the_service_worker_may_fetch() {
    let app = TestApp::with(&[
        ("CORS_ORIGINS", "https://intranet.example.org"),
        ("PUBLIC_URL", "https://chat.example.org/team"),
    ])
    .await;
    for path in ["/chat/ui", "/chat/ui/"] {
        let page = fetch(&app, path, &[]).await;
        let policy = header(&page, "content-security-policy").to_owned();
        assert!(policy.contains("frame-ancestors 'self' https://intranet.example.org"), "{path}: {policy}");
        let html = page.text().await.expect("a page");
        assert!(
            html.contains("\"/team/web/"),
            "{path}: absolute, below the path that the proxy strips: {html}"
        );
    }
    let worker = fetch(&app, "/sw.js", &[]).await;
    assert!(header(&worker, "content-security-policy").contains("connect-src 'self'"));
    assert_eq!(header(&worker, "content-type"), "text/javascript; charset=utf-8");
    let text = worker.text().await.expect("a script");
    assert!(text.contains("client/mango-chat.js") && !text.contains("{files}"), "{text}");
    let manifest = fetch(&app, "/manifest.webmanifest", &[]).await;
    assert_eq!(header(&manifest, "content-type"), "application/manifest+json");
}
