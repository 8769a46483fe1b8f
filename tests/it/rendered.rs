//! The content of messages as HTML: who gets it, how it is cached, and that it is not a page of this origin.

use serde_json::json;

use crate::support::{Person, TestApp, Transport};

#[harness::test]
async fn a_message_is_rendered_as_html_that_is_safe_to_insert() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let content = "**bold** [x](javascript:alert(1)) <script>alert(1)</script>";
    let message = json!({"chat_id": chat, "content": content, "message_type": "markdown"});
    let id = owner.call("send_message", json!({ "message": message })).await["message"]["id"].clone();
    let fetch = async |person: &Person, tag: &str| {
        let request = app.http.get(format!("{}/message/{id}/rendered", app.url)).bearer_auth(&person.access);
        request.header("if-none-match", tag).send().await.expect("an answer")
    };
    let answer = fetch(&bob, "").await;
    let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("content-security-policy"), "sandbox; default-src 'none'");
    let tag = header("etag");
    let html = answer.text().await.expect("text");
    assert!(html.starts_with("<p><strong>bold</strong> <a ") && html.contains("&lt;script&gt;"), "{html}");
    assert!(!html.contains("javascript:"), "{html}");
    assert_eq!(fetch(&bob, &tag).await.status(), 304);
    assert_eq!(fetch(&carol, "").await.status(), 404, "for members alone");
    owner.call("edit_message", json!({"message": {"id": id, "content": "*new*"}})).await;
    assert_eq!(fetch(&bob, &tag).await.text().await.expect("text"), "<p><em>new</em></p>\n");
    owner.call("delete_message", json!({"message": {"id": id}})).await;
    assert_eq!(fetch(&bob, &tag).await.text().await.expect("text"), "");
}
