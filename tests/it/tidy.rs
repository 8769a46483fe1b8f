//! Rules of the code base that the compiler does not check: imports point down the layers, each layer uses only the
//! crates it may, files open with their purpose and stay small, and no comment postpones work.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom up; a file may use its own layer and those below.
const LAYERS: [&[&str]; 10] = [
    &["error", "ids", "clock", "config", "random", "text"],
    &["protocol"],
    &["platform"],
    &["domain"],
    &["realtime"],
    &["transport"],
    &["backup"],
    &["app"],
    &["cli"],
    &["main", "lib"],
];

fn sources(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    found.sort();
    found
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn imports_point_down_the_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for path in sources("src") {
        let relative = path.strip_prefix(&root).expect("below src");
        let module =
            relative.components().next().expect("a part").as_os_str().to_string_lossy().replace(".rs", "");
        let own = layer_of(&module).unwrap_or_else(|| panic!("{module} is in no layer: add it to LAYERS"));
        let text = fs::read_to_string(&path).expect("text");
        for used in text.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if layer_of(&used).is_some_and(|layer| layer > own) {
                wrong.push(format!("{} uses {used}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The crates that a layer must not use, by folder.
const UNKNOWN: [(&str, &[&str]); 6] = [
    ("src/config", &["axum", "socketioxide", "entity"]),
    ("src/protocol", &["axum", "socketioxide", "entity", "sea_orm"]),
    ("src/platform", &["axum", "socketioxide"]),
    ("src/domain", &["axum", "socketioxide"]),
    ("src/realtime", &["axum", "socketioxide", "tokio_tungstenite", "entity", "sea_orm"]),
    ("src/transport", &["entity", "sea_orm"]),
];

#[test]
fn each_layer_uses_only_its_allowed_crates() {
    for (folder, unknown) in UNKNOWN {
        for path in sources(folder) {
            let mut text = fs::read_to_string(&path).expect("text");
            if folder == "src/protocol" {
                // These enums are the same types from the database to the clients.
                text = text.replace("entity::enums::", "");
            }
            for name in unknown {
                assert!(!text.contains(&format!("{name}::")), "{} uses {name}", path.display());
            }
        }
    }
}

/// The slices of the domain by rank, from the bottom up; a slice calls only slices of lower rank.
const RANKS: [&[&str]; 16] = [
    &["events", "dispatch", "audit", "photos", "mentions", "links"],
    &["epoch", "users"],
    &["mail", "message_view"],
    &["verification"],
    &["sessions"],
    &["recovery", "contacts"],
    &["chats"],
    &["attachments"],
    &["messages"],
    &["search"],
    &["presence"],
    &["profiles"],
    &["moderation"],
    &["accounts"],
    &["sync"],
    &["demo", "import"],
];

/// Returns the first name of each path in the body of `use crate::domain::{…}`, or the one of a plain path.
fn first_names(path: &str) -> Vec<String> {
    let name =
        |text: &str| text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut names, mut depth, mut current) = (Vec::new(), 0, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(std::mem::take(&mut current).trim())),
            _ if depth == 0 => current.push(c),
            _ => {}
        }
    }
    names.push(name(current.trim()));
    names
}

#[test]
fn slices_of_the_domain_call_only_slices_of_lower_rank() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain");
    let rank = |slice: &str| RANKS.iter().position(|slices| slices.contains(&slice));
    let mut wrong = Vec::new();
    for path in sources("src/domain") {
        let relative = path.strip_prefix(&root).expect("below the domain");
        let slice =
            relative.components().next().expect("a part").as_os_str().to_string_lossy().replace(".rs", "");
        if slice == "mod" {
            continue;
        }
        let own = rank(&slice).unwrap_or_else(|| panic!("{slice} has no rank: add it to RANKS"));
        let text = fs::read_to_string(&path).expect("text");
        // In a file of the domain itself, or in a slice's `mod.rs`, `super` is the domain.
        let is_top = relative.components().count() == 1 || relative.ends_with("mod.rs");
        let prefixes: &[&str] = if is_top { &["crate::domain::", "super::"] } else { &["crate::domain::"] };
        for prefix in prefixes {
            for used in text.split(prefix).skip(1).flat_map(first_names) {
                if used != slice && rank(&used).is_some_and(|rank| rank >= own) {
                    wrong.push(format!("{} uses {used}", relative.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_trait_has_several_implementations() {
    // Implemented for every command by a macro.
    const BY_MACRO: [&str; 1] = ["Command"];
    let texts: Vec<String> =
        sources("src").iter().map(|path| fs::read_to_string(path).expect("text")).collect();
    let traits = texts.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let line = line.trim_start();
        let name = line.strip_prefix("pub trait ").or_else(|| line.strip_prefix("trait "))?;
        Some(name.chars().take_while(char::is_ascii_alphanumeric).collect::<String>())
    });
    for name in traits.filter(|name| !BY_MACRO.contains(&name.as_str())) {
        let implementations = texts
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| line.trim_start().starts_with("impl") && line.contains(&format!("{name} for ")));
        assert!(implementations.count() > 1, "{name} has one implementation: use that");
    }
}

#[test]
fn files_open_with_their_purpose_and_stay_small() {
    for path in ["src", "entity/src", "migration/src", "import/src", "tests/it"].into_iter().flat_map(sources)
    {
        let text = fs::read_to_string(&path).expect("text");
        let name = path.display();
        let opens = text.starts_with("//!") || text.starts_with("#![doc");
        assert!(opens, "{name} does not open with its purpose");
        assert!(text.lines().count() <= 500, "{name} is over 500 lines");
        for later in ["TODO", "FIXME", "XXX", "HACK"] {
            let marked = text.lines().any(|line| line.contains(&format!("// {later}")));
            assert!(!marked, "{name} postpones something");
        }
    }
}

#[test]
fn status_codes_are_in_one_table() {
    for path in sources("src") {
        let name = path.display().to_string();
        let text = fs::read_to_string(&path).expect("text");
        if name.contains("/domain/") || name.contains("/platform/") || name.contains("/protocol/") {
            assert!(!text.contains("StatusCode"), "{name} knows HTTP");
        }
    }
}
