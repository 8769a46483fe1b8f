//! One client connection of the load generator: a non-blocking socket, what was read of an incomplete frame, and what
//! could not be written yet. Idle connections hold no buffers.

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

use super::dialect::Dialect;
use super::frame;
use crate::Result;
use crate::ledger::Ledger;

/// The number of loopback addresses that connections come from, because each has only 28,000 ports.
const SOURCES: usize = 20;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The upgrade request was sent.
    Upgrading,
    /// The connection is a WebSocket; the rooms are not joined yet.
    Joining,
    /// The rooms are joined.
    Ready,
}

/// What a connection does in its chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It only receives.
    Listener,
    /// It sends, and receives acknowledgements.
    Sender,
}

/// A connection.
pub struct Connection {
    /// The socket.
    pub stream: TcpStream,
    /// How far it is.
    pub phase: Phase,
    /// The index of its account.
    pub account: usize,
    /// The index of the chat that it takes part in, and how.
    pub chat: Option<(usize, Role)>,
    /// What it received: the deliveries of a listener, the acknowledgements of a sender.
    pub ledger: Ledger,
    /// What was read of an incomplete frame.
    pub partial: Vec<u8>,
    out: Vec<u8>,
}

impl Connection {
    /// Begins to connect to `server` and queues the upgrade request. `count` selects the source address.
    pub fn open(server: SocketAddr, dialect: Dialect, account: usize, count: usize) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let source = SocketAddr::from(([127, 0, 0, 2 + (count % SOURCES) as u8], 0));
        socket.bind(&source.into())?;
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(format!("{server}: {error}").into());
            }
            _ => {}
        }
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bWFuZ28tYmVuY2gta2V5IQ==\r\n\r\n",
            dialect.path()
        );
        Ok(Self {
            stream: TcpStream::from_std(socket.into()),
            phase: Phase::Upgrading,
            account,
            chat: None,
            ledger: Ledger::default(),
            partial: Vec::new(),
            out: request.into_bytes(),
        })
    }

    /// Queues a frame.
    pub fn push(&mut self, opcode: u8, payload: &[u8]) {
        frame::write(&mut self.out, opcode, payload);
    }

    /// Writes what is queued, as far as the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut written = 0;
        let result = loop {
            let Some(rest) = self.out.get(written..).filter(|rest| !rest.is_empty()) else { break Ok(()) };
            match self.stream.write(rest) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    break Ok(());
                }
                Err(error) => break Err(error),
            }
        };
        if written == self.out.len() {
            self.out = Vec::new();
        } else {
            self.out.drain(..written);
        }
        result
    }
}

/// Returns the length of the response's head when it is complete; an error if it is not an upgrade.
pub fn upgraded(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    if bytes.starts_with(b"HTTP/1.1 101") {
        return Ok(Some(end + 4));
    }
    Err(format!("no WebSocket: {}", String::from_utf8_lossy(&bytes[..end.min(200)])).into())
}

#[cfg(test)]
mod tests {
    use super::upgraded;

    #[test]
    fn only_an_upgrade_is_accepted() {
        let response = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00";
        assert_eq!(upgraded(response).expect("an upgrade"), Some(response.len() - 2));
        assert_eq!(upgraded(&response[..20]).expect("the beginning"), None);
        assert!(upgraded(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_err());
    }
}
