//! The measured servers: how each is started, and what its accounts and chats are.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::process::Signal;

use super::accounts::{self, World};
use super::dialect::Dialect;
use super::peers::Peers;
use super::postgres::Postgres;
use super::program::Program;
use super::swarm::Endpoint;
use crate::Result;

/// Signs the tokens of all servers.
const SECRET: &str = "a secret of the comparison bench, 32 bytes or more";

/// Environment variables of a program.
type Settings = Vec<(&'static str, String)>;

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// socket.io and pg on Node.js.
    Node,
    /// socket.io on Bun.
    Bun,
    /// python-socketio.
    Python,
    /// socketioxide without authentication and database.
    Bare,
    /// A plain WebSocket server without anything else.
    Floor,
    /// Mango Chat.
    Ours {
        /// The server's program.
        program: PathBuf,
        /// Whether it stores in PostgreSQL or in SQLite.
        postgres: bool,
        /// The protocol that is measured.
        dialect: Dialect,
    },
}

/// A column of the table.
pub struct Server {
    /// A short name for `--only`, also of its database and folder.
    pub id: String,
    /// The heading of its column.
    pub title: String,
    /// What runs.
    pub kind: Kind,
    /// Its accounts and chats, from the first start on.
    world: Option<World>,
    database_url: Option<String>,
    running: Option<(Program, u16)>,
}

/// What servers need in order to start.
pub struct Environment {
    /// A temporary folder.
    pub temp: PathBuf,
    /// The folder of this program and of `bare` and `floor`.
    pub programs: PathBuf,
    /// The servers in JavaScript and Python.
    pub peers: Peers,
    /// The database of those that use PostgreSQL.
    pub postgres: Postgres,
}

impl Server {
    /// Describes a server that does not run yet.
    pub fn new(id: &str, title: &str, kind: Kind) -> Self {
        Self { id: id.into(), title: title.into(), kind, world: None, database_url: None, running: None }
    }

    /// Returns whether it stores messages in PostgreSQL.
    pub fn uses_postgres(&self) -> bool {
        match self.kind {
            Kind::Node | Kind::Bun | Kind::Python => true,
            Kind::Bare | Kind::Floor => false,
            Kind::Ours { postgres, .. } => postgres,
        }
    }

    /// Returns whether it renders photos.
    pub fn renders_photos(&self) -> bool {
        matches!(self.kind, Kind::Node | Kind::Python) || self.is_ours()
    }

    /// Returns whether this is Mango Chat.
    pub fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Ours { .. })
    }

    /// Starts the server; the first time, also creates its accounts and chats.
    pub async fn start(&mut self, environment: &Environment) -> Result<()> {
        let folder = environment.temp.join(&self.id);
        fs::create_dir_all(&folder)?;
        if self.uses_postgres() && self.database_url.is_none() {
            self.database_url = Some(environment.postgres.create_database(&self.id).await?);
        }
        // The peers find their tables when they start.
        if self.world.is_none() && !self.is_ours() {
            self.world = Some(accounts::of_peer(&self.kind, SECRET, self.database_url.as_deref()).await?);
        }
        let port = free_port()?;
        let (command, settings) = self.command(environment, &folder, port)?;
        let working = if self.is_ours() { &folder } else { environment.peers.folder() };
        let log = environment.temp.join(format!("{}.log", self.id));
        let mut program = Program::start(&command, &settings, working, &log, Signal::TERM)
            .map_err(|error| format!("{}: {error}", self.id))?;
        program.wait_for("listening").map_err(|error| format!("{}: {error}", self.id))?;
        if self.world.is_none() {
            self.world = Some(accounts::of_ours(&format!("http://127.0.0.1:{port}"), self.dialect()).await?);
        }
        self.running = Some((program, port));
        Ok(())
    }

    /// Stops the server.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Returns the process id of the running server.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.running.as_ref().ok_or("the server does not run")?.0.pid())
    }

    /// Returns its accounts and chats.
    pub fn world(&self) -> Result<&World> {
        Ok(self.world.as_ref().ok_or("the server has no accounts")?)
    }

    /// Returns where to connect.
    pub fn endpoint(&self) -> Result<Endpoint> {
        let (_, port) = self.running.as_ref().ok_or("the server does not run")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        Ok(Endpoint { address, dialect: self.dialect(), logins: Rc::clone(&self.world()?.logins) })
    }

    fn dialect(&self) -> Dialect {
        match self.kind {
            Kind::Floor => Dialect::Plain,
            Kind::Ours { dialect, .. } => dialect,
            _ => Dialect::SocketIo,
        }
    }

    fn command(
        &self,
        environment: &Environment,
        folder: &Path,
        port: u16,
    ) -> Result<(Vec<String>, Settings)> {
        let beside = |name: &str| vec![environment.programs.join(name).to_string_lossy().into_owned()];
        let mut settings = vec![
            ("PORT", port.to_string()),
            ("JWT_SECRET", SECRET.into()),
            ("NODE_ENV", "production".into()),
        ];
        let command = match &self.kind {
            Kind::Node => environment.peers.javascript(false)?,
            Kind::Bun => environment.peers.javascript(true)?,
            Kind::Python => environment.peers.python()?,
            Kind::Bare => beside("bare"),
            Kind::Floor => beside("floor"),
            Kind::Ours { program, .. } => {
                settings.extend([
                    ("MANGO_ENV", "test".into()),
                    ("BIND", format!("127.0.0.1:{port}")),
                    ("DATA_DIR", folder.join("data").to_string_lossy().into_owned()),
                    ("LOG_DIR", folder.join("logs").to_string_lossy().into_owned()),
                    // Cheap, because otherwise registering the users would take longer than the bench.
                    ("PASSWORD_HASH", "argon2id,m=64,t=1,p=1".into()),
                    ("RATE_LIMIT", "off".into()),
                    ("MAX_SOCKETS_PER_USER", "10000".into()),
                ]);
                vec![program.to_string_lossy().into_owned(), "serve".into()]
            }
        };
        let sqlite = format!("sqlite://{}", folder.join("data/mango.db").display());
        settings.push(("DATABASE_URL", self.database_url.clone().unwrap_or(sqlite)));
        Ok((command, settings))
    }
}

/// Returns a port that nothing listens on.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
