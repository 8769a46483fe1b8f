//! Rules of the code base that the compiler does not check: imports point down the layers, each layer knows only what it
//! should, files open with their purpose and stay small, and nothing is postponed in a comment.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom up; a file may use its own layer and those below.
const LAYERS: [&[&str]; 9] = [
    &["error", "ids", "clock", "config", "random", "text"],
    &["protocol"],
    &["platform"],
    &["domain"],
    &["realtime"],
    &["transport"],
    &["backup"],
    &["app"],
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

/// Which crates a layer must not know, by folder.
const UNKNOWN: [(&str, &[&str]); 6] = [
    ("src/config", &["axum", "socketioxide", "entity"]),
    ("src/protocol", &["axum", "socketioxide", "entity", "sea_orm"]),
    ("src/platform", &["axum", "socketioxide"]),
    ("src/domain", &["axum", "socketioxide"]),
    ("src/realtime", &["axum", "socketioxide", "tokio_tungstenite", "entity", "sea_orm"]),
    ("src/transport", &["entity", "sea_orm"]),
];

#[test]
fn each_layer_knows_only_the_crates_it_should() {
    for (folder, unknown) in UNKNOWN {
        for path in sources(folder) {
            let mut text = fs::read_to_string(&path).expect("text");
            if folder == "src/protocol" {
                // Closed sets are the same type from the database to the clients.
                text = text.replace("entity::enums::", "");
            }
            for name in unknown {
                assert!(!text.contains(&format!("{name}::")), "{} uses {name}", path.display());
            }
        }
    }
}

#[test]
fn files_open_with_their_purpose_and_stay_small() {
    for path in ["src", "entity/src", "migration/src", "tests/it"].into_iter().flat_map(sources) {
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
fn statuses_are_in_one_table() {
    for path in sources("src") {
        let name = path.display().to_string();
        let text = fs::read_to_string(&path).expect("text");
        if name.contains("/domain/") || name.contains("/platform/") || name.contains("/protocol/") {
            assert!(!text.contains("StatusCode"), "{name} knows HTTP");
        }
    }
}
