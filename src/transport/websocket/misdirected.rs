//! Answers Socket.IO clients that use the path of the plain WebSocket, for example because of `path: "/ws"`. They would
//! wait for a handshake that never comes, so they get one, and a `connect_error` that explains the mistake.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::timeout;

use crate::transport::http::frame_reader::{FrameReader, Received};
use crate::transport::http::frames::{close_frame, text_frame};
use crate::transport::http::problem::Problem;
use crate::transport::http::upgrade_request::accept;

/// The explanation for the developer.
const EXPLANATION: &str = "wrong path: /ws is the plain WebSocket and a namespace, Socket.IO is at the path \
    /ws/socket.io; set path: \"/ws/socket.io\", or leave it out";

/// Largest packet that is read, bytes.
const LONGEST_PACKET: usize = 65_536;

/// How long a client may take to read the explanation.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// Returns whether a request belongs to Engine.IO.
pub fn is_engine(request: &Request) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("EIO=")))
}

/// Returns the packet of a handshake (Engine.IO protocol 4).
fn open() -> String {
    let open = json!({"sid": "none", "upgrades": [], "pingInterval": 25_000, "pingTimeout": 20_000, "maxPayload": 1});
    format!("0{open}")
}

/// Returns the packet that refuses a namespace (Socket.IO protocol 5), named as in a client's packet: empty, or `/ws,`.
fn refusal(namespace: &str) -> String {
    let error = json!({"message": EXPLANATION, "data": {"code": "not_found"}});
    format!("44{namespace}{error}")
}

/// Answers an Engine.IO request at this path.
pub fn answer(mut request: Request) -> Result<Response, Problem> {
    let query = request.uri().query().unwrap_or_default();
    if query.split('&').any(|pair| pair == "transport=websocket") {
        let accepted = accept(request.headers())?;
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let Ok(mut reader) = FrameReader::from_upgrade(upgraded, LONGEST_PACKET).await else { return };
            let explaining = async {
                reader.writes().push(text_frame(&[open().as_bytes()]));
                // If a client is refused a namespace that it did not request, it may keep waiting for its own.
                let namespace = match reader.next().await {
                    Some(Ok(Received::Text(text))) if text.starts_with("40/ws,") => "/ws,",
                    Some(Ok(_)) => "",
                    _ => return,
                };
                reader.writes().push(text_frame(&[refusal(namespace).as_bytes()]));
                reader.writes().close_after(close_frame(1000));
                reader.discard().await;
            };
            drop(timeout(READ_WITHIN, explaining).await);
        });
        return Ok(accepted);
    }
    // After the refusal, the client's requests belong to a session that does not exist.
    if query.split('&').any(|pair| pair.starts_with("sid=")) {
        let unknown = json!({"code": 1, "message": EXPLANATION});
        return Ok((StatusCode::BAD_REQUEST, axum::Json(unknown)).into_response());
    }
    // The client names its namespace only in a later request, and no state is kept until then, so refuse both.
    let packets = [open(), refusal(""), refusal("/ws,")];
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], packets.join("\u{1e}")).into_response())
}
