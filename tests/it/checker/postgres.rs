//! A PostgreSQL of its own, to be stopped, killed and started again. It listens on loopback only, on one port for all
//! its lives, and ends when this is dropped.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::{Disk, is_root};
use super::{Result, text};

/// A start may take this long: after a crash it recovers first.
const PATIENCE: Duration = Duration::from_secs(30);

/// What every start is given.
const SETTINGS: [&str; 3] = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=60"];

/// See the file.
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    data: PathBuf,
    disk: Option<Arc<Disk>>,
    port: u16,
    settings: Vec<String>,
    child: Option<Child>,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.kill());
    }
}

impl Postgres {
    /// Makes one in `folder`, which becomes its user's, and starts it with `settings` such as `fsync=off` on top.
    pub fn start_in(folder: &Path, settings: &[&str]) -> Result<Self> {
        Self::make(folder, folder.join("data"), None, settings)
    }

    /// The same where it sees `disk`, which lies below `folder`, and keeps its data there if `data_on_it`.
    pub fn start_with(folder: &Path, settings: &[&str], disk: Arc<Disk>, data_on_it: bool) -> Result<Self> {
        give_to_owner(&disk.seen_from_outside())?;
        let data = if data_on_it { disk.folder().join("data") } else { folder.join("data") };
        Self::make(folder, data, Some(disk), settings)
    }

    fn make(folder: &Path, data: PathBuf, disk: Option<Arc<Disk>>, settings: &[&str]) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).map_err(text)?.port();
        let settings = SETTINGS.iter().chain(settings).map(|it| (*it).to_owned()).collect();
        give_to_owner(folder)?;
        let mut made = Self {
            programs: programs()?,
            folder: folder.to_owned(),
            data,
            disk,
            port,
            settings,
            child: None,
        };
        let mut init = made.command("initdb")?;
        let options =
            "--username postgres --auth trust --encoding UTF8 --locale C.UTF-8 --no-sync --wal-segsize 1";
        init.args(options.split(' ')).stdout(Stdio::null());
        if !init.status().map_err(text)?.success() {
            return Err("initdb failed".into());
        }
        made.start()?;
        Ok(made)
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.host())
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its data folder, as it sees it itself.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What it has printed since its last start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    /// Starts it and waits until it answers. Call it from a thread that lives as long as PostgreSQL is to live.
    pub fn start(&mut self) -> Result<()> {
        let output = std::fs::File::create(self.log_file()).map_err(text)?;
        let mut command = self.command("postgres")?;
        command.args(["-p", &self.port.to_string()]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.stdout(output.try_clone().map_err(text)?).stderr(output);
        self.child = Some(command.spawn().map_err(text)?);
        let deadline = Instant::now() + PATIENCE;
        while !self.is_ready()? {
            let gone = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if gone.is_some() || Instant::now() > deadline {
                return Err(format!("PostgreSQL did not start ({gone:?}): {}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn is_ready(&self) -> Result<bool> {
        let mut command = Command::new(self.programs.join("pg_isready"));
        command.args(["--quiet", "--host", "127.0.0.1", "--port", &self.port.to_string()]);
        Ok(command.status().map_err(text)?.success())
    }

    /// Asks it to end without waiting for its clients, then starts it again.
    pub fn restart(&mut self) -> Result<()> {
        signal("INT", &self.postmaster())?;
        if let Some(mut child) = self.child.take() {
            child.wait().map_err(text)?;
        }
        self.start()
    }

    /// `kill -9` of all its processes.
    pub fn kill(&mut self) -> Result<()> {
        let done = signal("KILL", &self.processes()?);
        if let Some(mut child) = self.child.take() {
            child.wait().map_err(text)?;
        }
        done
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| matches!(child.try_wait(), Ok(Some(_))))
    }

    /// Stops all its processes where they are: connections stay open, and nothing answers.
    pub fn stop_all(&self) -> Result<()> {
        // First the one that would start others.
        signal("STOP", &self.postmaster())?;
        signal("STOP", &self.processes()?)
    }

    /// Lets all its processes go on.
    pub fn cont_all(&self) -> Result<()> {
        signal("CONT", &self.processes()?)
    }

    /// Takes over a changed configuration file.
    pub fn reload(&self) -> Result<()> {
        signal("HUP", &self.postmaster())
    }

    fn postmaster(&self) -> Vec<u32> {
        self.child.iter().map(Child::id).collect()
    }

    /// The first process and its children.
    fn processes(&self) -> Result<Vec<u32>> {
        let Some(postmaster) = self.child.as_ref().map(Child::id) else { return Ok(Vec::new()) };
        let mut all = vec![postmaster];
        for entry in std::fs::read_dir("/proc").map_err(text)?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else { continue };
            // A process may end while it is looked at.
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
            if parent == Some(postmaster) {
                all.push(pid);
            }
        }
        Ok(all)
    }

    /// One of its programs on its data folder. PostgreSQL refuses to run as root, so it runs as the owner of the
    /// folder; it ends with the thread that started it.
    fn command(&self, program: &str) -> Result<Command> {
        let setpriv = Path::new("setpriv");
        let mut command = match &self.disk {
            // Inside of the namespace everybody is root to begin with.
            Some(disk) if !is_root()? => {
                let own = std::fs::metadata("/proc/self").map_err(text)?;
                let mut command = disk.command(Path::new("unshare"), &self.folder)?;
                command.args(["--user", &format!("--map-user={}", own.uid())]);
                command.args([&format!("--map-group={}", own.gid()), "--", "setpriv"]);
                command
            }
            Some(disk) => disk.command(setpriv, &self.folder)?,
            None => {
                let mut command = Command::new(setpriv);
                command.current_dir(&self.folder);
                command
            }
        };
        if is_root()? {
            let (user, group) = owner()?;
            command.args(["--reuid", &user, "--regid", &group, "--clear-groups"]);
        }
        command.args(["--pdeathsig", "INT", "--"]).arg(self.programs.join(program)).arg("-D").arg(&self.data);
        command.stdin(Stdio::null());
        Ok(command)
    }
}

fn signal(name: &str, pids: &[u32]) -> Result<()> {
    if pids.is_empty() {
        return Ok(());
    }
    let pids = pids.iter().map(u32::to_string);
    let mut command = Command::new("kill");
    // A child may have ended meanwhile, which `kill` complains of.
    command.arg(format!("-{name}")).args(pids).stderr(Stdio::null());
    command.status().map(drop).map_err(|error| format!("kill: {error}"))
}

/// Where PostgreSQL's programs are: Debian keeps them apart from the others.
fn programs() -> Result<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = debian.map(|version| version.path().join("bin")).collect();
    places.sort();
    places.reverse();
    places.extend(std::env::split_paths(&path));
    places
        .into_iter()
        .find(|it| it.join("initdb").is_file())
        .ok_or_else(|| "PostgreSQL is not installed".into())
}

/// Whom PostgreSQL runs as where this process is root: numbers of the user and of the group.
fn owner() -> Result<(String, String)> {
    let users = std::fs::read_to_string("/etc/passwd").map_err(text)?;
    let find = |name: &str| users.lines().find(|line| line.split(':').next() == Some(name));
    let line = find("postgres").or_else(|| find("nobody")).ok_or("there is no user for PostgreSQL")?;
    let mut fields = line.split(':').skip(2).map(str::to_owned);
    fields.next().zip(fields.next()).ok_or_else(|| format!("/etc/passwd: {line}"))
}

/// Makes a folder belong to whom PostgreSQL runs as.
pub fn give_to_owner(folder: &Path) -> Result<()> {
    if !is_root()? {
        return Ok(());
    }
    let (user, group) = owner()?;
    let done = Command::new("chown").arg(format!("{user}:{group}")).arg(folder).status().map_err(text)?;
    if done.success() { Ok(()) } else { Err(format!("chown {}", folder.display())) }
}
