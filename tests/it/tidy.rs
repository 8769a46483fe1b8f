//! The house's own rules that a compiler does not know: imports point down the floors, files say what they
//! are for and stay small, nothing is left for later in silence.

use std::fs;
use std::path::{Path, PathBuf};

/// Floors from the ground up; a file may use its own floor and those below.
const FLOORS: [&[&str]; 8] = [
    &["error", "ids", "clock", "config", "random", "text"],
    &["protocol"],
    &["platform"],
    &["domain"],
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

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

#[test]
fn imports_point_down_the_floors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for path in sources("src") {
        let relative = path.strip_prefix(&root).expect("below src");
        let module =
            relative.components().next().expect("a part").as_os_str().to_string_lossy().replace(".rs", "");
        let own =
            floor_of(&module).unwrap_or_else(|| panic!("{module} is on no floor: say where it belongs"));
        let text = fs::read_to_string(&path).expect("text");
        for used in text.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if floor_of(&used).is_some_and(|floor| floor > own) {
                wrong.push(format!("{} uses {used}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn doors_are_unknown_below_them() {
    for path in sources("src") {
        let text = fs::read_to_string(&path).expect("text");
        let name = path.display().to_string();
        let below =
            ["/domain/", "/platform/", "/protocol/", "/config/"].iter().any(|part| name.contains(part));
        for door in ["axum", "socketioxide"] {
            assert!(!(below && text.contains(&format!("{door}::"))), "{name} knows {door}");
        }
    }
}

#[test]
fn files_say_what_they_are_for_and_stay_small() {
    for path in ["src", "entity/src", "migration/src", "tests/it"].into_iter().flat_map(sources) {
        let text = fs::read_to_string(&path).expect("text");
        let name = path.display();
        let opens = text.starts_with("//!") || text.starts_with("#![doc");
        assert!(opens, "{name} does not open with what it is for");
        assert!(text.lines().count() <= 500, "{name} is over 500 lines");
        for later in ["TODO", "FIXME", "XXX", "HACK"] {
            let marked = text.lines().any(|line| line.contains(&format!("// {later}")));
            assert!(!marked, "{name} leaves something for later");
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
