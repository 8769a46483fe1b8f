//! The servers of `bench/peers`: installs what they need below `target/`, and tells how to start them.

use std::fs;
use std::path::{Path, PathBuf};

use super::program::run;
use crate::Result;

/// The files of the peers, in the source tree.
const FILES: [&str; 9] = [
    ".npmrc",
    "package.json",
    "package-lock.json",
    "requirements.txt",
    "chat.mjs",
    "photo.mjs",
    "node.mjs",
    "bun.mjs",
    "python.py",
];

/// The installed peers.
pub struct Peers {
    folder: PathBuf,
}

impl Peers {
    /// Copies the peers to `folder`.
    pub fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        for name in FILES {
            let text = fs::read(source.join(name)).map_err(|error| format!("bench/peers/{name}: {error}"))?;
            fs::write(folder.join(name), text)?;
        }
        Ok(Self { folder })
    }

    /// Returns where the peers are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Installs the npm packages unless they are; returns the command of Node.js or Bun.
    pub fn javascript(&self, bun: bool) -> Result<Vec<String>> {
        self.install("package-lock.json", &["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"])?;
        if !bun {
            return Ok(vec!["node".into(), "node.mjs".into()]);
        }
        // The package's own script would choose one of these.
        let architecture = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x64" };
        for suffix in ["", "-baseline"] {
            let name = format!("node_modules/@oven/bun-linux-{architecture}{suffix}/bin/bun");
            let path = self.folder.join(name).to_string_lossy().into_owned();
            if run(&[&path, "--version"], &self.folder).is_ok() {
                return Ok(vec![path, "bun.mjs".into()]);
            }
        }
        Err("no binary of Bun runs on this machine".into())
    }

    /// Installs the Python packages unless they are; returns the command.
    pub fn python(&self) -> Result<Vec<String>> {
        let python = self.folder.join("venv/bin/python").to_string_lossy().into_owned();
        if !Path::new(&python).exists() {
            run(&["python3", "-m", "venv", "venv"], &self.folder)?;
        }
        self.install(
            "requirements.txt",
            &[&python, "-m", "pip", "install", "--quiet", "-r", "requirements.txt"],
        )?;
        Ok(vec![python, "python.py".into()])
    }

    /// Runs `command` unless it has already succeeded with the same `list`.
    fn install(&self, list: &str, command: &[&str]) -> Result<()> {
        let (wanted, done) =
            (fs::read(self.folder.join(list))?, self.folder.join(format!("installed-{list}")));
        if fs::read(&done).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        println!("installing {list} into {}", self.folder.display());
        run(command, &self.folder)?;
        Ok(fs::write(done, wanted)?)
    }
}
