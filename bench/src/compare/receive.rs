//! What the connections of a swarm receive. Frames are told apart by their first bytes and checked by the marker in
//! their content, without decoding JSON, so that the load generator costs less than the servers that it measures.

use std::borrow::Cow;

use super::connection::{Connection, Phase, Role, upgraded};
use super::dialect::{self, Dialect, Received};
use super::frame::{self, Frame};
use super::swarm::Swarm;
use crate::Result;

/// Protocol errors that are printed; more would only repeat them.
const PRINTED: u64 = 3;

/// What happens to a connection after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    /// It has done what it should do.
    Done,
    /// It ended without being asked to.
    Broken,
}

impl Swarm {
    /// Handles bytes that were read from a connection.
    pub(super) fn receive(&mut self, connection: &mut Connection, bytes: &[u8]) -> Flow {
        let mut joined = std::mem::take(&mut connection.partial);
        let bytes = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        match self.frames(connection, bytes) {
            Ok((flow, used)) => {
                connection.partial = bytes[used..].to_vec();
                flow
            }
            Err(error) => {
                if self.faults.broken < PRINTED {
                    eprintln!("mango-bench: {error}");
                }
                Flow::Broken
            }
        }
    }

    /// Handles all complete frames; returns how many bytes they have.
    fn frames(&mut self, connection: &mut Connection, bytes: &[u8]) -> Result<(Flow, usize)> {
        let mut at = 0;
        if connection.phase == Phase::Upgrading {
            let Some(end) = upgraded(bytes)? else { return Ok((Flow::Continue, 0)) };
            at = end;
            connection.phase = Phase::Joining;
            if self.endpoint.dialect == Dialect::Plain {
                self.log_in(connection);
            }
        }
        let now = self.micros();
        while let Some(Frame { opcode, start, end }) = frame::parse(&bytes[at..])? {
            let payload = &bytes[at + start..at + end];
            at += end;
            match opcode {
                frame::TEXT => {
                    let flow = self.handle(connection, payload, now)?;
                    if flow != Flow::Continue {
                        return Ok((flow, at));
                    }
                }
                frame::PING => connection.push(frame::PONG, payload),
                frame::CLOSE => {
                    let reason = payload.get(2..).map(String::from_utf8_lossy);
                    return Err(format!("the server closed a connection: {reason:?}").into());
                }
                _ => {}
            }
        }
        Ok((Flow::Continue, at))
    }

    fn log_in(&self, connection: &mut Connection) {
        if let Some(login) = self.endpoint.logins.get(connection.account) {
            connection.push(frame::TEXT, login.as_bytes());
        }
    }

    fn handle(&mut self, connection: &mut Connection, text: &[u8], now: u64) -> Result<Flow> {
        match self.endpoint.dialect.classify(text, connection.phase == Phase::Ready) {
            Received::Delivery => self.delivered(connection, text, now),
            Received::Ack => self.acknowledged(connection, text, now),
            Received::Ping => connection.push(frame::TEXT, b"3"),
            Received::Open => self.log_in(connection),
            Received::Ready => {
                connection.phase = Phase::Ready;
                self.opening -= 1;
                self.tally.ready += 1;
                if self.churning {
                    connection.push(frame::CLOSE, &1_000_u16.to_be_bytes());
                    return Ok(Flow::Done);
                }
            }
            Received::Refused => {
                return Err(format!("refused: {}", beginning(text)).into());
            }
            Received::Other => {}
        }
        Ok(Flow::Continue)
    }

    fn delivered(&mut self, connection: &mut Connection, text: &[u8], now: u64) {
        match (self.finder.find(text), connection.chat) {
            (Some(marker), Some((chat, Role::Listener))) if marker.chat == chat => {
                connection.ledger.record(marker.number);
                self.tally.deliveries += 1;
                self.tally.delivery.record(now.saturating_sub(marker.micros));
            }
            _ => self.faults.stray += 1,
        }
    }

    fn acknowledged(&mut self, connection: &mut Connection, text: &[u8], now: u64) {
        let Some((index, Role::Sender)) = connection.chat else {
            self.faults.stray += 1;
            return;
        };
        let chat = &mut self.chats[index];
        chat.in_flight = chat.in_flight.saturating_sub(1);
        if let Some(marker) = self.finder.find(text).filter(|_| dialect::is_ok(text)) {
            connection.ledger.record(marker.number);
            self.tally.acks += 1;
            self.tally.ack.record(now.saturating_sub(marker.micros));
        } else {
            if self.faults.rejected < PRINTED {
                eprintln!("mango-bench: {}", beginning(text));
            }
            self.faults.rejected += 1;
        }
        while self.chats[index].in_flight < self.chats[index].window {
            self.queue_send(connection, index);
        }
    }
}

/// Returns the beginning of a frame for an error message.
fn beginning(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&text[..text.len().min(300)])
}
