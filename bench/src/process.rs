//! Resource use of a process, read from `/proc` (Linux only).

use std::fs;

use crate::Result;

/// Ticks per second of the times in `/proc/PID/stat`: `USER_HZ`, which is 100 on every Linux that this runs on.
pub const TICKS: f64 = 100.0;

/// A process to measure.
#[derive(Clone, Debug)]
pub struct Process(String);

impl Process {
    /// Returns the process with this id.
    pub fn new(pid: u32) -> Self {
        Self(pid.to_string())
    }

    /// Returns the bench's own process.
    pub fn own() -> Self {
        Self("self".into())
    }

    /// Returns the CPU seconds (user and system, all threads) used so far.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = self.read("stat")?;
        // The name, in parentheses, may contain spaces; utime and stime are the 12th and 13th field after it.
        let (_, fields) = stat.rsplit_once(')').ok_or("/proc/PID/stat has no name")?;
        let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
        let (user, system) = (times.next().ok_or("no utime")??, times.next().ok_or("no stime")??);
        Ok((user + system) / TICKS)
    }

    /// Returns the resident memory in KiB.
    pub fn rss_kib(&self) -> Result<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.split_whitespace().next().ok_or("VmRSS is empty")?.parse()?)
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}: is the process gone?").into())
    }
}
