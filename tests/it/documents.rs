//! Committed documents equal what the code generates. To update after an intended change:
//! `UPDATE_DOCUMENTS=1 cargo test --test it documents`.

use std::collections::BTreeSet;
use std::path::Path;

use mango_chat::config::Settings;
use mango_chat::protocol::asyncapi;
use mango_chat::protocol::catalogue::{COMMANDS, EVENTS};
use mango_chat::transport::rest;
use serde_json::{Value, json};

/// Checks a committed file against what the code generates, or renews it.
pub fn equals_committed(path: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        std::fs::write(&path, now).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == now, "{} is not what the code says; see the head of this file", path.display());
}

#[test]
fn the_openapi_document_equals_the_committed_one() {
    let document = rest::openapi().to_pretty_json().expect("JSON");
    equals_committed("assets/api/openapi.json", &format!("{document}\n"));
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let operations = document["paths"].as_object().into_iter().flat_map(|paths| paths.values());
    let methods = operations.filter_map(Value::as_object).flat_map(|methods| methods.values());
    let mut names = BTreeSet::new();
    for name in methods.filter_map(|it| it["operationId"].as_str()) {
        assert!(names.insert(name.to_owned()), "generated clients would have two functions {name}");
    }
    assert!(names.len() > 50, "{names:?}");
}

#[test]
fn the_postman_collection_equals_the_committed_one() {
    let openapi = serde_json::to_value(rest::openapi()).expect("JSON");
    let collection =
        serde_json::to_string_pretty(&rest::postman_collection(&openapi, "http://localhost:5000"))
            .expect("JSON");
    equals_committed("assets/api/postman.json", &format!("{collection}\n"));
}

#[test]
fn the_asyncapi_document_equals_the_committed_one_and_is_complete() {
    let document = asyncapi::document();
    let messages = &document["components"]["messages"];
    for name in COMMANDS.iter().map(|it| it.name) {
        assert!(messages[name]["x-ack"].is_object(), "{name}");
    }
    for (name, _) in EVENTS {
        let told = [&messages[name], &messages[format!("{name}_event")]];
        assert!(told.iter().any(|it| it.is_object() && it["x-ack"].is_null()), "{name}");
    }
    let text = serde_json::to_string_pretty(&document).expect("JSON");
    equals_committed("assets/api/asyncapi.json", &format!("{text}\n"));
    // Every reference has a target.
    for reference in text.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        let pointer = reference.replace("~1", "/");
        assert!(document.pointer(&pointer).is_some(), "{reference} leads nowhere");
    }
}

/// Finds schemas that declare an object without its content, or declare nothing at all.
fn hollow(schema: &Value, at: &str, found: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            let says = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
            let is_bare =
                fields.get("type").is_some_and(|it| it == "object" || it == &json!(["object", "null"]))
                    && !says(&["properties", "additionalProperties", "allOf", "oneOf", "anyOf"]);
            if is_bare || fields.is_empty() {
                found.push(at.to_owned());
            }
            for (name, inner) in fields {
                // The values of these keys are not schemas.
                let is_other =
                    matches!(name.as_str(), "example" | "examples" | "default" | "enum" | "security");
                // A map of arbitrary values is declared like this.
                let is_free = name == "additionalProperties" && inner == &json!({});
                if !is_other && !is_free {
                    hollow(inner, &format!("{at}/{name}"), found);
                }
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                hollow(item, &format!("{at}/{number}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_schema_declares_its_content() {
    let openapi = serde_json::to_value(rest::openapi()).expect("JSON");
    let mut found = Vec::new();
    hollow(&asyncapi::document(), "asyncapi", &mut found);
    hollow(&openapi["paths"], "paths", &mut found);
    hollow(&openapi["components"]["schemas"], "schemas", &mut found);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_client_event_is_an_operation_with_its_own_request_and_response() {
    let openapi = serde_json::to_value(rest::openapi()).expect("JSON");
    let document = asyncapi::document();
    for name in COMMANDS.iter().map(|it| it.name) {
        let operation = &openapi["paths"][format!("/events/{name}")]["post"];
        let answers = &document["components"]["messages"][name];
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(body, &answers["payload"], "{name}");
        let answer = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(answer, &answers["x-ack"]["oneOf"][0], "{name}");
    }
    let (ours, theirs) = (&openapi["components"]["schemas"], &document["components"]["schemas"]);
    for (name, schema) in theirs.as_object().expect("schemas") {
        assert!(
            ours[name].is_null() || &ours[name] == schema,
            "{name} is two different things in the documents"
        );
    }
    let message = &ours["OutgoingMessage"]["properties"];
    assert_eq!(message["content"]["type"], json!("string"), "the envelope has its content's schema");
}

#[test]
fn the_env_file_lists_every_setting_with_its_default() {
    let head = "# Every setting with its meaning and default, in the order of `mango-chat serve --help`.\n\
        # Nothing has to be set: remove the `#` from a line to change it. The server reads `.env` and then `.env.$MANGO_ENV`\n\
        # from the folder it is started in; the later file takes precedence, and the environment over both.\n\
        # Keep secrets out of this file: put them into the environment, or into a file that is not committed.\n";
    let lines = Settings::describe()
        .into_iter()
        .map(|it| format!("\n# {}\n# {}={}\n", it.meaning, it.name, it.default));
    equals_committed(".env", &format!("{head}{}", lines.collect::<String>()));
}

#[test]
fn the_image_is_built_with_the_manifest_of_every_workspace_member() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).expect("a file");
    let manifest = read("Cargo.toml");
    let members = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let (members, _) = members.expect("a workspace has members");
    for member in members.split(',').map(|it| it.trim().trim_matches('"')) {
        // Cargo refuses a workspace with a missing member.
        let copied = format!("COPY {member}/Cargo.toml {member}/");
        assert!(read("Dockerfile").contains(&copied), "the Dockerfile leaves {member} out");
        let ignored = read(".dockerignore");
        let let_in =
            ignored.lines().any(|it| it == format!("!{member}") || it == format!("!{member}/Cargo.toml"));
        assert!(let_in, "{member} does not reach the builder");
    }
}
