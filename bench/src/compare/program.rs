//! A program that the bench starts, waits for, and stops by its process id.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

/// How long a program may take to start, and to stop before it is killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running program. Dropping it stops it.
pub struct Program {
    child: Child,
    log: PathBuf,
    stop: Signal,
}

impl Program {
    /// Starts a program; its output goes to the file `log`. The system stops it if this process ends early.
    pub fn start(
        command: &[String],
        environment: &[(&str, String)],
        folder: &Path,
        log: &Path,
        stop: Signal,
    ) -> Result<Self> {
        let output = File::create(log)?;
        let signal = if stop == Signal::INT { "INT" } else { "TERM" };
        let child = Command::new("setpriv")
            .args(["--pdeathsig", signal, "--"])
            .args(command)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self { child, log: log.to_owned(), stop })
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns what the program has printed.
    pub fn output(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until the program has printed `text`.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        let began = Instant::now();
        while !self.output().contains(text) {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the program ended with {status}:\n{}", self.output()).into());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("the program did not start:\n{}", self.output()).into());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended already; waiting for it shows that.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal(self.stop);
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > PATIENCE {
                self.signal(Signal::KILL);
                break;
            }
            sleep(Duration::from_millis(20));
        }
        let _ = self.child.wait();
    }
}

/// Runs a command to its end; an error has its output.
pub fn run(command: &[&str], folder: &Path) -> Result<String> {
    let (name, arguments) = command.split_first().ok_or("an empty command")?;
    let output = Command::new(name).args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!(
        "{}: {}\n{text}{}",
        command.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}
