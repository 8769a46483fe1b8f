//! The wire below the connections of one session: it may change from polling to websocket, and two
//! namespaces share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::listener::{Gate, InFlight};

/// Bytes that may wait for one client. What is beyond it ends the connection; one large answer alone
/// does not.
const MAX_BACKLOG: u64 = 8 * 1_024 * 1_024;

/// See the file.
#[derive(Default)]
pub struct Wire {
    /// Of the websocket; while it polls, one that only counts.
    gate: Mutex<Way>,
    dead: AtomicBool,
    /// Bytes handed over so far, caught up with what left where that is more (frames have heads).
    handed: AtomicU64,
}

/// How bytes travel.
enum Way {
    /// Request by request; the gate counts what answers carried and what is in flight.
    Polling(Arc<Gate>),
    /// Over one TCP connection.
    WebSocket(Arc<Gate>),
}

impl Default for Way {
    fn default() -> Self {
        Self::Polling(Arc::default())
    }
}

impl Way {
    fn gate(&self) -> &Arc<Gate> {
        match self {
            Self::Polling(gate) | Self::WebSocket(gate) => gate,
        }
    }
}

impl Wire {
    /// Puts the wire behind a TCP connection's gate: it is a websocket now. What had been handed over
    /// before does not count against it.
    pub fn set_gate(&self, gate: Arc<Gate>) {
        let mut way = self.gate.lock();
        self.handed.store(0, Ordering::Release);
        *way = Way::WebSocket(gate);
    }

    /// The gate of its TCP connection, where the wire is a websocket.
    pub fn websocket(&self) -> Option<Arc<Gate>> {
        match &*self.gate.lock() {
            Way::WebSocket(gate) => Some(gate.clone()),
            Way::Polling(_) => None,
        }
    }

    /// An event came in over it.
    pub fn enter(&self) -> InFlight {
        self.gate.lock().gate().enter()
    }

    /// The gate that counts a polling client's bytes and events.
    pub fn polling(&self) -> Option<Arc<Gate>> {
        match &*self.gate.lock() {
            Way::Polling(gate) => Some(gate.clone()),
            Way::WebSocket(_) => None,
        }
    }

    /// Counts bytes that are to be written; false where too many wait already.
    pub fn take(&self, bytes: usize) -> bool {
        let way = self.gate.lock();
        let written = way.gate().written();
        let handed = self.handed.load(Ordering::Acquire).max(written);
        self.handed.store(handed + bytes as u64, Ordering::Release);
        handed - written <= MAX_BACKLOG
    }

    /// Bytes that wait to be written, about.
    pub fn backlog(&self) -> u64 {
        let way = self.gate.lock();
        self.handed.load(Ordering::Acquire).saturating_sub(way.gate().written())
    }

    /// Ends the wire: a websocket at once, polling with its next request.
    pub fn end(&self) {
        self.dead.store(true, Ordering::Release);
        if let Some(gate) = self.websocket() {
            gate.end();
        }
    }

    /// Whether it was ended.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }
}
