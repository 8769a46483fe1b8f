//! The documentation stays up to date: quoted code equals the source, generated tables equal the code, every link has a
//! target, and every page is in the index. To update after an intended change:
//! `UPDATE_DOCUMENTS=1 cargo test --test it docs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mango_chat::config::Settings;
use mango_chat::error::Code;
use mango_chat::protocol::catalogue::{COMMANDS, EVENTS};
use mango_chat::transport::http::problem::{Kind, kind};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the paths of all documents, relative to the root.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "bench/README.md"]
            .map(str::to_owned)
            .to_vec();
    for folder in ["docs", "docs/decisions"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            if Path::new(&name).extension().is_some_and(|it| it == "md") {
                pages.push(format!("{folder}/{name}"));
            }
        }
    }
    pages.sort();
    pages
}

/// Compares the text between `<!-- generated: NAME -->` and `<!-- end -->` with `content`, or replaces it.
fn generated(page: &str, name: &str, content: &str) {
    let text = read(page);
    let (start, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
    let (before, rest) = text.split_once(&start).unwrap_or_else(|| panic!("{page} has no place for {name}"));
    let (_, after) = rest.split_once(end).expect("an end");
    let now = format!("{before}{start}{content}{end}{after}");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(root().join(page), &now).expect("written");
        return;
    }
    assert!(text == now, "{name} in {page} is not what the code says; see the head of this file");
}

#[test]
fn the_table_of_settings_equals_the_code() {
    let rows = Settings::describe().into_iter().map(|setting| {
        // A default that depends on another setting is in brackets at the end of the meaning.
        let (meaning, depends) = match setting.meaning.strip_suffix(']').and_then(|it| it.rsplit_once(" [")) {
            Some((meaning, default)) if setting.default.is_empty() => (meaning, default.to_owned()),
            _ => (setting.meaning, String::new()),
        };
        let default = match (setting.default.as_str(), depends.as_str()) {
            ("", "") => "not set".to_owned(),
            ("", depends) => depends.to_owned(),
            (default, _) => format!("`{default}`"),
        };
        format!("| `{}` | {default} | {} |\n", setting.name, meaning.replace('|', "\\|"))
    });
    let table = format!("| setting | default | meaning |\n|---|---|---|\n{}", rows.collect::<String>());
    generated("docs/configuration.md", "settings", &table);
}

#[test]
fn the_table_of_error_codes_equals_the_code() {
    let rows = Code::ALL.into_iter().map(|code| {
        let Kind { status, about, .. } = kind(code);
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        format!("| `{}` | {} | {about} |\n", code.as_str(), status.as_u16())
    });
    let table = format!("| code | status | meaning |\n|---|---|---|\n{}", rows.collect::<String>());
    generated("docs/api.md", "error codes", &table);
}

#[test]
fn every_command_and_event_is_described() {
    let text = read("docs/events.md");
    for name in COMMANDS.iter().map(|it| &it.name).chain(EVENTS.iter().map(|(name, _)| name)) {
        assert!(text.contains(&format!("`{name}`")), "docs/events.md does not describe {name}");
    }
}

/// Returns the lines from the first that begins with `from` to the next that ends with `to` and is not indented deeper.
fn quoted(file: &str, from: &str, to: &str) -> String {
    let text = read(file);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| line.trim_start().starts_with(from));
    let first = first.unwrap_or_else(|| panic!("{file} has no line that begins with {from}"));
    let indent = lines[first].len() - lines[first].trim_start().len();
    let is_last = |line: &&str| match to {
        "}" => **line == format!("{}}}", " ".repeat(indent)),
        to => line.ends_with(to),
    };
    let length = lines[first..].iter().position(is_last).expect("an end");
    let dedented = lines[first..=first + length].iter().map(|line| line.get(indent..).unwrap_or_default());
    dedented.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn quoted_code_equals_the_source() {
    let page = "docs/adding-an-event.md";
    let text = read(page);
    let mut now = String::new();
    let mut rest = text.as_str();
    let mut count = 0;
    while let Some((before, after)) = rest.split_once("<!-- quote ") {
        let (spec, after) = after.split_once(" -->\n```rust\n").expect("a block after the quote");
        let (_, after) = after.split_once("```").expect("the end of the block");
        let (file, range) = spec.split_once(" from \"").expect("where it begins");
        let (from, to) = range.rsplit_once("\" to \"").expect("where it ends");
        let code = quoted(file, from, to.trim_end_matches('"'));
        now.extend([before, "<!-- quote ", spec, " -->\n```rust\n", &code, "```"]);
        rest = after;
        count += 1;
    }
    now.push_str(rest);
    assert!(count >= 9, "the guide quotes {count} pieces of code");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(root().join(page), &now).expect("written");
        return;
    }
    assert!(text == now, "{page} quotes other code than there is; see the head of this file");
}

/// Returns the anchor of a heading as used in links.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_code = false;
    let headings = text.lines().filter(|line| {
        in_code ^= line.trim_start().starts_with("```");
        !in_code && line.starts_with('#')
    });
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

/// Returns the targets of a page's links, except those in code.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        found.extend(prose.split("](").skip(1).filter_map(|it| Some(it.split_once(')')?.0.to_owned())));
    }
    found
}

#[test]
fn every_link_has_a_target() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = read(&page);
        let folder = Path::new(&page).parent().expect("a folder").to_owned();
        for link in links(&text).into_iter().filter(|it| !it.contains("://") && !it.starts_with("mailto:")) {
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { root().join(&page) } else { root().join(&folder).join(path) };
            let known = target.exists()
                && (heading.is_empty()
                    || fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(heading)));
            if !known {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_index_lists_every_page_and_the_readme_stays_short() {
    let index = read("docs/README.md");
    for page in pages().iter().filter_map(|it| it.strip_prefix("docs/")) {
        if page != "README.md" && !page.starts_with("decisions/0") {
            assert!(index.contains(&format!("({page})")), "docs/README.md does not list {page}");
        }
    }
    let decisions = read("docs/decisions/README.md");
    for page in pages().iter().filter_map(|it| it.strip_prefix("docs/decisions/0")) {
        assert!(decisions.contains(&format!("(0{page})")), "docs/decisions/README.md does not list 0{page}");
    }
    assert!(read("README.md").lines().count() <= 150, "the README is for the first five minutes");
}
