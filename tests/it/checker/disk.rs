//! A small file system for the database: a tmpfs in its own mount namespace, which can be filled and emptied. It is not
//! visible outside of the namespace and ends with the process that mounted it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Result, text};

/// The file that fills the disk.
const BALLAST: &str = "ballast";

/// A small disk; see the module.
pub struct Disk {
    /// Keeps the namespace alive. It ends when its standard input closes, even if this process is killed.
    holder: Child,
    folder: PathBuf,
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

impl Disk {
    /// Mounts a disk of `megabytes` over `folder`, which must exist. The error says what this machine does not allow.
    pub fn mount(folder: &Path, megabytes: u32) -> Result<Self> {
        let mut command = Command::new("unshare");
        if !is_root()? {
            command.args(["--user", "--map-root-user"]);
        }
        let script = r#"mount -t tmpfs -o "size=$1m,mode=755" none "$0" && echo mounted && exec cat"#;
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .arg(folder)
            .arg(megabytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut holder = command.spawn().map_err(|error| format!("unshare: {error}"))?;
        let mut said = String::new();
        if let Some(output) = holder.stdout.take() {
            BufReader::new(output).read_line(&mut said).map_err(text)?;
        }
        let disk = Self { holder, folder: folder.to_owned() };
        if said.trim() == "mounted" { Ok(disk) } else { Err("a tmpfs cannot be mounted here".into()) }
    }

    /// Returns a command that sees the file system and runs in `folder`. Its process id is that of the program itself.
    pub fn command(&self, program: &Path, folder: &Path) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.holder.id().to_string()]);
        if !is_root()? {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["--", "env", "--chdir"]).arg(folder).arg(program);
        Ok(command)
    }

    /// Returns its path for programs started by [`Disk::command`].
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns its path for all other processes. Do not pass this path to SQLite, which resolves the link.
    pub fn seen_from_outside(&self) -> PathBuf {
        let folder = self.folder.strip_prefix("/").unwrap_or(&self.folder);
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(folder)
    }

    /// Fills the disk completely.
    pub fn fill(&self) -> Result<()> {
        let mut ballast = std::fs::File::create(self.seen_from_outside().join(BALLAST)).map_err(text)?;
        let block = [0; 4_096];
        loop {
            match ballast.write_all(&block) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Frees the space again.
    pub fn make_room(&self) -> Result<()> {
        std::fs::remove_file(self.seen_from_outside().join(BALLAST)).map_err(text)
    }
}

/// Returns whether this process runs as root.
pub fn is_root() -> Result<bool> {
    Ok(std::fs::metadata("/proc/self").map_err(text)?.uid() == 0)
}
