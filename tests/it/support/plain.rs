//! A client of the plain WebSocket (RFC 6455) that sends nothing by itself, in the style of `Socket`.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{PATIENCE, SILENCE};

/// One connection.
pub struct Plain {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u64,
    acks: VecDeque<(Value, Value)>,
    events: VecDeque<(String, Value)>,
    /// The number of pings from the server.
    pub pings: usize,
    /// The code of the server's close frame.
    pub closed: Option<u16>,
    /// Whether the connection has ended.
    pub ended: bool,
}

impl Plain {
    /// Upgrades at `path` with these headers and sends nothing; an error is the HTTP status.
    pub async fn upgrade(host: &str, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{host}{path}").into_client_request().expect("a request");
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a header");
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        match timeout(PATIENCE, connect_async(request)).await.expect("in time") {
            Ok((stream, _)) => Ok(Self {
                stream,
                next_id: 0,
                acks: VecDeque::new(),
                events: VecDeque::new(),
                pings: 0,
                closed: None,
                ended: false,
            }),
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("no upgrade at {path}: {error}"),
        }
    }

    /// Upgrades and sends the auth frame; returns the welcome, or the refusal with its close code.
    pub async fn open(host: &str, path: &str, token: &str) -> Result<(Self, Value), (Value, u16)> {
        let mut plain = Self::upgrade(host, path, &[]).await.expect("upgrades");
        plain.send_raw(&json!({"type": "auth", "token": token, "id": "first"}).to_string()).await;
        let welcome = plain.ack_of(&json!("first")).await;
        if welcome["ok"] == json!(true) {
            return Ok((plain, welcome));
        }
        let code = plain.expect_close(PATIENCE).await;
        Err((welcome, code))
    }

    /// Sends this text as it is, for frames that no client would send.
    pub async fn send_raw(&mut self, text: &str) {
        // The next read shows whether the connection is closed.
        drop(self.stream.send(Message::text(text)).await);
    }

    /// Sends a message that is not text.
    pub async fn send_message(&mut self, message: Message) {
        drop(self.stream.send(message).await);
    }

    /// Sends an event without asking for an ack.
    pub async fn emit(&mut self, event: &str, payload: Value) {
        let mut frame = payload;
        frame["type"] = json!(event);
        self.send_raw(&frame.to_string()).await;
    }

    /// Sends an event and waits for its ack.
    pub async fn call(&mut self, event: &str, payload: Value) -> Value {
        let id = json!(self.next_id);
        self.next_id += 1;
        let mut frame = payload;
        frame["type"] = json!(event);
        frame["id"] = id.clone();
        self.send_raw(&frame.to_string()).await;
        self.ack_of(&id).await
    }

    /// Sends an event whose payload is the text of an object, in a text or binary frame, and waits for its ack.
    pub async fn call_raw(&mut self, event: &str, payload: &str, is_binary: bool) -> Value {
        let id = json!(self.next_id);
        self.next_id += 1;
        let fields = payload.strip_prefix('{').expect("an object");
        let comma = if fields.trim() == "}" { "" } else { "," };
        let frame = format!("{{\"type\":\"{event}\",\"id\":{id}{comma}{fields}");
        let message = if is_binary { Message::binary(frame) } else { Message::text(frame) };
        self.send_message(message).await;
        self.ack_of(&id).await
    }

    /// Waits for the ack with this id.
    pub async fn ack_of(&mut self, id: &Value) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.acks.iter().position(|(known, _)| known == id) {
                return self.acks.remove(place).expect("found").1;
            }
            let got = timeout_at(deadline, self.step()).await;
            assert!(matches!(got, Ok(true)), "ack {id} did not come; closed: {:?}", self.closed);
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
            assert!(matches!(got, Ok(true)), "{name} did not come; closed: {:?}", self.closed);
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
        assert!(rest.is_empty() && self.acks.is_empty(), "expected silence, got {rest:?} {:?}", self.acks);
    }

    /// Waits until the server closes the connection; returns the close code.
    pub async fn expect_close(&mut self, within: Duration) -> u16 {
        let deadline = Instant::now() + within;
        while !self.ended {
            assert!(timeout_at(deadline, self.step()).await.is_ok(), "it was not closed in time");
        }
        self.closed.expect("a close frame with a code")
    }

    /// Reads frames of any protocol until one begins with `start`; returns false if the connection ends first.
    pub async fn hears(&mut self, start: &str) -> bool {
        let heard = async {
            while let Some(Ok(frame)) = self.stream.next().await {
                if let Message::Close(frame) = &frame {
                    self.closed = frame.as_ref().map(|it| it.code.into());
                } else if frame.to_text().is_ok_and(|text| text.starts_with(start)) {
                    return true;
                }
            }
            false
        };
        timeout(PATIENCE, heard).await.unwrap_or(false)
    }

    /// Reads frames of any protocol until the server ends the connection.
    pub async fn drain_until_end(&mut self, within: Duration) {
        let drained = timeout(within, async { while let Some(Ok(_)) = self.stream.next().await {} }).await;
        assert!(drained.is_ok(), "it did not end in time");
    }

    /// Waits for a ping from the server.
    pub async fn expect_ping(&mut self, within: Duration) {
        let deadline = Instant::now() + within;
        let before = self.pings;
        while self.pings == before {
            let got = timeout_at(deadline, self.step()).await;
            assert!(matches!(got, Ok(true)), "no ping came; closed: {:?}", self.closed);
        }
    }

    /// Reads one frame; returns false at the end.
    async fn step(&mut self) -> bool {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => self.take(&text),
            Some(Ok(Message::Ping(_))) => self.pings += 1,
            Some(Ok(Message::Close(frame))) => {
                self.closed = frame.map(|it| it.code.into());
                self.ended = true;
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => self.ended = true,
        }
        !self.ended
    }

    fn take(&mut self, text: &str) {
        let mut frame: Value = serde_json::from_str(text).expect("JSON");
        let fields = frame.as_object_mut().expect("an object");
        let name = fields.remove("type").expect("a type").as_str().expect("a text").to_owned();
        if name == "ack" {
            let id = fields.remove("id").expect("acks carry an id");
            self.acks.push_back((id, frame));
        } else {
            self.events.push_back((name, frame));
        }
    }
}
