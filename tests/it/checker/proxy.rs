//! A TCP proxy in front of the server that can cut, freeze and half-close its connections.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Result;
use super::random::Random;

/// The state of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Flowing,
    /// Neither side receives anything.
    Frozen,
    /// The connection is closed on both sides.
    Cut,
    /// Closed from the client to the server.
    ClosedUp,
    /// Closed from the server to the client.
    ClosedDown,
}

/// A proxy; see the module.
#[derive(Clone)]
pub struct Proxy {
    /// `127.0.0.1:PORT`.
    pub host: String,
    pipes: Arc<Mutex<Vec<watch::Sender<State>>>>,
    /// The state of new connections.
    begins: Arc<Mutex<State>>,
    refuses: Arc<AtomicBool>,
}

impl Proxy {
    /// Forwards connections to `target` until the runtime ends.
    pub async fn start(target: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let host = listener.local_addr().map_err(|error| error.to_string())?.to_string();
        let begins = Arc::new(Mutex::new(State::Flowing));
        let proxy = Self { host, pipes: Arc::default(), begins, refuses: Arc::default() };
        let (pipes, begins, refuses) = (proxy.pipes.clone(), proxy.begins.clone(), proxy.refuses.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if refuses.load(Ordering::Acquire) {
                    continue;
                }
                // The lock that `change_all` also takes: no connection is missed.
                let begins = begins.lock().unwrap_or_else(PoisonError::into_inner);
                let (state, watched) = watch::channel(*begins);
                {
                    let mut pipes = pipes.lock().unwrap_or_else(PoisonError::into_inner);
                    pipes.retain(|pipe| !pipe.is_closed());
                    pipes.push(state);
                }
                tokio::spawn(carry(client, target.clone(), watched));
            }
        });
        Ok(proxy)
    }

    fn open(&self) -> Vec<watch::Sender<State>> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        pipes.retain(|pipe| !pipe.is_closed());
        pipes.clone()
    }

    fn some(&self, random: &mut Random, percent: u64) -> Vec<watch::Sender<State>> {
        let pipes = self.open();
        let chosen: Vec<_> = pipes.iter().filter(|_| random.percent(percent)).cloned().collect();
        // At least one connection is chosen.
        if chosen.is_empty() { random.pick(&pipes).cloned().into_iter().collect() } else { chosen }
    }

    /// Freezes all connections, old and new, without closing any, like a network outage.
    pub fn stall(&self) {
        self.change_all(State::Frozen);
    }

    /// Unfreezes all connections.
    pub fn flow(&self) {
        self.change_all(State::Flowing);
    }

    fn change_all(&self, to: State) {
        let mut begins = self.begins.lock().unwrap_or_else(PoisonError::into_inner);
        *begins = to;
        for pipe in self.open() {
            pipe.send_if_modified(|state| {
                let changes = matches!(state, State::Flowing | State::Frozen) && *state != to;
                *state = if changes { to } else { *state };
                changes
            });
        }
    }

    /// Refuses new connections and cuts the open ones, or accepts connections again.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Release);
        if refuses {
            for pipe in self.open() {
                pipe.send_replace(State::Cut);
            }
        }
    }

    /// Cuts some connections.
    pub fn cut(&self, random: &mut Random, percent: u64) {
        for pipe in self.some(random, percent) {
            pipe.send_replace(State::Cut);
        }
    }

    /// Closes some connections in one direction.
    pub fn half_close(&self, random: &mut Random) {
        for pipe in self.some(random, 30) {
            pipe.send_replace(if random.percent(50) { State::ClosedUp } else { State::ClosedDown });
        }
    }

    /// Freezes some connections for a while.
    pub fn freeze(&self, random: &mut Random, time: Duration) {
        for pipe in self.some(random, 40) {
            pipe.send_replace(State::Frozen);
            tokio::spawn(async move {
                sleep(time).await;
                pipe.send_if_modified(|state| {
                    let frozen = *state == State::Frozen;
                    *state = if frozen { State::Flowing } else { *state };
                    frozen
                });
            });
        }
    }
}

async fn carry(client: TcpStream, target: String, watched: watch::Receiver<State>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    // Sends small frames at once; a kernel that refuses only costs time.
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pump(from_client, to_server, watched.clone(), State::ClosedUp);
    let down = pump(from_server, to_client, watched.clone(), State::ClosedDown);
    let mut cut = watched;
    tokio::select! {
        _ = async { tokio::join!(up, down) } => {}
        _ = cut.wait_for(|state| *state == State::Cut) => {}
    }
}

/// Forwards one direction until it ends or is closed, then shuts down the other side.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    closed: State,
) {
    let mut buffer = vec![0; 16 * 1_024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = state.wait_for(|state| *state == closed) => break,
        };
        let Ok(bytes @ 1..) = read else { break };
        // Data that was read during a freeze waits as well.
        if state.wait_for(|state| *state != State::Frozen).await.is_err() {
            break;
        }
        let Some(read) = buffer.get(..bytes) else { break };
        if to.write_all(read).await.is_err() {
            break;
        }
    }
    drop(to.shutdown().await);
}
