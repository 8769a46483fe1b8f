//! Committed documents equal what the code says. After a change on purpose:
//! `UPDATE_DOCUMENTS=1 cargo test --test it documents`.

use std::collections::BTreeSet;
use std::path::Path;

use mango_chat::config::Settings;
use mango_chat::protocol::asyncapi;
use mango_chat::protocol::catalogue::{COMMANDS, EVENTS};
use mango_chat::transport::rest;
use serde_json::Value;

fn equals_committed(path: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        std::fs::write(&path, now).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == now, "{} is not what the code says; see the head of this file", path.display());
}

#[test]
fn the_openapi_document_is_the_committed_one() {
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
fn the_asyncapi_document_is_the_committed_one_and_names_everything() {
    let document = asyncapi::document();
    for name in COMMANDS.iter().map(|(name, _, _)| name).chain(EVENTS.iter().map(|(name, _)| name)) {
        assert!(document["components"]["messages"][name].is_object(), "{name}");
    }
    let text = serde_json::to_string_pretty(&document).expect("JSON");
    equals_committed("assets/api/asyncapi.json", &format!("{text}\n"));
    // Every reference leads somewhere.
    for reference in text.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        let pointer = reference.replace("~1", "/");
        assert!(document.pointer(&pointer).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn the_env_file_has_every_setting_with_its_default() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".env")).expect(".env");
    let written: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once('='))
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let described: Vec<(String, String)> =
        Settings::describe().into_iter().map(|it| (it.name.to_owned(), it.default)).collect();
    assert_eq!(written, described);
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), ".env sets nothing by itself");
}

#[test]
fn the_image_is_built_with_the_manifest_of_every_member() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).expect("a file");
    let manifest = read("Cargo.toml");
    let members = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let (members, _) = members.expect("a workspace has members");
    for member in members.split(',').map(|it| it.trim().trim_matches('"')) {
        // Cargo refuses a workspace of which a member is missing.
        let copied = format!("COPY {member}/Cargo.toml {member}/");
        assert!(read("Dockerfile").contains(&copied), "the Dockerfile leaves {member} out");
        let ignored = read(".dockerignore");
        let let_in =
            ignored.lines().any(|it| it == format!("!{member}") || it == format!("!{member}/Cargo.toml"));
        assert!(let_in, "{member} does not reach the builder");
    }
}

#[test]
fn the_readme_names_every_setting_and_every_event() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md");
    for setting in Settings::describe() {
        assert!(text.contains(&format!("`{}`", setting.name)), "{} is not in the README", setting.name);
    }
    for name in COMMANDS.iter().map(|(name, _, _)| name).chain(EVENTS.iter().map(|(name, _)| name)) {
        assert!(text.contains(&format!("`{name}`")), "{name} is not in the README");
    }
}
