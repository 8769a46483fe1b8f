//! A throw-away PostgreSQL with default settings, so that every commit is synced to the disk.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use sea_orm::{ConnectionTrait, Database};

use super::program::{Program, run};
use super::server::free_port;
use crate::Result;

/// A running cluster.
pub struct Postgres {
    program: Program,
    port: u16,
    /// What `postgres --version` prints.
    pub version: String,
}

impl Postgres {
    /// Creates a cluster below `temp` and starts it.
    pub fn start(temp: &Path) -> Result<Self> {
        let bin = binaries()?;
        let data = temp.join("postgres");
        fs::create_dir(&data)?;
        let path = |name: &str| bin.join(name).to_string_lossy().into_owned();
        let cluster = data.join("data").to_string_lossy().into_owned();
        let mut user: Vec<String> = vec!["setpriv".into()];
        // PostgreSQL refuses to run as root.
        if rustix::process::geteuid().is_root() {
            let name =
                if run(&["getent", "passwd", "postgres"], temp).is_ok() { "postgres" } else { "nobody" };
            let id =
                |flag: &str| Ok::<_, crate::Error>(run(&["id", flag, name], temp)?.trim().parse::<u32>()?);
            let (user_id, group_id) = (id("-u")?, id("-g")?);
            chown(&data, Some(user_id), Some(group_id))?;
            user.extend([
                format!("--reuid={user_id}"),
                format!("--regid={group_id}"),
                "--clear-groups".into(),
            ]);
        }
        user.push("--pdeathsig=INT".into());
        user.push("--".into());
        let mut init: Vec<&str> = user.iter().map(String::as_str).collect();
        let initdb = path("initdb");
        init.extend([&*initdb, "--pgdata", &*cluster, "--username", "postgres", "--auth", "trust"]);
        init.extend(["--encoding", "UTF8", "--locale", "C.UTF-8"]);
        run(&init, &data)?;
        let port = free_port()?;
        let mut command = user;
        // Only the addresses are set: fsync, synchronous_commit and the rest are the defaults.
        command.extend([path("postgres"), "-D".into(), cluster, "-p".into(), port.to_string()]);
        command
            .extend(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="].map(Into::into));
        let mut program = Program::start(&command, &[], &data, &temp.join("postgres.log"), Signal::INT)?;
        program.wait_for("ready to accept connections")?;
        let version = run(&[&path("postgres"), "--version"], temp)?.trim().to_owned();
        Ok(Self { program, port, version })
    }

    /// Returns the id of the main process, the parent of all others.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Creates an empty database; returns its URL.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        let db = Database::connect(self.url("postgres")).await?;
        db.execute_unprepared(&format!("CREATE DATABASE \"{name}\"")).await?;
        db.close().await?;
        Ok(self.url(name))
    }

    /// Removes a database, and ends the connections to it.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let db = Database::connect(self.url("postgres")).await?;
        db.execute_unprepared(&format!("DROP DATABASE \"{name}\" WITH (FORCE)")).await?;
        Ok(db.close().await?)
    }

    fn url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

/// Finds the folder of PostgreSQL's programs, the newest version first.
fn binaries() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, path)| path.join("initdb").exists())
        .collect();
    found.sort();
    let (_, path) = found.pop().ok_or("PostgreSQL is missing: scripts/test installs it")?;
    Ok(path)
}
