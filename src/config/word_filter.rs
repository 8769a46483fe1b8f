//! Settings of the word filter.

use std::fs;

use super::reader::{BadSetting, Reader};

/// Words that messages must not contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordFilter {
    /// Words and phrases, as they stand in the file.
    pub lines: Vec<String>,
    /// Whether a message with one of them is stored and reported to the moderators, instead of being refused.
    pub reports: bool,
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Option<WordFilter>, BadSetting> {
    let file = r.raw(
        "WORD_FILTER",
        "",
        "file of words or phrases, one a line, that messages must not contain; `#` begins a comment",
    );
    let reports = r.read(
        "WORD_FILTER_ACTION",
        "refuse",
        "what happens to a message that WORD_FILTER matches: refuse, or report (it is stored, and moderators see it)",
        "refuse or report",
        |value| match value {
            "refuse" => Some(false),
            "report" => Some(true),
            _ => None,
        },
    )?;
    let Some(file) = file else { return Ok(None) };
    let text = fs::read_to_string(&file)
        .map_err(|error| BadSetting(format!("WORD_FILTER: cannot read {file}: {error}")))?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect();
    Ok(Some(WordFilter { lines, reports }))
}
