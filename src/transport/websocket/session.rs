//! A plain WebSocket connection, from its first frame to its last.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage, Utf8Bytes};

use crate::config::Sockets;
use crate::domain::messages::{Anchor, page};
use crate::domain::{Actor, chats, events, sessions};
use crate::error::{Code, Error, Result};
use crate::ids::ChatId;
use crate::platform::limits::ConcurrencyPermit;
use crate::protocol::chats::Chat;
use crate::protocol::errors::{ErrorObject, Exception, Failure};
use crate::protocol::messages::Message;
use crate::protocol::parse;
use crate::protocol::sessions::Ready;
use crate::realtime::RealtimeState;
use crate::realtime::connection::Connection;
use crate::realtime::inbox::Inbox;
use crate::realtime::publisher::Publisher;
use crate::realtime::transport::{Transport, UNAUTHENTICATED_BYTES};
use crate::realtime::write_queue::WriteQueue;
use crate::transport::http::listener::BackpressureStream;
use crate::transport::http::token::given_token;
use crate::transport::websocket::frame_writer::FrameWriter;
use crate::transport::websocket::{
    BAD_FRAMES, FORBIDDEN, NOT_A_MEMBER, TOO_BIG, TRY_LATER, UNAUTHORIZED, frames,
};

/// How long the first frame may take to arrive.
const AUTH_WITHIN: Duration = Duration::from_secs(10);

/// Number of invalid frames in a row that end a connection.
const BAD_FRAMES_MOST: u32 = 10;

/// Number of messages in the first acknowledgement on the socket of a chat.
const FIRST_MESSAGES: i64 = 50;

type Stream = WebSocketStream<BackpressureStream>;

/// A WebSocket before its first frame.
pub struct Opening {
    /// The stream of frames.
    pub stream: Stream,
    /// The queue of its frames.
    pub writes: Arc<WriteQueue>,
    /// The token of a header of the request.
    pub token: Option<String>,
    /// The token of the cookie; a browser also sends an expired one.
    pub cookie: Option<String>,
    /// The chat, on the socket of a chat.
    pub scope: Option<ChatId>,
    /// The permit of a connection that has not authenticated.
    pub pending: ConcurrencyPermit,
    /// The client's address.
    pub address: Option<IpAddr>,
}

/// The payload of the first frame.
#[derive(Deserialize)]
struct AuthFrame {
    #[serde(default)]
    token: Option<String>,
}

/// The acknowledgement of the first frame.
#[derive(Serialize)]
struct AuthReply {
    ok: bool,
    #[serde(flatten)]
    ready: Ready,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<Chat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message>>,
}

/// Serves a WebSocket until it ends.
pub async fn run(state: Arc<RealtimeState>, opening: Opening) {
    let Opening { mut stream, writes, token, cookie, scope, pending, address } = opening;
    writes.backpressure().limit_reading(UNAUTHENTICATED_BYTES);
    let cookie = match cookie {
        Some(cookie) => match sessions::authenticate(&state.context, &cookie).await {
            Ok(_) => Some(cookie),
            Err(error) if error.is_ours() => return refuse(stream, None, &error).await,
            Err(_) => None,
        },
        None => None,
    };
    let (token, id) = match token.or(cookie) {
        Some(token) => (token, None),
        None => match timeout(AUTH_WITHIN, first_frame(&mut stream)).await {
            Ok((id, Ok(token))) => (token, id),
            Ok((id, Err(error))) => return refuse(stream, id, &error).await,
            Err(_) => {
                let error = Error::new(Code::TokenMissing, "no auth frame arrived in time");
                return refuse(stream, None, &error).await;
            }
        },
    };
    let (actor, expires_at) = match sessions::authenticate(&state.context, &token).await {
        Ok(known) => known,
        Err(error) => return refuse(stream, id, &error).await,
    };
    if let Some(chat) = scope
        && let Err(error) = chats::find_visible(state.context.db.read(), chat, actor.user_id).await
    {
        return refuse(stream, id, &error).await;
    }
    let permits = match state.context.rates.admit(actor.user_id, address).await {
        Ok(permits) => permits,
        Err(error) => return refuse(stream, id, &error).await,
    };
    writes.backpressure().lift_read_limit();
    let transport = Arc::new(Transport::new(state.publisher.backlog_limit.clone()));
    transport.authenticate();
    transport.become_websocket(&writes);
    let writer = FrameWriter::new(writes, transport.clone());
    let connection = Arc::new(Connection::new(
        state.publisher.next_id(),
        actor,
        scope,
        expires_at,
        transport.clone(),
        permits,
    ));
    connection.open_queue(Box::new(writer.clone()));
    let inbox = Inbox::new(connection.clone(), state.context.clone(), state.unanswered.clone());
    match register(&state, &connection, actor, scope).await {
        Ok(reply) => {
            pending.release();
            let ack = id.unwrap_or_else(|| RawValue::NULL.to_owned());
            connection.answer("auth", Some(writer.ack(ack)), to_raw_value(&reply).map_err(Error::internal));
            inbox.start();
            read(&state, stream, &inbox, &writer).await;
        }
        Err(error) => {
            if error.source.is_some() {
                tracing::error!(%error, user = actor.user_id.0, "a connection could not be set up");
            }
            inbox.abandon();
            writer.close_after(code_of(&error));
            linger(&mut stream).await;
        }
    }
    state.publisher.unregister(&state.context, &connection);
    drop(writer);
}

/// Reads the first frame. Returns its `id`, and its token or what is wrong with it.
async fn first_frame(stream: &mut Stream) -> (Option<Box<RawValue>>, Result<String>) {
    let missing = |problem: &str| Err(Error::new(Code::TokenMissing, problem));
    loop {
        let text = match stream.next().await {
            Some(Ok(WsMessage::Text(text))) => text,
            Some(Ok(WsMessage::Binary(bytes))) => as_text(bytes),
            Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_))) => continue,
            Some(Err(WsError::Capacity(_))) => {
                return (None, Err(Error::new(Code::TooLarge, "the first frame is too large")));
            }
            _ => return (None, missing("the first frame must be an auth frame")),
        };
        let mut frame = match frames::read(&text) {
            Ok(frame) => frame,
            Err(error) => return (None, Err(error)),
        };
        let id = frame.id.take();
        if frame.event != "auth" {
            return (id, missing("the first frame must be an auth frame"));
        }
        let token = frame.payload(None).and_then(|payload| parse::read::<AuthFrame>(&payload));
        return (
            id,
            token.and_then(|AuthFrame { token }| {
                let token = token.as_deref().and_then(given_token);
                token.ok_or_else(|| Error::field(Code::TokenMissing, "token", "is missing"))
            }),
        );
    }
}

/// Converts a binary frame to text. Bytes that are not UTF-8 become an empty text, which is not JSON either.
fn as_text(bytes: Bytes) -> Utf8Bytes {
    Utf8Bytes::try_from(bytes).unwrap_or_default()
}

/// Returns the close code for an error. If the fault is the server's, clients may reconnect.
fn code_of(error: &Error) -> u16 {
    match error.code {
        Code::NotFound => NOT_A_MEMBER,
        Code::SessionEnded | Code::UserBanned => FORBIDDEN,
        Code::TooLarge => TOO_BIG,
        Code::Unavailable | Code::Internal | Code::RateLimited => TRY_LATER,
        _ => UNAUTHORIZED,
    }
}

/// Sends the error, closes, and gives the peer up to two seconds to read it. If the fault is the server's, only the
/// close code reports it: clients would read an acknowledgement as a refusal of the token.
async fn refuse(mut stream: Stream, id: Option<Box<RawValue>>, error: &Error) {
    #[derive(Serialize)]
    struct Refusal<'a> {
        r#type: &'static str,
        id: Option<&'a RawValue>,
        #[serde(flatten)]
        failure: Failure,
    }
    if error.source.is_some() {
        tracing::error!(%error, "a handshake could not be checked");
    }
    let code = code_of(error);
    let refusal = Refusal { r#type: "ack", id: id.as_deref(), failure: Failure::from(error) };
    let refusal = (!error.is_ours()).then(|| serde_json::to_string(&refusal).unwrap_or_default());
    let reason = Utf8Bytes::from_static(error.code.as_str());
    let closing = async {
        if let Some(refusal) = refusal {
            stream.send(WsMessage::text(refusal)).await?;
        }
        stream.send(WsMessage::Close(Some(CloseFrame { code: code.into(), reason }))).await?;
        while let Some(Ok(_)) = stream.next().await {}
        Ok::<(), WsError>(())
    };
    drop(timeout(Duration::from_secs(2), closing).await);
}

async fn register(
    state: &Arc<RealtimeState>,
    connection: &Arc<Connection>,
    actor: Actor,
    scope: Option<ChatId>,
) -> Result<AuthReply> {
    state.publisher.register(&state.context, connection).await?;
    let ready = Publisher::ready(&state.context, connection);
    let (chat, messages) = match scope {
        Some(chat) => {
            let messages = page(&state.context, actor, chat, Anchor::Newest, Some(FIRST_MESSAGES)).await?;
            (Some(chats::one(&state.context, actor, chat).await?), Some(messages.messages))
        }
        None => (None, None),
    };
    Ok(AuthReply { ok: true, ready, chat, messages })
}

/// Reads frames until the connection ends. A client that has sent nothing for a while is pinged; its pong counts like any
/// other frame.
async fn read(state: &RealtimeState, mut stream: Stream, inbox: &Arc<Inbox>, writer: &FrameWriter) {
    let Sockets { ping_interval, ping_timeout, .. } = state.context.settings.sockets;
    let mut bad = 0;
    let mut is_pinged = false;
    loop {
        let frame = match timeout(if is_pinged { ping_timeout } else { ping_interval }, stream.next()).await {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(_) if is_pinged => break,
            Err(_) => {
                is_pinged = true;
                writer.ping();
                continue;
            }
        };
        is_pinged = false;
        let text = match frame {
            Ok(WsMessage::Text(text)) => text,
            Ok(WsMessage::Binary(bytes)) => as_text(bytes),
            Ok(WsMessage::Close(_)) => {
                // Reading on sends the answer.
                linger(&mut stream).await;
                break;
            }
            // The library answers pings.
            Ok(_) => continue,
            Err(WsError::Capacity(_)) => {
                writer.close(TOO_BIG);
                linger(&mut stream).await;
                break;
            }
            Err(_) => break,
        };
        match frames::read(&text) {
            Ok(mut frame) => {
                bad = 0;
                let payload = frame.payload(inbox.connection().scope);
                let ack = frame.id.take().map(|id| writer.ack(id));
                match payload {
                    Ok(payload) => {
                        // A client that authenticated by cookie may still send the frame that others begin with.
                        let event = if frame.event == "auth" { "authenticate".into() } else { frame.event };
                        inbox.put(event, payload, ack);
                    }
                    Err(error) => inbox.connection().answer(&frame.event, ack, Err(error)),
                }
            }
            Err(error) => {
                bad += 1;
                let error = ErrorObject::from(&error);
                let exception = Exception { event: String::new(), error };
                inbox.connection().send_event(events::exception::to_connection(&exception));
                if bad >= BAD_FRAMES_MOST {
                    writer.close_after(BAD_FRAMES);
                    linger(&mut stream).await;
                    break;
                }
            }
        }
    }
}

/// Gives the peer a moment to read the close frame before the connection ends.
async fn linger(stream: &mut Stream) {
    let closed = async { while let Some(Ok(_)) = stream.next().await {} };
    drop(timeout(Duration::from_secs(1), closed).await);
}
