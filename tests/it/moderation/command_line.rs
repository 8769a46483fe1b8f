//! `mango-chat admin`, run beside a server: the only way to create the first admin.

use std::io::Write;
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::json;

use crate::support::{Person, TestApp, fresh_database};

const BINARY: &str = env!("CARGO_BIN_EXE_mango-chat");

/// Runs `mango-chat admin …` on a database; returns the exit code, stdout and stderr.
fn admin(database: &str, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(BINARY)
        .current_dir(folder.path())
        .env_clear()
        .env("MANGO_ENV", "test")
        .env("DATABASE_URL", database)
        .env("PASSWORD_HASH", "argon2id,m=64,t=1,p=1")
        .arg("admin")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    // The program may end without reading its input.
    drop(child.stdin.take().expect("stdin").write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn login(app: &TestApp, username: &str, password: &str) -> Option<Person> {
    let payload = json!({"username": username, "password": password});
    let (_, tokens) = app.send(Method::POST, "/auth/login", None, Some(payload)).await;
    let access = tokens["access_token"].as_str()?.to_owned();
    let (_, me) = app.send(Method::GET, "/user/me", Some(&access), None).await;
    Some(Person { id: me["id"].as_i64()?, access, refresh: String::new() })
}

#[harness::test]
async fn an_admin_can_be_created_while_the_server_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let app = TestApp::on(folder, &url, &[]).await;
    let run = |arguments: &'static [&'static str], input: &'static str| {
        let url = url.clone();
        async move { tokio::task::spawn_blocking(move || admin(&url, arguments, input)).await.expect("ends") }
    };
    // A generated password.
    let (code, said, complained) = run(&["create", "--username", "root"], "").await;
    assert_eq!(code, Some(0), "{complained}");
    let password = said.lines().find_map(|line| line.strip_prefix("password: ")).expect("a password");
    let root = login(&app, "root", password).await.expect("logs in");
    let audit = app.get("/admin/audit", &root).await;
    assert_eq!((&audit[0]["action"], &audit[0]["actor_id"]), (&json!("admin.create"), &json!(null)));
    assert_eq!(audit[0]["details"], json!({"from": "user", "to": "admin", "created": true}));
    // A given password, and an address that counts as confirmed.
    let given = &["create", "--username", "ops", "--email", "ops@example.org", "--password-stdin"];
    let (code, said, complained) = run(given, "a good password\n").await;
    assert_eq!(code, Some(0), "{complained}");
    assert!(!said.contains("password"), "{said}");
    let ops = login(&app, "ops", "a good password").await.expect("logs in");
    assert_eq!(app.get("/user/me", &ops).await["email_verified"], json!(true));
    app.get("/admin/statistics", &ops).await;
    // An existing account, whose valid token gains the role at once.
    let alice = app.person("alice").await;
    let (code, _, complained) = run(&["create", "--username", "alice"], "").await;
    assert_eq!(code, Some(2));
    assert!(complained.contains("--promote") && complained.lines().count() == 1, "{complained}");
    let (status, _) = app.send(Method::GET, "/admin/audit", Some(&alice.access), None).await;
    assert_eq!(status, 403, "a refusal does nothing");
    let (code, _, complained) = run(&["create", "--username", "Alice", "--promote"], "").await;
    assert_eq!(code, Some(0), "{complained}");
    app.get("/admin/audit", &alice).await;
    let (_, listed, _) = run(&["list"], "").await;
    for name in ["admin root", "admin ops", "admin alice"] {
        assert!(listed.contains(name), "{listed}");
    }
}

#[harness::test]
async fn command_line_errors_are_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let app = TestApp::on(folder, &url, &[]).await;
    for (arguments, input, word) in [
        (&["create", "--username", "x"] as &[&str], "", "username"),
        (&["create", "--username", "root", "--email", "nonsense"], "", "email"),
        (&["create", "--username", "root", "--password-stdin"], "short\n", "password"),
        (&["create", "--username", "root", "--password-stdin"], "", "password"),
        (&["create", "--username", "nobody", "--promote"], "", "no such account"),
    ] {
        let (code, _, complained) = admin(&url, arguments, input);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(complained.contains(word) && complained.lines().count() == 1, "{complained}");
    }
    let (code, said, _) = admin(&url, &["list"], "");
    assert_eq!((code, said.as_str()), (Some(0), ""), "nobody was made");
    assert!(login(&app, "root", "short").await.is_none());
}
