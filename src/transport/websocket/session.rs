//! A plain WebSocket connection, from its first frame to its last.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::domain::messages::{Anchor, page};
use crate::domain::{chats, events, sessions};
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
use crate::realtime::heartbeat::{Due, Heartbeat};
use crate::realtime::inbox::Inbox;
use crate::realtime::publisher::Publisher;
use crate::realtime::registration::Registration;
use crate::realtime::transport::{Transport, UNAUTHENTICATED_BYTES};
use crate::transport::http::frame_reader::{Broken, FrameReader, Received};
use crate::transport::http::frames::{close_frame_with, text_frame};
use crate::transport::http::token::{Credentials, given_token};
use crate::transport::websocket::frame_writer::FrameWriter;
use crate::transport::websocket::{
    BAD_FRAMES, FORBIDDEN, NOT_A_MEMBER, TOO_BIG, TRY_LATER, UNAUTHORIZED, frames,
};

/// How long the first frame may take to arrive.
const AUTH_WITHIN: Duration = Duration::from_secs(10);

/// How long a refused client has to read the reason.
const REFUSAL_WITHIN: Duration = Duration::from_secs(2);

/// How long a client has to read a close frame.
const LINGER: Duration = Duration::from_secs(1);

/// Number of invalid frames in a row that end a connection.
const BAD_FRAMES_MOST: u32 = 10;

/// Number of messages in the first acknowledgement on the socket of a chat.
const FIRST_MESSAGES: i64 = 50;

/// A WebSocket before its first frame.
pub struct Opening {
    /// The client's messages.
    pub reader: FrameReader,
    /// The token of the request.
    pub credentials: Credentials,
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
    let Opening { mut reader, credentials, scope, pending, address } = opening;
    let writes = reader.writes().clone();
    writes.backpressure().limit_reading(UNAUTHENTICATED_BYTES);
    let (token, cookie) = credentials.into_parts();
    // A browser also sends the cookie of a session that is over.
    let cookie = match cookie {
        Some(cookie) => match sessions::authenticate(&state.context, &cookie).await {
            Ok(_) => Some(cookie),
            Err(error) if error.is_ours() => return refuse(reader, None, &error).await,
            Err(_) => None,
        },
        None => None,
    };
    let (token, id) = match token.or(cookie) {
        Some(token) => (token.into(), None),
        None => match timeout(AUTH_WITHIN, first_frame(&mut reader)).await {
            Ok((id, Ok(token))) => (token, id),
            Ok((id, Err(error))) => return refuse(reader, id, &error).await,
            Err(_) => {
                let error = Error::new(Code::TokenMissing, "no auth frame arrived in time");
                return refuse(reader, None, &error).await;
            }
        },
    };
    let (actor, expires_at) = match sessions::authenticate(&state.context, &token).await {
        Ok(known) => known,
        Err(error) => return refuse(reader, id, &error).await,
    };
    if let Some(chat) = scope
        && let Err(error) = chats::find_visible(state.context.db.read(), chat, actor.user_id).await
    {
        return refuse(reader, id, &error).await;
    }
    let permits = match state.context.rates.admit(actor.user_id, address).await {
        Ok(permits) => permits,
        Err(error) => return refuse(reader, id, &error).await,
    };
    writes.backpressure().lift_read_limit();
    let transport = Arc::new(Transport::new(state.publisher.backlog_limit.clone()));
    transport.authenticate();
    transport.become_websocket(&writes);
    let outgoing = FrameWriter::new(writes, transport.clone());
    let connection = Connection::new(state.publisher.next_id(), actor, scope, expires_at, transport, permits);
    connection.open_queue(Box::new(outgoing.clone()));
    let connection = Arc::new(connection);
    let inbox = Inbox::new(connection.clone(), state.context.clone(), state.unanswered.clone());
    match register(&state, &connection).await {
        Ok((registration, reply)) => {
            pending.release();
            let ack = id.unwrap_or_else(|| RawValue::NULL.to_owned());
            connection.answer("auth", Some(outgoing.ack(ack)), to_raw_value(&reply).map_err(Error::internal));
            inbox.start();
            let heartbeat = Heartbeat::authenticated(&state.context.settings.sockets);
            // A task of its own, which is smaller than this one.
            tokio::spawn(read(reader, inbox, outgoing, registration, heartbeat));
        }
        Err(error) => {
            if error.source.is_some() {
                tracing::error!(%error, user = actor.user_id.0, "a connection could not be set up");
            }
            inbox.abandon();
            outgoing.close_after(code_of(&error));
            linger(&mut reader).await;
        }
    }
}

/// Reads the first frame. Returns its `id`, and its token or what is wrong with it.
async fn first_frame(reader: &mut FrameReader) -> (Option<Box<RawValue>>, Result<String>) {
    let missing = |problem: &str| Err(Error::new(Code::TokenMissing, problem));
    loop {
        let text = match reader.next().await {
            Some(Ok(Received::Text(text))) => text,
            Some(Ok(Received::Binary(bytes))) => as_text(bytes),
            Some(Ok(Received::Alive)) => continue,
            Some(Err(Broken::TooBig)) => {
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
                token
                    .map(str::to_owned)
                    .ok_or_else(|| Error::field(Code::TokenMissing, "token", "is missing"))
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
async fn refuse(mut reader: FrameReader, id: Option<Box<RawValue>>, error: &Error) {
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
    if !error.is_ours() {
        let refusal = Refusal { r#type: "ack", id: id.as_deref(), failure: Failure::from(error) };
        let refusal = serde_json::to_vec(&refusal).unwrap_or_default();
        reader.writes().push(text_frame(&[&refusal]));
    }
    reader.writes().close_after(close_frame_with(code_of(error), error.code.as_str()));
    drop(timeout(REFUSAL_WITHIN, reader.discard()).await);
}

async fn register(
    state: &Arc<RealtimeState>,
    connection: &Arc<Connection>,
) -> Result<(Registration, AuthReply)> {
    let registration = Registration::new(state, connection.clone()).await?;
    let ready = Publisher::ready(&state.context, connection);
    let (actor, scope) = (connection.actor, connection.scope);
    let (chat, messages) = match scope {
        Some(chat) => {
            let messages = page(&state.context, actor, chat, Anchor::Newest, Some(FIRST_MESSAGES)).await?;
            (Some(chats::one(&state.context, actor, chat).await?), Some(messages.messages))
        }
        None => (None, None),
    };
    Ok((registration, AuthReply { ok: true, ready, chat, messages }))
}

/// Reads frames until the connection ends. The client is pinged; its pong counts like any other frame.
async fn read(
    mut reader: FrameReader,
    inbox: Arc<Inbox>,
    outgoing: FrameWriter,
    registration: Registration,
    mut heartbeat: Heartbeat,
) {
    let mut bad = 0;
    let timer = sleep_until(heartbeat.next());
    tokio::pin!(timer);
    let closes = loop {
        tokio::select! {
            biased;
            received = reader.next() => {
                if heartbeat.heard() {
                    timer.as_mut().reset(heartbeat.next());
                }
                let Some(received) = received else { break false };
                let text = match received {
                    Ok(Received::Text(text)) => text,
                    Ok(Received::Binary(bytes)) => as_text(bytes),
                    Ok(Received::Alive) => continue,
                    Ok(Received::Close(payload)) => {
                        outgoing.answer_close(&payload);
                        break true;
                    }
                    Err(broken) => {
                        outgoing.close(broken.code());
                        break true;
                    }
                };
                match command(&inbox, &outgoing, &text) {
                    Ok(()) => bad = 0,
                    Err(error) => {
                        bad += 1;
                        let error = ErrorObject::from(&error);
                        let exception = Exception { event: String::new(), error };
                        inbox.connection().send_event(events::exception::to_connection(&exception));
                        if bad >= BAD_FRAMES_MOST {
                            outgoing.close_after(BAD_FRAMES);
                            break true;
                        }
                    }
                }
            }
            () = &mut timer => {
                match heartbeat.due(true) {
                    Some(Due::Ping) => outgoing.ping(),
                    Some(Due::End) => break false,
                    None => {}
                }
                timer.as_mut().reset(heartbeat.next());
            }
        }
    };
    registration.end();
    if closes {
        // Boxed, because an open connection should not need memory for it.
        Box::pin(linger(&mut reader)).await;
    }
}

/// Puts the command of a frame into the inbox. Fails if the frame itself is invalid.
fn command(inbox: &Arc<Inbox>, outgoing: &FrameWriter, text: &str) -> Result<()> {
    let mut frame = frames::read(text)?;
    let payload = frame.payload(inbox.connection().scope);
    let ack = frame.id.take().map(|id| outgoing.ack(id));
    match payload {
        Ok(payload) => {
            // A client that authenticated by cookie may still send the frame that others begin with.
            let event = if frame.event == "auth" { "authenticate".into() } else { frame.event };
            inbox.put(event, payload, ack);
        }
        Err(error) => inbox.connection().answer(&frame.event, ack, Err(error)),
    }
    Ok(())
}

/// Gives the peer a moment to read the close frame before the connection ends.
async fn linger(reader: &mut FrameReader) {
    drop(timeout(LINGER, reader.discard()).await);
}
