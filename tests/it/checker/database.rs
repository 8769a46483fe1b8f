//! The database of a run and its faults: a full disk, stopped or killed processes, and locks held from outside.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, Database as Opened, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::time::sleep;

use super::disk::Disk;
use super::node::Node;
use super::postgres::Postgres;
use super::random::Random;
use super::{Result, text};

/// Size in megabytes of a disk that is filled now and then: enough room for a long run.
const SQLITE_DISK: u32 = 256;
const POSTGRES_DISK: u32 = 600;

/// PostgreSQL is killed, the machine is not, so it needs no `fsync`. Small log files leave room on the disk.
const POSTGRES_SETTINGS: [&str; 3] = ["fsync=off", "min_wal_size=2MB", "max_wal_size=3MB"];

/// The kind of database that a run uses.
pub enum Store {
    /// An existing database, on which no faults are injected.
    Given(String),
    /// The run's own SQLite file, on its own disk or in a place where its lock can be taken from outside.
    Sqlite {
        /// Whether it is on its own disk.
        disk: bool,
    },
    /// The run's own PostgreSQL, on its own disk if this machine allows it.
    Postgres,
}

/// A fault that is injected into a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseFault {
    /// The disk has no free byte for 0.5 to 4 seconds.
    FullDisk,
    /// SIGSTOP to all its processes, and SIGCONT later.
    Stop,
    /// `kill -9` of all its processes, then a start.
    Kill,
    /// Another connection locks the row of a chat (on SQLite the whole database) for two to eight seconds.
    Lock,
}

impl fmt::Display for DatabaseFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl DatabaseFault {
    /// Returns its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullDisk => "full disk",
            Self::Stop => "stop database",
            Self::Kill => "kill database",
            Self::Lock => "lock",
        }
    }
}

/// The database of a run; see the module.
pub struct Database {
    url: String,
    disk: Option<Arc<Disk>>,
    postgres: Option<Postgres>,
    faults: Vec<DatabaseFault>,
}

impl Database {
    /// Creates the database in `folder`.
    #[expect(clippy::print_stderr, reason = "who starts a run reads what is left out")]
    pub fn make(store: &Store, folder: &Path) -> Result<Self> {
        let mount = |megabytes| {
            let small = folder.join("small");
            std::fs::create_dir_all(&small).map_err(text)?;
            Disk::mount(&small, megabytes).map(Arc::new)
        };
        let given = |url| Self { url, disk: None, postgres: None, faults: Vec::new() };
        Ok(match store {
            Store::Given(url) => given(url.clone()),
            Store::Sqlite { disk: false } => {
                let url = format!("sqlite://{}", folder.join("faults.db").display());
                Self { faults: vec![DatabaseFault::Lock], ..given(url) }
            }
            Store::Sqlite { disk: true } => {
                let disk = mount(SQLITE_DISK)?;
                let url = format!("sqlite://{}", disk.folder().join("faults.db").display());
                Self { faults: vec![DatabaseFault::FullDisk], disk: Some(disk), ..given(url) }
            }
            Store::Postgres => {
                let disk = mount(POSTGRES_DISK)
                    .inspect_err(|reason| eprintln!("without a full disk: {reason}"))
                    .ok();
                let postgres = match &disk {
                    Some(disk) => Postgres::start_with(folder, &POSTGRES_SETTINGS, disk.clone(), true)?,
                    None => Postgres::start_in(folder, &POSTGRES_SETTINGS)?,
                };
                let mut faults = vec![DatabaseFault::Stop, DatabaseFault::Kill, DatabaseFault::Lock];
                faults.extend(disk.is_some().then_some(DatabaseFault::FullDisk));
                Self { url: postgres.url("postgres"), disk, postgres: Some(postgres), faults }
            }
        })
    }

    /// Returns a server that uses this database, not started yet.
    pub fn node(&self, binary: &Path, folder: &Path) -> Result<Node> {
        let mut node = Node::new(binary, folder, &self.url)?;
        if let Some(disk) = self.disk.as_ref().filter(|_| self.postgres.is_none()) {
            node.sees(disk.clone());
        }
        Ok(node)
    }

    /// Returns the faults that can be injected.
    pub fn faults(&self) -> &[DatabaseFault] {
        &self.faults
    }

    /// Injects a fault and ends it again. `chat` is the chat whose row is locked.
    pub async fn inject(
        &mut self,
        fault: DatabaseFault,
        chat: i64,
        stop: Duration,
        random: &mut Random,
    ) -> Result<()> {
        match fault {
            DatabaseFault::FullDisk => {
                let Some(disk) = self.disk.clone() else { return Ok(()) };
                disk.fill()?;
                sleep(Duration::from_millis(500 + random.below(3_500))).await;
                disk.make_room()?;
                if let Some(postgres) = &mut self.postgres {
                    // PostgreSQL exits if there is no room for its log.
                    sleep(Duration::from_millis(300)).await;
                    if postgres.ended() {
                        postgres.start()?;
                    }
                }
            }
            DatabaseFault::Stop => {
                let Some(postgres) = &self.postgres else { return Ok(()) };
                postgres.stop_all()?;
                sleep(stop).await;
                postgres.cont_all()?;
            }
            DatabaseFault::Kill => {
                let Some(postgres) = &mut self.postgres else { return Ok(()) };
                postgres.kill()?;
                sleep(Duration::from_millis(random.below(1_000))).await;
                postgres.start()?;
            }
            DatabaseFault::Lock => {
                let hold = Duration::from_millis(2_000 + random.below(6_000));
                self.lock(chat, hold).await?;
            }
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "a transaction outside the server publishes no events")]
    async fn lock(&self, chat: i64, hold: Duration) -> Result<()> {
        let db = Opened::connect(&self.url).await.map_err(text)?;
        let options = TransactionOptions {
            sqlite_transaction_mode: self.postgres.is_none().then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let tx = db.begin_with_options(options).await.map_err(text)?;
        if self.postgres.is_some() {
            let sql = format!("SELECT id FROM chats WHERE id = {chat} FOR UPDATE");
            tx.execute_unprepared(&sql).await.map_err(text)?;
        }
        sleep(hold).await;
        tx.rollback().await.map_err(text)?;
        db.close().await.map_err(text)
    }
}
