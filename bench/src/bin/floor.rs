//! `floor`: a plain WebSocket server without framework, authentication or database, for the comparison bench. Shows what
//! is left of the cost of a delivery when a server does nothing else: it builds a frame once per message, puts it into
//! the queue of every member's connection, and writes each queue with one system call after it has handled everything
//! readable. One thread. Environment: PORT.
//!
//! Frames: RFC 6455. The first frame is `{"type":"auth","id":…,"chats":[…]}`; then the plain WebSocket protocol of Mango
//! Chat, `send_message` only.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command line tool is for")]

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::env;
use std::io::{self, ErrorKind, IoSlice};
use std::process::ExitCode;
use std::rc::Rc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The most frames that one system call writes.
const SLICES: usize = 256;

/// A request from a client.
#[derive(Deserialize)]
struct Request<'a> {
    id: Option<u64>,
    #[serde(default)]
    chats: Vec<i64>,
    #[serde(borrow)]
    message: Option<Draft<'a>>,
}

#[derive(Deserialize)]
struct Draft<'a> {
    chat_id: i64,
    content: &'a str,
    message_type: &'a str,
}

#[derive(Serialize)]
struct Stored<'a> {
    id: u64,
    chat_id: i64,
    content: &'a str,
    message_type: &'a str,
}

#[derive(Serialize)]
struct Ack<'a> {
    r#type: &'a str,
    id: Option<u64>,
    ok: bool,
    message: Option<&'a Stored<'a>>,
}

#[derive(Serialize)]
struct NewMessage<'a> {
    r#type: &'a str,
    #[serde(flatten)]
    message: &'a Stored<'a>,
}

/// One client. Everything runs on one thread, so nothing is locked.
struct Connection {
    stream: TcpStream,
    queue: RefCell<VecDeque<Bytes>>,
    /// Whether the connection is in the list of those to flush, or waits until it is writable.
    dirty: Cell<bool>,
}

#[derive(Default)]
struct Server {
    rooms: RefCell<HashMap<i64, Vec<Rc<Connection>>>>,
    dirty: RefCell<Vec<Rc<Connection>>>,
    flush: Notify,
    next_id: Cell<u64>,
}

impl Server {
    fn push(&self, connection: &Rc<Connection>, frame: Bytes) {
        connection.queue.borrow_mut().push_back(frame);
        if !connection.dirty.replace(true) {
            self.dirty.borrow_mut().push(connection.clone());
            self.flush.notify_one();
        }
    }

    fn handle(&self, connection: &Rc<Connection>, text: &[u8]) -> Result<Vec<i64>> {
        let request: Request = serde_json::from_slice(text)?;
        let Some(draft) = request.message else {
            let ack = Ack { r#type: "ack", id: request.id, ok: true, message: None };
            self.push(connection, frame(&ack)?);
            for chat in &request.chats {
                self.rooms.borrow_mut().entry(*chat).or_default().push(connection.clone());
            }
            return Ok(request.chats);
        };
        let id = self.next_id.get() + 1;
        self.next_id.set(id);
        let Draft { chat_id, content, message_type } = draft;
        let message = Stored { id, chat_id, content, message_type };
        self.push(
            connection,
            frame(&Ack { r#type: "ack", id: request.id, ok: true, message: Some(&message) })?,
        );
        let delivery = frame(&NewMessage { r#type: "new_message", message: &message })?;
        if let Some(members) = self.rooms.borrow().get(&chat_id) {
            for member in members.iter().filter(|member| !Rc::ptr_eq(member, connection)) {
                self.push(member, delivery.clone());
            }
        }
        Ok(Vec::new())
    }

    /// Writes the queues whenever the tasks that read have nothing left to read.
    async fn flush(self: Rc<Self>) {
        loop {
            self.flush.notified().await;
            for connection in self.dirty.take() {
                if connection.write() {
                    connection.dirty.set(false);
                    continue;
                }
                let server = self.clone();
                spawn_local(async move {
                    if connection.stream.writable().await.is_ok() {
                        server.dirty.borrow_mut().push(connection);
                        server.flush.notify_one();
                    }
                });
            }
        }
    }

    async fn serve(self: Rc<Self>, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let connection = Rc::new(Connection { stream, queue: RefCell::default(), dirty: Cell::new(false) });
        let mut joined = Vec::new();
        let result = self.read(&connection, &mut joined).await;
        for chat in joined {
            if let Some(members) = self.rooms.borrow_mut().get_mut(&chat) {
                members.retain(|member| !Rc::ptr_eq(member, &connection));
            }
        }
        result
    }

    async fn read(&self, connection: &Rc<Connection>, joined: &mut Vec<i64>) -> Result<()> {
        let mut buffer = Vec::new();
        let mut upgraded = false;
        loop {
            connection.stream.readable().await?;
            let mut chunk = [0; 8 * 1_024];
            match connection.stream.try_read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => buffer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            if !upgraded {
                let Some(response) = handshake(&buffer)? else { continue };
                self.push(connection, response);
                buffer.clear();
                upgraded = true;
            }
            let mut at = 0;
            while let Some((opcode, start, end)) = unmask(&mut buffer[at..])? {
                match opcode {
                    1 => joined.extend(self.handle(connection, &buffer[at + start..at + end])?),
                    8 => return Ok(()),
                    _ => {}
                }
                at += end;
            }
            buffer.drain(..at);
            if buffer.is_empty() {
                // An idle connection holds no buffer.
                buffer = Vec::new();
            }
        }
    }
}

impl Connection {
    /// Writes the queue; returns whether it is empty, or can never be written.
    fn write(&self) -> bool {
        let mut queue = self.queue.borrow_mut();
        while !queue.is_empty() {
            let slices: Vec<IoSlice> = queue.iter().take(SLICES).map(|frame| IoSlice::new(frame)).collect();
            match self.stream.try_write_vectored(&slices) {
                Ok(mut written) => {
                    while let Some(front) = queue.front_mut().filter(|_| written > 0) {
                        let part = written.min(front.len());
                        written -= part;
                        if part == front.len() {
                            queue.pop_front();
                        } else {
                            *front = front.slice(part..);
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // The reading task ends the connection.
                Err(_) => queue.clear(),
            }
        }
        // An idle connection holds no buffer.
        *queue = VecDeque::new();
        true
    }
}

/// Returns the response to a complete request for a WebSocket.
fn handshake(request: &[u8]) -> Result<Option<Bytes>> {
    if !request.ends_with(b"\r\n\r\n") {
        return Ok(None);
    }
    let key = std::str::from_utf8(request)?
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
        .ok_or("the request has no Sec-WebSocket-Key")?
        .1;
    let accept = derive_accept_key(key.trim().as_bytes());
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket";
    Ok(Some(format!("{head}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").into()))
}

/// Unmasks the first frame if it is complete; returns its opcode, and where its payload starts and ends.
fn unmask(bytes: &mut [u8]) -> Result<Option<(u8, usize, usize)>> {
    let [first, second, rest @ ..] = &*bytes else { return Ok(None) };
    if first & 0x80 == 0 || second & 0x80 == 0 {
        return Err("only masked frames in one piece are supported".into());
    }
    let (length, head) = match (second & 0x7f, rest) {
        (126, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 4),
        (126, _) => return Ok(None),
        (127, _) => return Err("the frame is too long".into()),
        (length, _) => (usize::from(length), 2),
    };
    let (opcode, start, end) = (first & 0x0f, head + 4, head + 4 + length);
    if bytes.len() < end {
        return Ok(None);
    }
    let (mask, payload) = bytes[head..end].split_at_mut(4);
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok(Some((opcode, start, end)))
}

/// Builds an unmasked text frame.
fn frame(value: &impl Serialize) -> Result<Bytes> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, value)?;
    let length = frame.len() - 4;
    if length < 126 {
        frame[2..4].copy_from_slice(&[0x81, length as u8]);
        return Ok(Bytes::from(frame).slice(2..));
    }
    let [high, low] = u16::try_from(length)?.to_be_bytes();
    frame[..4].copy_from_slice(&[0x81, 126, high, low]);
    Ok(frame.into())
}

async fn serve() -> Result<()> {
    let port: u16 = env::var("PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening");
    let server = Rc::new(Server::default());
    spawn_local(server.clone().flush());
    loop {
        let (stream, _) = listener.accept().await?;
        let server = server.clone();
        spawn_local(async move {
            if let Err(error) = server.serve(stream).await
                && error.downcast_ref::<io::Error>().is_none()
            {
                eprintln!("floor: {error}");
            }
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if let Err(error) = LocalSet::new().run_until(serve()).await {
        eprintln!("floor: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
