//! A Socket.IO or plain WebSocket connection that may break at any moment: nothing here panics, every end is an error.
//! It knows frames, not their meaning.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Result, text};

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The ways to connect: Socket.IO by path and namespace, and the plain WebSocket (`None`).
pub const TRANSPORTS: [Option<(&str, &str)>; 5] = [
    Some(("/ws/socket.io/", "")),
    None,
    Some(("/ws/socket.io/", "/ws,")),
    Some(("/socket.io/", "")),
    Some(("/socket.io/", "/ws,")),
];

/// A received frame.
pub enum Incoming {
    /// The ack of a send.
    Ack(u64, Value),
    /// A server event.
    Event(String, Value),
}

/// A connection; see the module.
pub struct Framing {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The prefix of a Socket.IO packet's data; `None` for the plain WebSocket.
    namespace: Option<&'static str>,
    next_id: u64,
}

impl Framing {
    /// Connects and waits for the welcome event.
    pub async fn open(host: &str, token: &str, transport: Option<(&str, &'static str)>) -> Result<Self> {
        timeout(PATIENCE, Self::enter(host, token, transport)).await.map_err(|_| "no welcome in time")?
    }

    async fn enter(host: &str, token: &str, transport: Option<(&str, &'static str)>) -> Result<Self> {
        let url = match transport {
            Some((path, _)) => format!("ws://{host}{path}?EIO=4&transport=websocket"),
            None => format!("ws://{host}/ws"),
        };
        let mut request = url.into_client_request().map_err(text)?;
        request.headers_mut().insert("auth", token.parse().map_err(text)?);
        let (stream, _) = connect_async(request).await.map_err(text)?;
        let mut framing = Self { stream, namespace: transport.map(|(_, namespace)| namespace), next_id: 0 };
        match framing.namespace {
            Some(namespace) => {
                framing.stream.send(Message::text(format!("40{namespace}"))).await.map_err(text)?;
                loop {
                    if let Incoming::Event(name, _) = framing.next().await?
                        && name == "ready"
                    {
                        return Ok(framing);
                    }
                }
            }
            None => loop {
                let frame: Value = serde_json::from_str(&framing.frame().await?).map_err(text)?;
                if frame["type"] == json!("ack") {
                    return if frame["ok"] == json!(true) { Ok(framing) } else { Err(frame.to_string()) };
                }
            },
        }
    }

    /// Sends an event and returns the number of its ack.
    pub async fn send(&mut self, event: &str, payload: &Value) -> Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        let text = if let Some(namespace) = self.namespace {
            format!("42{namespace}{id}{}", json!([event, payload]))
        } else {
            let mut frame = payload.clone();
            frame["type"] = json!(event);
            frame["id"] = json!(id);
            frame.to_string()
        };
        // A connection that accepts no more data is as good as cut.
        let sent = timeout(PATIENCE, self.stream.send(Message::text(text))).await;
        sent.map_err(|_| "it takes nothing")?.map_err(|error| error.to_string())?;
        Ok(id)
    }

    /// Returns the next ack or event.
    pub async fn next(&mut self) -> Result<Incoming> {
        loop {
            let frame = self.frame().await?;
            let Some(namespace) = self.namespace else {
                let mut frame: Value = serde_json::from_str(&frame).map_err(text)?;
                let fields = frame.as_object_mut().ok_or("no object")?;
                let name = fields.remove("type").and_then(|it| it.as_str().map(str::to_owned));
                let name = name.ok_or("no type")?;
                if name != "ack" {
                    return Ok(Incoming::Event(name, frame));
                }
                let id = fields.remove("id").and_then(|it| it.as_u64()).ok_or("an ack for nobody")?;
                return Ok(Incoming::Ack(id, frame));
            };
            if frame == "2" {
                self.stream.send(Message::text("3")).await.map_err(text)?;
                continue;
            }
            let (kind, rest) = frame.split_at_checked(2).unwrap_or((&frame, ""));
            let body = rest.strip_prefix(namespace).unwrap_or(rest);
            match kind {
                "42" => {
                    let (name, payload): (String, Value) = serde_json::from_str(body).map_err(text)?;
                    return Ok(Incoming::Event(name, payload));
                }
                "43" => {
                    let (id, body) = body.split_at(body.find('[').ok_or("an ack without a body")?);
                    let (ack,): (Value,) = serde_json::from_str(body).map_err(text)?;
                    return Ok(Incoming::Ack(id.parse().map_err(text)?, ack));
                }
                "41" | "44" | "1" => return Err(format!("dismissed: {frame}")),
                _ => {}
            }
        }
    }

    async fn frame(&mut self) -> Result<String> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(frame))) => return Err(format!("closed: {frame:?}")),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("ended".into()),
            }
        }
    }
}
