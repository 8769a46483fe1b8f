//! What the connections of a swarm send: in a closed loop or at a fixed rate; and the check that every listener gets
//! every message once and in order.

use std::time::{Duration, Instant};

use super::connection::{Connection, Role};
use super::faults::Faults;
use super::frame;
use super::histogram::Histogram;
use super::marker::Marker;
use super::swarm::Swarm;
use crate::Result;
use crate::ledger::Ledger;

/// How long missing messages are waited for after the last one that arrived.
const SILENCE: Duration = Duration::from_secs(2);

/// A chat with one sender.
pub(super) struct Chat {
    /// The server's id of the chat.
    id: i64,
    /// The index of the sender's connection.
    sender: usize,
    /// Messages sent so far.
    sent: i64,
    /// Messages sent before the current measurement.
    base: i64,
    /// Sends without an acknowledgement.
    pub(super) in_flight: usize,
    /// Sends that the sender keeps in flight; 0 if it does not send in a closed loop.
    pub(super) window: usize,
}

/// Sends at a fixed rate in the first chat.
pub(super) struct Pace {
    interval: u64,
    next: u64,
}

/// What was counted since the measurement began.
#[derive(Default)]
pub struct Tally {
    /// Connections that became ready.
    pub ready: u64,
    /// Messages that listeners received.
    pub deliveries: u64,
    /// Acknowledgements that senders received.
    pub acks: u64,
    /// Time from send to receipt by a listener.
    pub delivery: Histogram,
    /// Time from send to acknowledgement.
    pub ack: Histogram,
}

impl Swarm {
    /// Adds a chat: the connection `sender` sends, the connections `listeners` receive.
    pub fn add_chat(
        &mut self,
        id: i64,
        sender: usize,
        listeners: impl IntoIterator<Item = usize>,
    ) -> Result<()> {
        let index = self.chats.len();
        self.chats.push(Chat { id, sender, sent: 0, base: 0, in_flight: 0, window: 0 });
        let roles = listeners.into_iter().map(|listener| (listener, Role::Listener));
        for (connection, role) in roles.chain([(sender, Role::Sender)]) {
            let connection = self.connections.get_mut(connection).and_then(Option::as_mut);
            connection.ok_or("a member of the chat is not connected")?.chat = Some((index, role));
        }
        Ok(())
    }

    /// Forgets what was counted and begins to send in all chats, `window` messages in flight in each.
    pub fn start(&mut self, window: usize) -> Result<()> {
        self.forget();
        for index in 0..self.chats.len() {
            self.chats[index].window = window;
            for _ in 0..window {
                self.send_now(index)?;
            }
        }
        Ok(())
    }

    /// Forgets what was counted and begins to send in the first chat, a message every `interval`.
    pub fn start_pace(&mut self, interval: Duration) {
        self.forget();
        self.pace = Some(Pace { interval: interval.as_micros() as u64, next: self.micros() });
    }

    /// Begins a measurement: from now on it counts anew.
    pub fn begin(&mut self) {
        self.tally = Tally::default();
    }

    /// Returns what was counted since `begin`.
    pub fn end(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Stops sending, waits for what is on its way and returns what went wrong since the start.
    pub fn stop(&mut self) -> Result<Faults> {
        self.pace = None;
        for chat in &mut self.chats {
            chat.window = 0;
        }
        let mut progress = (Instant::now(), 0);
        while !self.is_complete() && progress.0.elapsed() < SILENCE {
            self.run(Duration::from_millis(20))?;
            let received = self.tally.deliveries + self.tally.acks;
            if received != progress.1 {
                progress = (Instant::now(), received);
            }
        }
        Ok(self.check())
    }

    fn forget(&mut self) {
        self.faults = Faults::default();
        for chat in &mut self.chats {
            (chat.base, chat.in_flight) = (chat.sent, 0);
        }
        for connection in self.connections.iter_mut().flatten() {
            if let Some((chat, _)) = connection.chat {
                connection.ledger = Ledger::new(self.chats[chat].base);
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.connections.iter().flatten().all(|connection| match connection.chat {
            Some((chat, _)) => connection.ledger.missing(self.chats[chat].sent) == 0,
            None => true,
        })
    }

    fn check(&self) -> Faults {
        let mut faults = self.faults.clone();
        for connection in self.connections.iter().flatten() {
            let Some((chat, role)) = connection.chat else { continue };
            let (chat, ledger) = (&self.chats[chat], &connection.ledger);
            let missing = ledger.missing(chat.sent);
            faults.doubled += ledger.duplicates;
            match role {
                // Acknowledgements may come in any order.
                Role::Sender => faults.unanswered += missing,
                Role::Listener => {
                    faults.expected += (chat.sent - chat.base).unsigned_abs();
                    faults.lost += missing;
                    faults.reordered += ledger.out_of_order;
                }
            }
        }
        // A failure is an answer.
        faults.unanswered = faults.unanswered.saturating_sub(faults.rejected);
        faults
    }

    /// Sends the messages of the fixed rate that are due, and sets the timer for the next one.
    pub(super) fn send_what_is_due(&mut self) -> Result<()> {
        loop {
            let now = self.micros();
            let Some(pace) = &mut self.pace else { return Ok(()) };
            if pace.next > now {
                let wait = pace.next - now;
                return self.wake_after(wait);
            }
            pace.next += pace.interval;
            self.send_now(0)?;
        }
    }

    fn send_now(&mut self, chat: usize) -> Result<()> {
        let sender = self.chats[chat].sender;
        let mut connection =
            self.connections.get_mut(sender).and_then(Option::take).ok_or("the sender's connection ended")?;
        self.queue_send(&mut connection, chat);
        let flushed = connection.flush();
        self.connections[sender] = Some(connection);
        Ok(flushed?)
    }

    /// Queues the next message of a chat on its sender's connection.
    pub(super) fn queue_send(&mut self, connection: &mut Connection, index: usize) {
        let micros = self.micros();
        let chat = &mut self.chats[index];
        chat.sent += 1;
        chat.in_flight += 1;
        let marker = Marker { chat: index, number: chat.sent, micros };
        self.endpoint.dialect.send(&mut self.text, chat.id, &marker);
        connection.push(frame::TEXT, self.text.as_bytes());
    }
}
