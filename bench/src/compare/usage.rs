//! CPU time and memory of a program with all its child processes, read from `/proc` (Linux only).

use std::collections::HashMap;
use std::fs;

use crate::Result;
use crate::process::{Process, TICKS};

/// Returns the CPU seconds that a process and its descendants have used, including those that have ended.
pub fn cpu_seconds(root: u32) -> Result<f64> {
    let processes = processes()?;
    let ticks: u64 =
        tree(root, &processes).iter().filter_map(|pid| processes.get(pid)).map(|it| it.ticks).sum();
    Ok(ticks as f64 / TICKS)
}

/// Returns the resident memory of a process and its descendants in KiB.
pub fn rss_kib(root: u32) -> Result<u64> {
    tree(root, &processes()?).into_iter().map(|pid| Process::new(pid).rss_kib()).sum()
}

/// Returns the peak of the resident memory of a process and its descendants in KiB.
pub fn peak_kib(root: u32) -> Result<u64> {
    let peak = |pid: u32| -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    tree(root, &processes()?).into_iter().map(peak).sum()
}

struct Stat {
    parent: u32,
    /// User and system time of the process and of its children that have ended.
    ticks: u64,
}

fn processes() -> Result<HashMap<u32, Stat>> {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end between listing and reading.
        if let Some(stat) = fs::read_to_string(entry.path().join("stat")).ok().as_deref().and_then(parse) {
            processes.insert(pid, stat);
        }
    }
    Ok(processes)
}

fn parse(stat: &str) -> Option<Stat> {
    // The name, in parentheses, may contain spaces. After it come the state, the parent, and as 12th to 15th field the
    // times of the process and of its children.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let times: Option<Vec<u64>> = fields.skip(9).take(4).map(|field| field.parse().ok()).collect();
    Some(Stat { parent, ticks: times?.iter().sum() })
}

fn tree(root: u32, processes: &HashMap<u32, Stat>) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(processes.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_ended_children_count() {
        let stat =
            parse("12 (a b) c) S 7 1 1 0 -1 4194304 100 200 0 0 10 20 3 4 20 0 1 0 55 0").expect("a line");
        assert_eq!((stat.parent, stat.ticks), (7, 37));
        assert!(parse("12 (a) S").is_none());
    }

    #[test]
    fn a_tree_contains_descendants_only() {
        let processes =
            [(1, 0), (2, 1), (3, 2), (4, 1)].map(|(pid, parent)| (pid, Stat { parent, ticks: 0 })).into();
        let mut found = tree(2, &processes);
        found.sort_unstable();
        assert_eq!(found, [2, 3]);
        assert!(cpu_seconds(std::process::id()).expect("this process") >= 0.0);
        let rss = rss_kib(std::process::id()).expect("this process");
        assert!(rss > 100 && peak_kib(std::process::id()).expect("this process") > 100);
    }
}
