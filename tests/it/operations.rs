//! Guards over every REST operation of the OpenAPI document: a new one fails here if it answers without a token, shows a
//! stranger anything of a chat, or does not name what is wrong with its input. The table of all events and operations with
//! their tests is `docs/coverage.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mango_chat::protocol::catalogue::COMMANDS;
use mango_chat::transport::rest;
use reqwest::Method;
use serde_json::{Value, json};

use crate::attachments::png;
use crate::documents::equals_committed;
use crate::moderation::make_admin;
use crate::security_table::test_exists;
use crate::support::{TestApp, Transport};

/// Operations that need no token; the others must refuse requests without one.
const PUBLIC: [&str; 15] = [
    "POST /auth/email/verify",
    "POST /auth/login",
    "POST /auth/password/forgot",
    "POST /auth/password/reset",
    "POST /auth/refresh",
    "GET /health/live",
    "GET /health/ready",
    "GET /static/{photo}/{file}",
    "POST /user",
    "POST /user/create",
    "POST /user/login",
    "POST /user/photo_to_base64",
    "POST /user/refresh",
    // A signed URL is enough; without one, the file does not exist for a stranger.
    "GET /attachment/{id}/{name}",
    // Ends the session that its cookie names, if there is one.
    "POST /auth/logout",
];

/// An operation of the document.
struct Operation {
    method: Method,
    path: String,
    /// The names of its query parameters.
    query: Vec<String>,
    takes_json: bool,
    needs_body: bool,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn is_public(&self) -> bool {
        PUBLIC.contains(&self.name().as_str())
    }

    fn is_of_chat(&self) -> bool {
        self.path.starts_with("/chat/{id}") || self.path.starts_with("/message/{id}")
    }
}

/// Returns all operations except those of single events, which `guards` covers.
fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(rest::openapi()).expect("JSON");
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        if path.starts_with("/events/") {
            continue;
        }
        for (method, operation) in methods.as_object().expect("methods") {
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else { continue };
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let query = parameters.iter().filter(|it| it["in"] == "query");
            all.push(Operation {
                method,
                path: path.clone(),
                query: query.filter_map(|it| it["name"].as_str().map(str::to_owned)).collect(),
                takes_json: operation["requestBody"]["content"]["application/json"].is_object(),
                needs_body: operation["requestBody"]["required"] == json!(true),
            });
        }
    }
    assert!(all.len() > 60, "{}", all.len());
    all
}

#[harness::test]
async fn every_operation_requires_a_token_unless_it_is_public() {
    let app = TestApp::start().await;
    for operation in operations().into_iter().filter(|it| !it.is_public()) {
        let path = operation.path.replace("{id}", "1").replace("{invite}", "1").replace("{token}", "0123");
        let body = operation.takes_json.then(|| json!({}));
        let answer = app.raw(operation.method.clone(), &path, None, body).await;
        let name = operation.name();
        assert_eq!(answer.status(), 401, "{name}");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer", "{name}");
        let problem: Value = answer.json().await.expect("a problem");
        assert_eq!(problem["code"], json!("token_missing"), "{name}");
    }
}

#[harness::test]
async fn every_operation_on_a_chat_or_message_answers_a_stranger_with_not_found() {
    let app = TestApp::start().await;
    let (alice, _, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    let message = json!({"message": {"chat_id": chat, "content": "secret", "message_type": "text"}});
    let message = owner.call("send_message", message).await["message"]["id"].clone();
    for operation in operations().into_iter().filter(Operation::is_of_chat) {
        // The alias of Mango names a chat.
        let is_message = operation.path.starts_with("/message/{id}/");
        let id = if is_message { message.to_string() } else { chat.to_string() };
        let ask = async |id: &str| {
            let mut path = operation.path.replace("{id}", id).replace("{invite}", "1");
            if operation.query.iter().any(|it| it == "q") {
                path.push_str("?q=secret");
            }
            let url = format!("{}{path}", app.url);
            let mut request = app.http.request(operation.method.clone(), url).bearer_auth(&carol.access);
            if operation.path.ends_with("/photo") && operation.takes_json {
                request = request.json(&json!({ "photo": STANDARD.encode(png(8, 8)) }));
            } else if operation.path.ends_with("/attachment") {
                let part = reqwest::multipart::Part::bytes(b"x".to_vec()).file_name("x.txt");
                request = request.multipart(reqwest::multipart::Form::new().part("file", part));
            } else if operation.takes_json {
                request = request.json(&json!({}));
            }
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let mut body: Value = answer.json().await.expect("a problem");
            body["request_id"] = Value::Null;
            (status, body)
        };
        let there = ask(&id).await;
        assert_eq!(there.0, 404, "{}: {}", operation.name(), there.1);
        assert_eq!(there, ask("999999").await, "{} tells what exists from what does not", operation.name());
    }
    assert_eq!(app.contents(chat, &alice).await, ["secret"], "nothing has changed");
}

#[harness::test]
async fn every_operation_names_what_is_wrong_with_its_input() {
    let app = TestApp::with(&[("EMAIL_VERIFICATION", "optional")]).await;
    let alice = app.person("alice").await;
    make_admin(&app, "alice").await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    let message = json!({"message": {"chat_id": chat, "content": "x", "message_type": "text"}});
    let message = owner.call("send_message", message).await["message"]["id"].clone();
    let mut checked = 0;
    for operation in operations() {
        let id = match operation.path.as_str() {
            path if path.starts_with("/message/{id}/") => message.to_string(),
            path if path.starts_with("/chat/") => chat.to_string(),
            _ => alice.id.to_string(),
        };
        let path = operation.path.replace("{id}", &id);
        if operation.takes_json {
            let none = operation.needs_body.then_some("");
            for body in ["{", "[1]", "\"text\"", "7", "null", "\u{0}"].into_iter().chain(none) {
                let url = format!("{}{path}", app.url);
                let request = app.http.request(operation.method.clone(), url).bearer_auth(&alice.access);
                let request = request.header("content-type", "application/json").body(body);
                let answer = request.send().await.expect("an answer");
                let status = answer.status().as_u16();
                let problem: Value = answer.json().await.unwrap_or_default();
                let name = operation.name();
                assert_eq!(status, 422, "{name} {body:?}: {problem}");
                let named = problem["errors"].as_object().is_some_and(|it| !it.is_empty());
                assert!(named, "{name} {body:?}: {problem}");
            }
            checked += 1;
        }
        for parameter in &operation.query {
            let wrong = match parameter.as_str() {
                "limit" => "0",
                "cursor" | "before" | "after" | "around" | "author" | "actor" | "user" => "x",
                "date" | "from" | "to" => "soon",
                "q" | "query" => "%00",
                "state" | "sort" | "prefix" | "type" | "role" | "claimed" | "banned" | "emoji" | "kind" => {
                    "nonsense"
                }
                // Any text is a name of an action; the others belong to files.
                "action" | "thumbnail" | "expires" | "signature" | "as_file" => continue,
                other => panic!("{other} is new: say here what is wrong for it"),
            };
            let search =
                if operation.query.iter().any(|it| it == "q") && parameter != "q" { "q=a&" } else { "" };
            let search = if operation.path == "/user" && parameter != "query" { "query=a&" } else { search };
            let path = format!("{path}?{search}{parameter}={wrong}");
            let (status, problem) = app.send(Method::GET, &path, Some(&alice.access), None).await;
            assert_eq!(status, 422, "{path}: {problem}");
            assert!(problem["errors"][parameter].is_array(), "{path}: {problem}");
            checked += 1;
        }
    }
    assert!(checked > 80, "{checked}");
}

/// Returns the bodies of all tests in `tests/it` by `module::name`.
fn tests() -> BTreeMap<String, String> {
    fn walk(folder: &Path, modules: &str, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                walk(&path, &format!("{modules}{name}::"), found);
                continue;
            }
            let text = fs::read_to_string(&path).expect("text");
            for part in text.split("::test]\nasync fn ").skip(1) {
                let (title, _) = part.split_once('(').expect("a function");
                let body = part.split_once("\n}\n").map_or(part, |(body, _)| body);
                found.insert(format!("{modules}{name}::{title}"), body.to_owned());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"), "", &mut found);
    found
}

/// Operations whose tests do not spell their path.
const ELSEWHERE: [(&str, &str); 3] = [
    (
        "POST /user/login",
        "mango.test.mjs: \"registers, connects, creates a chat, sends, likes and pins without callbacks\"",
    ),
    ("GET /user/me/followers", "contacts::contacts_are_listed_in_pages_and_a_followed_user_is_notified"),
    ("GET /user/me/following", "contacts::contacts_are_listed_in_pages_and_a_followed_user_is_notified"),
];

/// Returns whether a text contains a path of this shape, in which `{…}` stands for any segment.
fn mentions(text: &str, path: &str) -> bool {
    let (first, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let ends = |sign: char| "/?\"` #".contains(sign);
    text.match_indices(&format!("/{first}")).any(|(at, found)| {
        let mut text = &text[at + found.len()..];
        for segment in rest.split('/').filter(|it| !it.is_empty()) {
            let Some(after) = text.strip_prefix('/') else { return false };
            let end = after.find(ends).unwrap_or(after.len());
            if end == 0 || (!segment.starts_with('{') && &after[..end] != segment) {
                return false;
            }
            text = &after[end..];
        }
        text.starts_with(['?', '"', '`', '{', '#', ' ']) || text.starts_with("/\"")
    })
}

/// Returns the names of the three shortest tests, which are about little else.
fn shortest(mut found: Vec<(&String, &String)>) -> String {
    found.sort_by_key(|(_, body)| body.len());
    found.iter().take(3).map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_table_of_events_and_operations_with_their_tests_is_complete() {
    const GUARDS: [&str; 3] = ["guards::", "operations::", "house_rules::a_disabled_module"];
    let tests = tests();
    let is_guard = |name: &str| GUARDS.iter().any(|it| name.starts_with(it));
    let mut table = String::from(
        "# What the tests cover\n\n\
         Generated from the catalogue of events, the OpenAPI document and the tests; \
         `UPDATE_DOCUMENTS=1 cargo test --test it -- operations::` renews it. A row without a test of its success fails.\n\n\
         Every event and every operation also passes these guards:\n\n\
         - events: `guards::every_command_answers_a_stranger_with_not_found`, \
         `guards::every_command_answers_an_invalid_payload_with_an_error_and_keeps_the_connection`;\n\
         - operations: `operations::every_operation_requires_a_token_unless_it_is_public`, \
         `operations::every_operation_on_a_chat_or_message_answers_a_stranger_with_not_found`, \
         `operations::every_operation_names_what_is_wrong_with_its_input`, and those of `/admin` \
         `moderation::roles::every_admin_path_checks_the_token_first_and_the_role_second`.\n\n\
         | event or operation | tests of its success | strangers | bad input |\n|---|---|---|---|\n",
    );
    let mut missing = Vec::new();
    for command in COMMANDS {
        let quoted = format!("\"{}\"", command.name);
        let found: Vec<(&String, &String)> =
            tests.iter().filter(|(name, body)| !is_guard(name) && body.contains(&quoted)).collect();
        if found.is_empty() {
            missing.push(command.name.to_owned());
        }
        let stranger = match crate::guards::right_payload(command.name, 1, 1, 1) {
            Some(_) => "`not_found`",
            None => "has none",
        };
        let _ = writeln!(table, "| `{}` | {} | {stranger} | guarded |", command.name, shortest(found));
    }
    for operation in operations() {
        let verb = format!("Method::{}", operation.method);
        let call = format!("{}(", operation.method.as_str().to_lowercase());
        let is_used = |body: &str| {
            mentions(body, &operation.path)
                && (operation.method == Method::GET || body.contains(&verb) || body.contains(&call))
        };
        let found: Vec<(&String, &String)> =
            tests.iter().filter(|(name, body)| !is_guard(name) && is_used(body)).collect();
        let name = operation.name();
        let elsewhere = ELSEWHERE.iter().find(|(it, _)| *it == name).map(|(_, test)| *test);
        if found.is_empty() && !elsewhere.is_some_and(test_exists) {
            missing.push(name.clone());
        }
        let stranger = match &operation {
            it if it.is_public() => "public",
            it if it.is_of_chat() => "`not_found`",
            it if it.path.starts_with("/admin") => "`forbidden`",
            _ => "own data",
        };
        let input =
            if operation.takes_json || !operation.query.is_empty() { "guarded" } else { "takes none" };
        let tests = elsewhere.map_or_else(|| shortest(found), |it| format!("`{it}`"));
        let _ = writeln!(table, "| `{name}` | {tests} | {stranger} | {input} |");
    }
    assert!(missing.is_empty(), "no test mentions {missing:#?}");
    equals_committed("docs/coverage.md", &table);
}
