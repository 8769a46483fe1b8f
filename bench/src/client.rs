//! A raw Socket.IO client over one websocket: only the necessary parts of Engine.IO 4 and Socket.IO 5, so that the
//! client does not cost more than the server that it measures. It does not reconnect: a connection that ends is a
//! result.
//!
//! Packets: <https://socket.io/docs/v4/engine-io-protocol/> and <https://socket.io/docs/v4/socket-io-protocol/>.

use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::Result;

/// The time limit for connecting, and for an ack during setup.
const TIMEOUT: Duration = Duration::from_mins(1);

/// With the library's own 128 KiB per socket, thousands of idle clients would use more memory than the server.
const READ_BUFFER: usize = 4 * 1_024;

/// A packet from the server.
pub enum Packet {
    /// The acknowledgement of the event with this ack id.
    Ack(u64, Body),
    /// A server event.
    Event(Body),
}

/// A JSON array: the arguments of an ack, or the name and arguments of an event.
pub struct Body {
    text: Utf8Bytes,
    from: usize,
}

impl Body {
    /// Returns the array as it was received.
    pub fn json(&self) -> &str {
        self.text.as_str().get(self.from..).unwrap_or_default()
    }
}

/// One connection.
pub struct Client {
    websocket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_ack: u64,
    pong_due: bool,
}

impl Client {
    /// Connects to the server at `url` (`http://host:port`) and waits for `ready`, which the server sends after
    /// joining the rooms.
    pub async fn connect(url: &str, token: &str) -> Result<Self> {
        timeout(TIMEOUT, Self::open(url, token)).await.map_err(|_| "connecting took longer than a minute")?
    }

    async fn open(url: &str, token: &str) -> Result<Self> {
        let address = format!("ws{}/ws/socket.io/?EIO=4&transport=websocket", url.trim_start_matches("http"));
        let mut request = address.into_client_request()?;
        request.headers_mut().insert("auth", token.parse()?);
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
        let (websocket, _) = connect_async_with_config(request, Some(config), true).await?;
        let mut client = Self { websocket, next_ack: 0, pong_due: false };
        let open = client.text().await?;
        if !open.starts_with('0') {
            return Err(format!("expected an Engine.IO open packet, got {open}").into());
        }
        client.websocket.send(Message::text("40")).await?;
        loop {
            if let Packet::Event(body) = client.next().await?
                && body.json().starts_with(r#"["ready","#)
            {
                return Ok(client);
            }
        }
    }

    /// Returns the next ack or event, and answers pings that arrive before it. An error means that the connection
    /// has ended.
    pub async fn next(&mut self) -> Result<Packet> {
        loop {
            if self.pong_due {
                self.websocket.send(Message::text("3")).await?;
                self.pong_due = false;
            }
            let text = self.text().await?;
            match text.as_bytes() {
                [b'2'] => self.pong_due = true,
                [b'4', b'2', ..] => return Ok(Packet::Event(Body { text, from: 2 })),
                [b'4', b'3', rest @ ..] => {
                    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    let id = text.as_str().get(2..2 + digits).unwrap_or_default().parse()?;
                    return Ok(Packet::Ack(id, Body { text, from: 2 + digits }));
                }
                // NOOP, and the reply to our CONNECT; `ready` follows it.
                [b'6'] | [b'4', b'0', ..] => {}
                _ => return Err(format!("the server ended the connection with {text}").into()),
            }
        }
    }

    /// Returns the next packet if it has already arrived.
    pub fn try_next(&mut self) -> Option<Result<Packet>> {
        self.next().now_or_never()
    }

    /// Queues an event, which the next `flush` sends. Returns its ack id.
    pub async fn emit(&mut self, event: &str, payload: &str) -> Result<u64> {
        let id = self.next_ack;
        self.next_ack += 1;
        self.websocket.feed(Message::text(format!(r#"42{id}["{event}",{payload}]"#))).await?;
        Ok(id)
    }

    /// Sends all queued events.
    pub async fn flush(&mut self) -> Result<()> {
        Ok(self.websocket.flush().await?)
    }

    /// Emits an event and returns the ack's object; events that arrive meanwhile are dropped. For setup only.
    pub async fn call(&mut self, event: &str, payload: &Value) -> Result<Value> {
        let sent = self.emit(event, &payload.to_string()).await?;
        self.flush().await?;
        let reply = async {
            loop {
                if let Packet::Ack(id, body) = self.next().await?
                    && id == sent
                {
                    let (ack,): (Value,) = serde_json::from_str(body.json())?;
                    return if ack["ok"] == true { Ok(ack) } else { Err(format!("{event}: {ack}").into()) };
                }
            }
        };
        timeout(TIMEOUT, reply).await.map_err(|_| format!("{event}: no ack within a minute"))?
    }

    /// Closes the connection, even if the server does not respond.
    pub async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.websocket.close(None)).await;
    }

    async fn text(&mut self) -> Result<Utf8Bytes> {
        loop {
            match self.websocket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(frame))) => {
                    return Err(format!("the server closed the connection: {frame:?}").into());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err("the connection ended".into()),
            }
        }
    }
}
