//! `bare`: socketioxide alone, for the comparison bench: no authentication, no database, nothing but rooms. Shows what
//! the library costs without the product. Environment: PORT.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command line tool is for")]

use std::env;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::serve::ListenerExt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use tokio::net::TcpListener;

/// The payload of CONNECT: the chats whose rooms the socket joins.
#[derive(Deserialize)]
struct Auth {
    chats: Vec<i64>,
}

#[derive(Deserialize)]
struct SendMessage {
    message: Request,
}

#[derive(Deserialize)]
struct Request {
    chat_id: i64,
    content: String,
    message_type: String,
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
    ok: bool,
    message: &'a Stored<'a>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

fn room(chat: i64) -> String {
    format!("chat:{chat}")
}

#[expect(clippy::disallowed_methods, reason = "this server has no publisher")]
async fn connected(socket: SocketRef, Data(auth): Data<Auth>) {
    socket.on("send_message", sent);
    socket.join(auth.chats.into_iter().map(room).collect::<Vec<_>>());
    if let Err(error) = socket.emit("ready", &json!({})) {
        eprintln!("bare: ready: {error}");
    }
}

async fn sent(socket: SocketRef, Data(SendMessage { message }): Data<SendMessage>, ack: AckSender) {
    let Request { chat_id, content, message_type } = &message;
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let message = Stored { id, chat_id: *chat_id, content, message_type };
    if let Err(error) = ack.send(&Ack { ok: true, message: &message }) {
        eprintln!("bare: ack: {error}");
    }
    if let Err(error) = socket.to(room(*chat_id)).emit("new_message", &message).await {
        eprintln!("bare: new_message: {error}");
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", connected);
    let port: u16 = env::var("PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening");
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("bare: {error}");
        }
    });
    Ok(axum::serve(listener, axum::Router::new().layer(layer)).await?)
}

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(error) = serve().await {
        eprintln!("bare: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
