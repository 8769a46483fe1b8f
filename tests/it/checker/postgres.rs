//! A private PostgreSQL that can be stopped, killed and restarted. It listens on loopback only, keeps its port, and
//! ends on drop.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::{Disk, is_root};
use super::{Result, text};

/// How long a start may take, including recovery after a crash.
const PATIENCE: Duration = Duration::from_secs(30);

/// Settings of every start.
const SETTINGS: [&str; 3] = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=60"];

/// A private PostgreSQL; see the module.
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
    /// Creates one in `folder`, whose owner becomes PostgreSQL's user, and starts it with additional `settings` such as
    /// `fsync=off`.
    pub fn start_in(folder: &Path, settings: &[&str]) -> Result<Self> {
        Self::make(folder, folder.join("data"), None, settings)
    }

    /// Like [`Self::start_in`], but it sees `disk`, which is below `folder`, and stores its data there if `data_on_it`.
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

    /// Returns the URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.host())
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the path of its data folder as PostgreSQL sees it.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Returns its output since its last start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    /// Starts it and waits until it responds. Call it from a thread that lives as long as PostgreSQL should run.
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

    /// Restarts it without waiting for its clients.
    pub fn restart(&mut self) -> Result<()> {
        signal("INT", &self.postmaster())?;
        if let Some(mut child) = self.child.take() {
            child.wait().map_err(text)?;
        }
        self.start()
    }

    /// Kills all its processes with `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        let done = signal("KILL", &self.processes()?);
        if let Some(mut child) = self.child.take() {
            child.wait().map_err(text)?;
        }
        done
    }

    /// Returns whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| matches!(child.try_wait(), Ok(Some(_))))
    }

    /// Pauses all its processes with SIGSTOP: connections stay open, but nothing responds.
    pub fn stop_all(&self) -> Result<()> {
        // The postmaster first, because it starts new processes.
        signal("STOP", &self.postmaster())?;
        signal("STOP", &self.processes()?)
    }

    /// Resumes all its processes.
    pub fn cont_all(&self) -> Result<()> {
        signal("CONT", &self.processes()?)
    }

    /// Reloads a changed configuration file.
    pub fn reload(&self) -> Result<()> {
        signal("HUP", &self.postmaster())
    }

    fn postmaster(&self) -> Vec<u32> {
        self.child.iter().map(Child::id).collect()
    }

    /// Returns the ids of the postmaster and its children.
    fn processes(&self) -> Result<Vec<u32>> {
        let Some(postmaster) = self.child.as_ref().map(Child::id) else { return Ok(Vec::new()) };
        let mut all = vec![postmaster];
        for entry in std::fs::read_dir("/proc").map_err(text)?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else { continue };
            // A process may end while it is inspected.
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
            if parent == Some(postmaster) {
                all.push(pid);
            }
        }
        Ok(all)
    }

    /// Returns a command for one of its programs on its data folder. PostgreSQL refuses to run as root, so it runs as
    /// the owner of the folder. It ends with the thread that started it.
    fn command(&self, program: &str) -> Result<Command> {
        let setpriv = Path::new("setpriv");
        let mut command = match &self.disk {
            // Every user is root inside the namespace at first.
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
    // A child may have ended meanwhile, which `kill` reports as an error.
    command.arg(format!("-{name}")).args(pids).stderr(Stdio::null());
    command.status().map(drop).map_err(|error| format!("kill: {error}"))
}

/// Returns the folder of PostgreSQL's programs, which Debian does not put in PATH.
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

/// Returns the user id and group id that PostgreSQL runs as if this process is root.
fn owner() -> Result<(String, String)> {
    let users = std::fs::read_to_string("/etc/passwd").map_err(text)?;
    let find = |name: &str| users.lines().find(|line| line.split(':').next() == Some(name));
    let line = find("postgres").or_else(|| find("nobody")).ok_or("there is no user for PostgreSQL")?;
    let mut fields = line.split(':').skip(2).map(str::to_owned);
    fields.next().zip(fields.next()).ok_or_else(|| format!("/etc/passwd: {line}"))
}

/// Gives a folder to the user that PostgreSQL runs as.
pub fn give_to_owner(folder: &Path) -> Result<()> {
    if !is_root()? {
        return Ok(());
    }
    let (user, group) = owner()?;
    let done = Command::new("chown").arg(format!("{user}:{group}")).arg(folder).status().map_err(text)?;
    if done.success() { Ok(()) } else { Err(format!("chown {}", folder.display())) }
}
