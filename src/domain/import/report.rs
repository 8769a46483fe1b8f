//! The report of an import: counts by kind, and why rows were skipped or changed.
//!
//! It identifies rows by their number in the source and never repeats their content: phones, passwords and messages
//! do not belong in a report.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// Row numbers that are kept for each reason; the report file has all of them.
const EXAMPLES: usize = 10;

/// The kinds of data, in the order of the import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Users.
    User,
    /// Chats.
    Chat,
    /// Memberships of chats.
    Member,
    /// Pins of chats.
    Pin,
    /// Messages.
    Message,
    /// Likes of messages.
    Like,
    /// Photos of users.
    Photo,
}

impl Kind {
    /// Returns the plural name.
    pub fn plural(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Chat => "chats",
            Self::Member => "members",
            Self::Pin => "pins",
            Self::Message => "messages",
            Self::Like => "likes",
            Self::Photo => "photos",
        }
    }
}

/// The severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The row was not imported.
    Skipped,
    /// The row was imported without a part of it.
    LeftOut,
    /// The whole row was imported, in another form.
    Changed,
}

/// One problem with one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The kind of row.
    pub kind: Kind,
    /// Its number in the source (for a like, that of its message; for a member or pin, that of its chat).
    pub old_id: Option<i64>,
    /// The severity.
    pub what: What,
    /// The reason.
    pub reason: &'static str,
}

/// Counts of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Imported by this run.
    pub taken: u64,
    /// Imported by an earlier run.
    pub known: u64,
    /// Not imported.
    pub skipped: u64,
}

/// The result of one batch; it counts once the batch has been committed.
#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<Kind, Count>,
    entries: Vec<Entry>,
}

impl Tally {
    /// Counts imported rows.
    pub fn taken(&mut self, kind: Kind, number: usize) {
        self.counts.entry(kind).or_default().taken += number as u64;
    }

    /// Counts rows that were imported before.
    pub fn known(&mut self, kind: Kind, number: usize) {
        self.counts.entry(kind).or_default().known += number as u64;
    }

    /// Records that a row was not imported.
    pub fn skip(&mut self, kind: Kind, old_id: impl Into<Option<i64>>, reason: &'static str) {
        self.counts.entry(kind).or_default().skipped += 1;
        self.entries.push(Entry { kind, old_id: old_id.into(), what: What::Skipped, reason });
    }

    /// Records that a number of rows without an id were not imported, with one entry each.
    pub fn skip_many(&mut self, kind: Kind, count: u64, reason: &'static str) {
        for _ in 0..count {
            self.skip(kind, None, reason);
        }
    }

    /// Records that a part of a row was not imported.
    pub fn leave_out(&mut self, kind: Kind, old_id: i64, reason: &'static str) {
        self.entries.push(Entry { kind, old_id: Some(old_id), what: What::LeftOut, reason });
    }

    /// Records that a row was imported in another form.
    pub fn change(&mut self, kind: Kind, old_id: i64, reason: &'static str) {
        self.entries.push(Entry { kind, old_id: Some(old_id), what: What::Changed, reason });
    }
}

/// How often a problem occurred, with the first rows that have it.
#[derive(Default)]
struct Happened {
    times: u64,
    to: Vec<i64>,
}

/// The report of a whole import.
pub struct Report {
    counts: BTreeMap<Kind, Count>,
    reasons: BTreeMap<(Kind, What, &'static str), Happened>,
    notes: Vec<String>,
    file: Option<BufWriter<File>>,
}

impl Report {
    /// Creates an empty report; appends to `file` if it exists.
    pub fn open(file: Option<&Path>, source: &str, now: i64) -> Result<Self> {
        let open = |path: &Path| {
            OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(|error| {
                Error::invalid("--report", format!("cannot write to {}: {error}", path.display()))
            })
        };
        let file = file.map(open).transpose()?.map(BufWriter::new);
        let mut report = Self { counts: BTreeMap::new(), reasons: BTreeMap::new(), notes: Vec::new(), file };
        report.write(&serde_json::json!({"import": source, "started_at": Timestamp(now)}))?;
        Ok(report)
    }

    /// Adds the result of a batch.
    pub fn add(&mut self, tally: Tally) -> Result<()> {
        for (kind, count) in tally.counts {
            let sum = self.counts.entry(kind).or_default();
            sum.taken += count.taken;
            sum.known += count.known;
            sum.skipped += count.skipped;
        }
        for entry in tally.entries {
            self.write(&entry)?;
            let happened = self.reasons.entry((entry.kind, entry.what, entry.reason)).or_default();
            happened.times += 1;
            happened.to.extend(entry.old_id.filter(|_| happened.to.len() < EXAMPLES));
        }
        // The next run does not report the rows of a committed batch again.
        self.file.as_mut().map_or(Ok(()), Write::flush).map_err(Error::internal)
    }

    /// Adds a note about the whole import.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Returns the counts of a kind.
    pub fn count(&self, kind: Kind) -> Count {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    /// Returns whether every row was imported with all of its data.
    pub fn is_complete(&self) -> bool {
        self.reasons.keys().all(|(_, what, _)| *what == What::Changed)
    }

    /// Writes the final counts to the file.
    pub fn finish(&mut self) -> Result<()> {
        let counts: BTreeMap<&str, Count> =
            self.counts.iter().map(|(kind, count)| (kind.plural(), *count)).collect();
        self.write(&serde_json::json!({"finished": counts}))?;
        self.file.as_mut().map_or(Ok(()), Write::flush).map_err(Error::internal)
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let text = serde_json::to_string(line).map_err(Error::internal)?;
        writeln!(file, "{text}").map_err(Error::internal)
    }

    /// Returns the report as text for a terminal.
    pub fn to_text(&self) -> String {
        let mut lines = vec![format!("{:<10} {:>10} {:>10} {:>10}", "", "taken", "known", "skipped")];
        lines.extend(self.counts.iter().map(|(kind, count)| {
            format!("{:<10} {:>10} {:>10} {:>10}", kind.plural(), count.taken, count.known, count.skipped)
        }));
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        for ((kind, what, reason), happened) in &self.reasons {
            let what = match what {
                What::Skipped => "skipped",
                What::LeftOut => "not whole",
                What::Changed => "changed",
            };
            let mut to = happened.to.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            if happened.times > happened.to.len() as u64 && !to.is_empty() {
                to.push_str(", …");
            }
            let to = if to.is_empty() { to } else { format!(" ({to})") };
            lines.push(format!("{what}: {} {}: {reason}{to}", happened.times, kind.plural()));
        }
        lines.join("\n")
    }
}
