//! The pages that mailed links lead to, tested in a browser from the mail to the changed account.

use serde_json::{Value, json};
use tokio::process::Command;

use super::peer::{clients, install};
use super::{Peer, app, login, post, register, row};

/// Returns the path of Chromium, if it is installed; `scripts/test` installs it and sets `CHROMIUM`.
fn chromium() -> Option<String> {
    if let Ok(named) = std::env::var("CHROMIUM") {
        assert!(std::path::Path::new(&named).exists(), "CHROMIUM: {named} is missing");
        return Some(named);
    }
    let usual = "/usr/bin/chromium";
    std::path::Path::new(usual).exists().then(|| usual.to_owned())
}

async fn browse(chromium: &str, steps: Value) -> Value {
    install().await;
    let mut node = Command::new("node");
    node.arg("account_pages.mjs").arg(steps.to_string()).current_dir(clients()).env("CHROMIUM", chromium);
    let output = node.kill_on_drop(true).output().await.expect("node runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&told)
        .unwrap_or_else(|_| panic!("{told}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Returns the link in a mail, with the server's address as the test reaches it.
fn link(mail: &Value, url: &str) -> String {
    let text = mail["text"].as_str().expect("text");
    let path = text.split_once("/account/").expect("a link").1;
    let path: String = path.chars().take_while(|c| !c.is_whitespace()).collect();
    format!("{url}/account/{path}")
}

#[harness::test]
async fn mailed_links_lead_to_pages_in_the_language_of_the_browser_that_complete_the_action() {
    let Some(chromium) = chromium() else { return };
    let mut peer = Peer::start().await;
    let app = app(&peer, &[("EMAIL_VERIFICATION", "required")]).await;
    let id = register(&app, "alice", "alice@example.org").await["id"].as_i64().expect("an id");
    let verify = link(&peer.mail().await, &app.url);
    assert_eq!(post(&app, "/auth/password/forgot", None, json!({"email": "alice@example.org"})).await.0, 202);
    let reset = link(&peer.mail().await, &app.url);
    let step =
        |url: &str, locale: &str| json!({"url": url, "locale": locale, "type": "quite another secret"});
    let short = json!({"url": reset, "locale": "en-US", "type": "short"});
    let bare = format!("{}/account/reset", app.url);
    let seen = browse(
        &chromium,
        json!([
            step(&verify, "ru-RU"),
            step(&verify, "en-US"),
            short,
            step(&reset, "de-DE"),
            step(&bare, "ru-RU")
        ]),
    )
    .await;
    let said = |index: usize| {
        (seen[index]["title"].as_str().expect("a title"), seen[index]["told"].as_str().expect("text"))
    };
    assert_eq!(
        said(0),
        ("Подтверждение адреса почты", "Адрес подтверждён. Страницу можно закрыть."),
        "{seen}"
    );
    assert_eq!(said(1), ("Confirm your e-mail address", "This link is no longer valid. Request a new mail."));
    assert_eq!(said(2).1, "This password is not accepted: must have 8 to 128 characters");
    assert_eq!(said(3).0, "Set a new password");
    assert!(said(3).1.starts_with("Your password is set"), "{seen}");
    assert_eq!(said(4).1, "Ссылка неполная. Откройте её из письма ещё раз.");
    let tokens = [&verify, &reset].map(|link| link.split_once("#token=").expect("a token").1);
    for page in seen.as_array().expect("pages") {
        let before = page["before"].as_array().expect("requests");
        assert!(
            before.iter().all(|it| it.as_str().expect("text").starts_with("GET ")),
            "nothing before a click: {page}"
        );
        // The browser itself reports a refused POST on the console; nothing else may appear there.
        let words = page["words"].as_array().expect("words");
        let harmless = |it: &Value| {
            it.as_str().is_some_and(|it| it.contains("status of 422") || it.contains("status of 404"))
        };
        assert!(words.iter().all(harmless), "{page}");
        for text in page["requests"].as_array().expect("requests").iter().chain([&page["at"]]) {
            let text = text.as_str().expect("text");
            // Playwright reports the requested address with its fragment, which the browser does not send.
            let on_the_wire = text.split('#').next().expect("a part");
            assert!(!tokens.iter().any(|token| on_the_wire.contains(token)), "{text}");
        }
        assert!(!page["at"].as_str().expect("text").contains('#'), "taken out of the address: {page}");
    }
    assert!(row(&app, id).await.email_verified);
    assert_eq!(login(&app, "alice", "quite another secret").await.0, 200);
}
