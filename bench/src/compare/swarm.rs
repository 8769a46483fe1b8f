//! Many client connections on one thread: opens, reads and writes them as the operating system reports them ready.
//! What it sends is in `traffic`, what it receives in `receive`.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::connection::{Connection, Phase};
use super::dialect::Dialect;
use super::faults::Faults;
use super::marker::Finder;
use super::receive::Flow;
use super::traffic::{Chat, Pace, Tally};
use crate::Result;

/// The token of the timer.
const TIMER: Token = Token(usize::MAX);

/// Bytes that are read at once.
const CHUNK: usize = 256 * 1_024;

/// How long connecting may take without any progress.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where and how to connect, and with which first frames.
#[derive(Clone)]
pub struct Endpoint {
    /// The server.
    pub address: SocketAddr,
    /// Its protocol.
    pub dialect: Dialect,
    /// The first frame of each account.
    pub logins: Rc<Vec<String>>,
}

/// Client connections to one server.
pub struct Swarm {
    pub(super) endpoint: Endpoint,
    pub(super) connections: Vec<Option<Box<Connection>>>,
    pub(super) chats: Vec<Chat>,
    pub(super) pace: Option<Pace>,
    pub(super) tally: Tally,
    pub(super) faults: Faults,
    pub(super) finder: Finder,
    pub(super) text: String,
    /// Whether connections close as soon as they are ready.
    pub(super) churning: bool,
    /// Connections that are not ready yet.
    pub(super) opening: usize,
    clock: Instant,
    poll: Poll,
    events: Events,
    timer: OwnedFd,
    free: Vec<usize>,
    opened: usize,
    chunk: Vec<u8>,
}

impl Swarm {
    /// Creates a swarm without connections.
    pub fn new(endpoint: Endpoint) -> Result<Self> {
        let poll = Poll::new()?;
        // The resolution of `epoll_wait` is a millisecond, too coarse for sends at a fixed rate.
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self {
            endpoint,
            connections: Vec::new(),
            chats: Vec::new(),
            pace: None,
            tally: Tally::default(),
            faults: Faults::default(),
            finder: Finder::new(),
            text: String::new(),
            churning: false,
            opening: 0,
            clock: Instant::now(),
            poll,
            events: Events::with_capacity(1_024),
            timer,
            free: Vec::new(),
            opened: 0,
            chunk: vec![0; CHUNK],
        })
    }

    /// Returns the time by the clock of the markers.
    pub(super) fn micros(&self) -> u64 {
        self.clock.elapsed().as_micros() as u64
    }

    /// Connects these accounts, up to `parallel` at the same time, and waits until all are ready; returns how long it
    /// took. The first of them has the index `connections.len()` of before.
    pub fn connect(
        &mut self,
        accounts: impl IntoIterator<Item = usize>,
        parallel: usize,
    ) -> Result<Duration> {
        let mut accounts = accounts.into_iter().peekable();
        let began = Instant::now();
        let mut progress = (began, self.tally.ready);
        while accounts.peek().is_some() || self.opening > 0 {
            while self.opening < parallel
                && let Some(account) = accounts.next()
            {
                self.open(account)?;
            }
            self.turn(Instant::now() + Duration::from_millis(100))?;
            if self.tally.ready != progress.1 {
                progress = (Instant::now(), self.tally.ready);
            } else if progress.0.elapsed() > PATIENCE {
                return Err(format!("{} connections are not ready after {PATIENCE:?}", self.opening).into());
            }
        }
        if self.faults.broken > 0 {
            return Err(format!("{} connections ended", self.faults.broken).into());
        }
        Ok(began.elapsed())
    }

    /// Connects and disconnects, `parallel` at the same time; returns how many connections were ready per second.
    pub fn churn(&mut self, accounts: usize, parallel: usize, time: Duration) -> Result<f64> {
        self.churning = true;
        let began = Instant::now();
        let before = self.tally.ready;
        let mut next = (0..accounts).cycle();
        while began.elapsed() < time {
            while self.opening < parallel
                && let Some(account) = next.next()
            {
                self.open(account)?;
            }
            self.turn(began + time)?;
        }
        let count = self.tally.ready - before;
        let rate = count as f64 / began.elapsed().as_secs_f64();
        self.connect([], parallel)?;
        self.churning = false;
        Ok(rate)
    }

    /// Reads and writes until `time` has passed.
    pub fn run(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.turn(until)?;
        }
        Ok(())
    }

    fn open(&mut self, account: usize) -> Result<()> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let Endpoint { address, dialect, .. } = self.endpoint;
        let mut connection = Box::new(Connection::open(address, dialect, account, self.opened)?);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut connection.stream, Token(index), interest)?;
        self.connections[index] = Some(connection);
        self.opened += 1;
        self.opening += 1;
        Ok(())
    }

    /// Waits for events until `until` at most, and handles those that there are.
    pub(super) fn turn(&mut self, until: Instant) -> Result<()> {
        self.send_what_is_due()?;
        let timeout = until.saturating_duration_since(Instant::now());
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let mut chunk = std::mem::take(&mut self.chunk);
        for event in &events {
            if event.token() == TIMER {
                // How often it expired does not matter: `send_what_is_due` looks at the clock.
                let _ = rustix::io::read(&self.timer, &mut [0; 8]);
                self.send_what_is_due()?;
            } else {
                self.serve(event.token().0, event.is_readable(), event.is_read_closed(), &mut chunk);
            }
        }
        (self.events, self.chunk) = (events, chunk);
        Ok(())
    }

    /// Sets the timer for the next send at a fixed rate.
    pub(super) fn wake_after(&self, micros: u64) -> Result<()> {
        // Zero would switch the timer off.
        let nanos = (micros * 1_000).max(1) as i64;
        let it_value = Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = Itimerspec { it_interval, it_value };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }

    fn serve(&mut self, index: usize, readable: bool, closed: bool, chunk: &mut [u8]) {
        // Taken out, so that handling its frames can change the rest of the swarm.
        let Some(mut connection) = self.connections.get_mut(index).and_then(Option::take) else { return };
        let mut flow =
            if readable || closed { self.read(&mut connection, closed, chunk) } else { Flow::Continue };
        if connection.flush().is_err() {
            flow = Flow::Broken;
        }
        if flow == Flow::Continue {
            self.connections[index] = Some(connection);
            return;
        }
        if connection.phase != Phase::Ready {
            self.opening -= 1;
        }
        if flow == Flow::Broken {
            self.faults.broken += 1;
        }
        self.free.push(index);
    }

    fn read(&mut self, connection: &mut Connection, closed: bool, chunk: &mut [u8]) -> Flow {
        loop {
            let count = match connection.stream.read(chunk) {
                Ok(0) => return Flow::Broken,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Flow::Continue,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Flow::Broken,
            };
            let flow = self.receive(connection, &chunk[..count]);
            // After a short read nothing is left; `epoll` reports what comes later. Only an end has been reported
            // already.
            if flow != Flow::Continue || (count < chunk.len() && !closed) {
                return flow;
            }
        }
    }
}
