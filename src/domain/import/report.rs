//! What became of everything: counts by kind, and why something was not taken or not taken as it was.
//!
//! It names rows by their number in the source and never repeats what is in them: phones, passwords and
//! messages are no business of a report.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// Numbers that are kept for each reason; a file holds them all.
const EXAMPLES: usize = 10;

/// What is imported, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// People.
    User,
    /// Chats.
    Chat,
    /// Who is in which chat.
    Member,
    /// Who has pinned which chat.
    Pin,
    /// Messages.
    Message,
    /// Who likes which message.
    Like,
    /// Pictures of people.
    Photo,
}

impl Kind {
    /// How several are called.
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

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The row did not come over.
    Skipped,
    /// The row came over, a part of it did not.
    LeftOut,
    /// All of it came over, in another form.
    Changed,
}

/// One problem with one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Kind of row.
    pub kind: Kind,
    /// Its number in the source (a like's: its message's; a member's or pin's: its chat's).
    pub old_id: Option<i64>,
    /// How bad.
    pub what: What,
    /// Why.
    pub reason: &'static str,
}

/// How many of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Brought over by this run.
    pub taken: u64,
    /// Brought over by an earlier one.
    pub known: u64,
    /// Not brought over.
    pub skipped: u64,
}

/// What one batch did; it counts once the batch has committed.
#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<Kind, Count>,
    entries: Vec<Entry>,
}

impl Tally {
    /// So many came over.
    pub fn taken(&mut self, kind: Kind, number: usize) {
        self.counts.entry(kind).or_default().taken += number as u64;
    }

    /// So many had come over before.
    pub fn known(&mut self, kind: Kind, number: usize) {
        self.counts.entry(kind).or_default().known += number as u64;
    }

    /// A row did not come over.
    pub fn skip(&mut self, kind: Kind, old_id: impl Into<Option<i64>>, reason: &'static str) {
        self.counts.entry(kind).or_default().skipped += 1;
        self.entries.push(Entry { kind, old_id: old_id.into(), what: What::Skipped, reason });
    }

    /// So many rows did not come over, one line each; they have no number.
    pub fn skip_many(&mut self, kind: Kind, count: u64, reason: &'static str) {
        for _ in 0..count {
            self.skip(kind, None, reason);
        }
    }

    /// A part of a row did not come over.
    pub fn leave_out(&mut self, kind: Kind, old_id: i64, reason: &'static str) {
        self.entries.push(Entry { kind, old_id: Some(old_id), what: What::LeftOut, reason });
    }

    /// A row came over in another form.
    pub fn change(&mut self, kind: Kind, old_id: i64, reason: &'static str) {
        self.entries.push(Entry { kind, old_id: Some(old_id), what: What::Changed, reason });
    }
}

/// How often something happened, with the first rows it happened to.
#[derive(Default)]
struct Happened {
    times: u64,
    to: Vec<i64>,
}

/// Everything together.
pub struct Report {
    counts: BTreeMap<Kind, Count>,
    reasons: BTreeMap<(Kind, What, &'static str), Happened>,
    notes: Vec<String>,
    file: Option<BufWriter<File>>,
}

impl Report {
    /// An empty one; `file` is continued where it exists.
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

    /// Adds what a batch did.
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
        // What has committed is not told again by the next run.
        self.file.as_mut().map_or(Ok(()), Write::flush).map_err(Error::internal)
    }

    /// Says something about the whole.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// How many of a kind.
    pub fn count(&self, kind: Kind) -> Count {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    /// Whether every row came over with everything that is in it.
    pub fn is_complete(&self) -> bool {
        self.reasons.keys().all(|(_, what, _)| *what == What::Changed)
    }

    /// Closes the file with the counts.
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

    /// For a terminal.
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
