//! A Socket.IO client over a bare websocket: it speaks Engine.IO 4 and Socket.IO 5 and sends nothing by itself, so that
//! tests see exactly what the server sends.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{PATIENCE, SILENCE};

/// A path and a namespace to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The engine's path.
    pub path: &'static str,
    /// The namespace.
    pub namespace: &'static str,
}

impl Transport {
    /// The usual one.
    pub const MAIN: Self = Self { path: "/ws/socket.io/", namespace: "/" };

    /// All combinations of both paths and both namespaces.
    pub const ALL: [Self; 4] = [
        Self::MAIN,
        Self { path: "/ws/socket.io/", namespace: "/ws" },
        Self { path: "/socket.io/", namespace: "/" },
        Self { path: "/socket.io/", namespace: "/ws" },
    ];

    /// Returns the text between a packet's type and its data.
    fn prefix(self) -> String {
        if self.namespace == "/" { String::new() } else { format!("{},", self.namespace) }
    }
}

/// One connection.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    transport: Transport,
    next_ack: u64,
    acks: VecDeque<(u64, Value)>,
    events: VecDeque<(String, Value)>,
    /// The server sent DISCONNECT or closed the connection.
    pub ended: bool,
    /// The server sent DISCONNECT, after which clients do not reconnect by themselves.
    pub dismissed: bool,
}

impl Socket {
    /// Connects with a token in the `auth` header; an error carries the `connect_error` message.
    pub async fn open(host: &str, token: Option<&str>, transport: Transport) -> Result<Self, String> {
        match token {
            Some(token) => Self::open_with(host, &[("auth", token)], transport).await,
            None => Self::open_with(host, &[], transport).await,
        }
    }

    /// Connects with these headers.
    pub async fn open_with(
        host: &str,
        headers: &[(&'static str, &str)],
        transport: Transport,
    ) -> Result<Self, String> {
        let url = format!("ws://{host}{}?EIO=4&transport=websocket", transport.path);
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let (stream, _) =
            timeout(PATIENCE, connect_async(request)).await.expect("in time").map_err(|it| it.to_string())?;
        let mut socket = Self {
            stream,
            transport,
            next_ack: 0,
            acks: VecDeque::new(),
            events: VecDeque::new(),
            ended: false,
            dismissed: false,
        };
        let open = socket.frame().await.ok_or("closed")?;
        assert!(open.starts_with('0'), "{open}");
        let mut wait_for = format!("40{}", transport.prefix());
        socket.send_text(wait_for.clone()).await;
        wait_for.push('{');
        let refused = format!("44{}", transport.prefix());
        loop {
            let text = socket.frame().await.ok_or("closed")?;
            if text.starts_with(&wait_for) {
                return Ok(socket);
            }
            if let Some(error) = text.strip_prefix(&refused) {
                let error: Value = serde_json::from_str(error).expect("JSON");
                return Err(error["message"].as_str().unwrap_or_default().to_owned());
            }
            socket.take(&text).await;
        }
    }

    async fn send_text(&mut self, text: String) {
        // The next read shows whether the connection is closed.
        drop(self.stream.send(Message::text(text)).await);
    }

    /// Sends this packet as it is, for packets that no client would send.
    pub async fn send_raw(&mut self, text: &str) {
        self.send_text(text.to_owned()).await;
    }

    /// Sends binary data, the attachment of a packet.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        drop(self.stream.send(Message::binary(bytes.to_vec())).await);
    }

    /// Waits for the answer to a CONNECT that the test has sent itself.
    pub async fn expect_connected(&mut self) {
        let wanted = format!("40{}{{", self.transport.prefix());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = timeout_at(deadline, self.frame()).await.expect("CONNECT is answered").expect("open");
            if text.starts_with(&wanted) {
                return;
            }
            self.take(&text).await;
        }
    }

    /// Sends an event without asking for an ack.
    pub async fn emit(&mut self, event: &str, payload: Value) {
        let text = format!("42{}{}", self.transport.prefix(), json!([event, payload]));
        self.send_text(text).await;
    }

    /// Sends an event; returns the number of its ack.
    pub async fn begin(&mut self, event: &str, payload: Value) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        let text = format!("42{}{id}{}", self.transport.prefix(), json!([event, payload]));
        self.send_text(text).await;
        id
    }

    /// Puts an event into the buffer without sending it yet; returns the number of its ack.
    pub async fn feed(&mut self, event: &str, payload: Value) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        let text = format!("42{}{id}{}", self.transport.prefix(), json!([event, payload]));
        drop(self.stream.feed(Message::text(text)).await);
        id
    }

    /// Sends what is in the buffer.
    pub async fn flush(&mut self) {
        drop(self.stream.flush().await);
    }

    /// Sends an event and waits for its ack.
    pub async fn call(&mut self, event: &str, payload: Value) -> Value {
        let id = self.begin(event, payload).await;
        self.ack(id).await
    }

    /// Sends an event whose payload is this text and waits for its ack.
    pub async fn call_raw(&mut self, event: &str, payload: &str) -> Value {
        let id = self.next_ack;
        self.next_ack += 1;
        self.send_text(format!("42{}{id}[\"{event}\",{payload}]", self.transport.prefix())).await;
        self.ack(id).await
    }

    /// Sends an event and waits for its ack; returns `None` if the connection ends first.
    pub async fn try_call(&mut self, event: &str, payload: Value) -> Option<Value> {
        let id = self.begin(event, payload).await;
        self.try_ack(id).await
    }

    /// Waits for an ack.
    pub async fn ack(&mut self, id: u64) -> Value {
        let ack = self.try_ack(id).await;
        ack.unwrap_or_else(|| panic!("the connection ended before ack {id}"))
    }

    /// Waits for an ack; returns `None` if the connection ends first.
    pub async fn try_ack(&mut self, id: u64) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.acks.iter().position(|(number, _)| *number == id) {
                return self.acks.remove(place).map(|(_, ack)| ack);
            }
            if self.ended {
                return None;
            }
            assert!(timeout_at(deadline, self.step()).await.is_ok(), "ack {id} did not come");
        }
    }

    /// Waits for an event with this name; keeps other events that arrive before it.
    pub async fn next(&mut self, name: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.events.iter().position(|(event, _)| event == name) {
                return self.events.remove(place).expect("found").1;
            }
            let got = timeout_at(deadline, self.step()).await;
            assert!(matches!(got, Ok(true)), "{name} did not come; ended: {}", self.ended);
        }
    }

    /// Returns all events that arrived so far and were not taken; does not wait.
    pub fn come(&mut self) -> Vec<(String, Value)> {
        self.events.drain(..).collect()
    }

    /// Returns all events that arrived and were not taken, after waiting long enough for late ones.
    pub async fn rest(&mut self) -> Vec<(String, Value)> {
        while let Ok(true) = timeout(SILENCE, self.step()).await {}
        self.events.drain(..).collect()
    }

    /// Checks that nothing more arrives.
    pub async fn expect_silence(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "expected silence, got {rest:?}");
    }

    /// Waits until the server has ended the connection.
    pub async fn expect_end(&mut self, within: Duration) {
        let deadline = Instant::now() + within;
        while !self.ended {
            assert!(timeout_at(deadline, self.step()).await.is_ok(), "the connection did not end in time");
        }
    }

    /// Reads one frame; returns false at the end.
    async fn step(&mut self) -> bool {
        if let Some(text) = self.frame().await {
            self.take(&text).await;
            !self.ended
        } else {
            self.ended = true;
            false
        }
    }

    async fn frame(&mut self) -> Option<String> {
        loop {
            match self.stream.next().await? {
                Ok(Message::Text(text)) => return Some(text.to_string()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn take(&mut self, text: &str) {
        if text == "2" {
            self.send_text("3".into()).await;
            return;
        }
        let prefix = self.transport.prefix();
        if text == "1" || text == format!("41{prefix}") {
            self.ended = true;
            self.dismissed = text.starts_with("41");
            return;
        }
        if let Some(data) = text.strip_prefix(&format!("42{prefix}")) {
            let parts: Vec<Value> = serde_json::from_str(data).expect("an event");
            let name = parts[0].as_str().expect("a name").to_owned();
            self.events.push_back((name, parts.get(1).cloned().unwrap_or(Value::Null)));
        } else if let Some(data) = text.strip_prefix(&format!("43{prefix}")) {
            let split = data.find('[').expect("an ack");
            let parts: Vec<Value> = serde_json::from_str(&data[split..]).expect("JSON");
            let id = data[..split].parse().expect("a number");
            self.acks.push_back((id, parts.into_iter().next().unwrap_or(Value::Null)));
        } else {
            panic!("an unknown packet: {text}");
        }
    }
}
