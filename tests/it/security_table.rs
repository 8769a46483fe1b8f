//! Keeps `docs/security.md` up to date: every test and module that it names exists, every requirement of levels 1 and 2
//! is in a table or has a reason why not, and the section on unmet requirements lists all of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every section of ASVS 5.0.0 except V10 and V17, with the level of each of its requirements in order.
const SECTIONS: [(&str, &str); 70] = [
    ("1.1", "22"),
    ("1.2", "1111122223"),
    ("1.3", "112222222223"),
    ("1.4", "222"),
    ("1.5", "123"),
    ("2.1", "122"),
    ("2.2", "112"),
    ("2.3", "12223"),
    ("2.4", "23"),
    ("3.1", "3"),
    ("3.2", "113"),
    ("3.3", "12223"),
    ("3.4", "11222233"),
    ("3.5", "11122333"),
    ("3.6", "3"),
    ("3.7", "22333"),
    ("4.1", "12233"),
    ("4.2", "23333"),
    ("4.3", "22"),
    ("4.4", "1222"),
    ("5.1", "2"),
    ("5.2", "112333"),
    ("5.3", "113"),
    ("5.4", "222"),
    ("6.1", "122"),
    ("6.2", "111111112222"),
    ("6.3", "11223333"),
    ("6.4", "112233"),
    ("6.5", "22222333"),
    ("6.6", "2223"),
    ("6.7", "33"),
    ("6.8", "2222"),
    ("7.1", "222"),
    ("7.2", "1111"),
    ("7.3", "22"),
    ("7.4", "11222"),
    ("7.5", "223"),
    ("7.6", "22"),
    ("8.1", "1233"),
    ("8.2", "1123"),
    ("8.3", "133"),
    ("8.4", "23"),
    ("9.1", "111"),
    ("9.2", "1222"),
    ("11.1", "2233"),
    ("11.2", "22233"),
    ("11.3", "11233"),
    ("11.4", "1222"),
    ("11.5", "23"),
    ("11.6", "23"),
    ("11.7", "33"),
    ("12.1", "12233"),
    ("12.2", "11"),
    ("12.3", "22223"),
    ("13.1", "2333"),
    ("13.2", "222223"),
    ("13.3", "2233"),
    ("13.4", "1222233"),
    ("14.1", "22"),
    ("14.2", "12223333"),
    ("14.3", "122"),
    ("15.1", "12233"),
    ("15.2", "12233"),
    ("15.3", "1222222"),
    ("15.4", "3333"),
    ("16.1", "2"),
    ("16.2", "22222"),
    ("16.3", "2222"),
    ("16.4", "222"),
    ("16.5", "2223"),
];

/// What the last column of a row may begin with if it names no test.
const REASONS: [&str; 4] = ["by reading", "this document", "operator", "not met"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    fs::read_to_string(root().join("docs/security.md")).expect("docs/security.md")
}

/// Returns the cells of every table row with `columns` columns.
fn rows(text: &str, columns: usize) -> Vec<Vec<String>> {
    text.lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim().trim_matches('|').split(" | ").map(|it| it.trim().to_owned()).collect())
        .filter(|cells: &Vec<String>| cells.len() == columns)
        .collect()
}

/// A row about one requirement.
struct Row {
    id: String,
    level: char,
    done: String,
    shown: String,
}

fn requirements(text: &str) -> Vec<Row> {
    let row = |cells: Vec<String>| {
        let (id, level) = cells[0].split_once(" (")?;
        let level = level.chars().next()?;
        numbers(id).any(|number| number == id).then_some(())?;
        Some(Row { id: id.to_owned(), level, done: cells[2].clone(), shown: cells[3].clone() })
    };
    rows(text, 4).into_iter().filter_map(row).collect()
}

/// Returns the texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Returns the numbers such as 6.2.1 in a text.
fn numbers(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    words.map(|word| word.trim_matches('.').to_owned()).filter(|word| word.matches('.').count() == 2)
}

/// Returns the files in the tests and the sources that a module path may refer to.
fn files(modules: &[&str]) -> Vec<PathBuf> {
    let path = modules.join("/");
    let below = ["tests/it", "src"].map(|folder| root().join(folder));
    let all = below
        .iter()
        .flat_map(|folder| [folder.join(format!("{path}.rs")), folder.join(format!("{path}/mod.rs"))]);
    all.filter(|file| file.is_file()).collect()
}

/// Returns whether a test exists: `module::name`, or `file: "title"` of `tests/clients`.
pub fn test_exists(name: &str) -> bool {
    if let Some((file, title)) = name.split_once(": \"") {
        let text = fs::read_to_string(root().join("tests/clients").join(file)).unwrap_or_default();
        return text.replace("\\'", "'").contains(title.trim_end_matches('"'));
    }
    let parts: Vec<&str> = name.split("::").collect();
    let Some((function, modules)) = parts.split_last() else { return false };
    files(modules).iter().any(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.contains(&format!("fn {function}("))
    })
}

/// Returns whether a name in a cell looks like a test.
fn is_test(name: &str) -> bool {
    let is_path =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte));
    name.contains(": \"") || (name.contains("::") && name.split("::").all(is_path))
}

#[test]
fn every_test_and_module_that_is_named_exists() {
    let text = document();
    let mut missing = Vec::new();
    for cells in rows(&text, 4).iter().chain(&rows(&text, 3)) {
        let (shown, rest) = cells.split_last().expect("cells");
        let tests: Vec<&str> = quoted(shown).filter(|name| is_test(name)).collect();
        let reasoned = REASONS.iter().any(|reason| shown.starts_with(reason));
        if !reasoned {
            missing.extend(tests.iter().filter(|name| !test_exists(name)).map(ToString::to_string));
        }
        for module in rest.iter().flat_map(|cell| quoted(cell)).filter(|name| is_test(name)) {
            let parts: Vec<&str> = module.split("::").collect();
            if module != "std::process" && files(&parts).is_empty() {
                missing.push(module.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "docs/security.md names tests or modules that do not exist: {missing:#?}");
}

#[test]
fn every_row_has_a_test_or_a_reason() {
    let text = document();
    let requirements = requirements(&text);
    assert!(requirements.len() > 150, "the tables are read: {}", requirements.len());
    for Row { id, shown, .. } in requirements {
        let reasoned = REASONS.iter().any(|reason| shown.starts_with(reason));
        assert!(reasoned || quoted(&shown).any(is_test), "{id} has neither a test nor a reason: {shown}");
    }
}

#[test]
fn every_requirement_of_levels_1_and_2_is_covered() {
    let text = document();
    let rows = requirements(&text);
    let mut seen = BTreeSet::new();
    for row in &rows {
        assert!(seen.insert(row.id.clone()), "{} is listed twice", row.id);
    }
    let excused: BTreeSet<String> = text
        .split("\n\n")
        .filter(|paragraph| paragraph.starts_with("Does not apply:"))
        .flat_map(|paragraph| numbers(paragraph).collect::<Vec<_>>())
        .collect();
    let mut known = BTreeSet::new();
    for (section, levels) in SECTIONS {
        for (index, level) in levels.chars().enumerate() {
            let id = format!("{section}.{}", index + 1);
            if let Some(row) = rows.iter().find(|row| row.id == id) {
                assert_eq!(row.level, level, "the level of {id}");
                assert!(!excused.contains(&id), "{id} is in a table, and listed as not applicable");
            } else {
                assert!(level == '3' || excused.contains(&id), "{id} is listed nowhere");
            }
            known.insert(id);
        }
    }
    let unknown: Vec<_> = seen.union(&excused).filter(|id| !known.contains(*id)).collect();
    assert!(unknown.is_empty(), "no requirements of ASVS 5.0.0: {unknown:?}");
}

#[test]
fn unmet_requirements_are_listed_in_their_section() {
    let text = document();
    let (_, section) = text.split_once("\n## What is missing\n").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let listed: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("- **")?.split_once("**"))
        .flat_map(|(ids, _)| numbers(ids).collect::<Vec<_>>())
        .collect();
    let marked: BTreeSet<String> = requirements(&text)
        .into_iter()
        .filter(|row| row.done.starts_with("**Partly") || row.done.starts_with("**Not met"))
        .map(|row| row.id)
        .collect();
    assert_eq!(listed, marked, "the requirements in the section differ from those marked in the tables");
}
