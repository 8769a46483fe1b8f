//! A thousand sockets in one group, of which fifty stop reading: those are closed, the others miss nothing and are not
//! delayed, and the server's memory stays within bounds.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use futures_util::{FutureExt, SinkExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::checker::node::{Node, Person};
use crate::support::fresh_database;

/// Number of sockets in the group.
const SOCKETS: usize = 1_000;

/// Number of sockets that stop reading.
const SLOW: usize = 50;

/// Number of users, each with an equal share of the sockets.
const PEOPLE: usize = 20;

/// Number of messages to the group before some sockets stop reading, and again after that.
const MESSAGES: usize = 20;

/// The longest delay of a message to a socket that reads.
const DELAY: Duration = Duration::from_secs(3);

/// Fifty outboxes filled to the limit of 8 MiB, and the same again for everything else.
const MEMORY_KB: u64 = 2 * 50 * 8 * 1_024;

type Stream = WebSocketStream<TcpStream>;

/// When messages were sent, and how long each took to arrive.
#[derive(Default)]
struct Board {
    sent: Mutex<Vec<Instant>>,
    delays: Mutex<Vec<Duration>>,
}

/// Raises the limit of open files, which some shells set low; the server inherits it.
fn allow_many_files() {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a limit");
    let soft = line.split_whitespace().next().and_then(|it| it.parse().ok()).unwrap_or(u64::MAX);
    if soft < 4_096 {
        let me = std::process::id().to_string();
        let done = Command::new("prlimit").args(["--pid", &me, "--nofile=4096:"]).status();
        assert!(done.expect("prlimit runs (util-linux)").success(), "file descriptors are not to be had");
    }
}

async fn connect(host: &str, token: &str, receive_buffer: Option<u32>) -> Stream {
    let socket = TcpSocket::new_v4().expect("a socket");
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes).expect("a small buffer");
    }
    let tcp = socket.connect(host.parse().expect("an address")).await.expect("connects");
    let url = format!("ws://{host}/ws/socket.io/?EIO=4&transport=websocket");
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert("auth", token.parse().expect("a header"));
    let config = WebSocketConfig::default().read_buffer_size(4 * 1_024);
    let (mut stream, _) = client_async_with_config(request, tcp, Some(config)).await.expect("upgrades");
    stream.send(Message::text("40")).await.expect("asks to be connected");
    loop {
        let frame = stream.next().await.expect("it goes on").expect("a frame");
        if frame.to_text().is_ok_and(|text| text.starts_with(r#"42["ready""#)) {
            return stream;
        }
    }
}

/// Reads everything, records every message, and returns the numbers of all messages.
async fn listen(mut stream: Stream, board: Arc<Board>, most: usize) -> Vec<usize> {
    let mut heard = Vec::with_capacity(most);
    while heard.len() < most {
        let Some(Ok(frame)) = stream.next().await else { break };
        let text = frame.to_text().unwrap_or_default();
        if text == "2" {
            drop(stream.send(Message::text("3")).await);
        }
        // Avoids parsing because there are many frames: the number follows a fixed phrase.
        let number = text.split_once("tell all ").and_then(|(_, rest)| rest.split_once('.'));
        let Some(number) = number.and_then(|(number, _)| number.parse::<usize>().ok()) else { continue };
        let sent = board.sent.lock().expect("a lock")[number];
        board.delays.lock().expect("a lock").push(sent.elapsed());
        heard.push(number);
    }
    heard
}

async fn say(node: &Node, http: &reqwest::Client, person: &Person, chat: &Value, content: &str) {
    let payload = json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}});
    node.post(http, "/events/send_message", Some(&person.token), &payload).await.expect("sent");
}

async fn group(node: &Node, http: &reqwest::Client, owner: &Person, others: &[Person]) -> Value {
    let members: Vec<i64> = others.iter().map(|person| person.id).collect();
    let payload = json!({"chat": {"name": "crowd", "is_group": true, "members_array": members}});
    let made = node.post(http, "/events/create_chat", Some(&owner.token), &payload).await.expect("made");
    made["chat"]["id"].clone()
}

fn longest(board: &Board) -> Duration {
    std::mem::take(&mut *board.delays.lock().expect("a lock")).into_iter().max().unwrap_or_default()
}

#[harness::test]
async fn fifty_slow_readers_among_a_thousand_do_not_affect_the_others() {
    allow_many_files();
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let mut node = Node::new(env!("CARGO_BIN_EXE_mango-chat").as_ref(), folder.path(), &url).expect("a port");
    node.start().await.expect("starts");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(node.person(&http, &format!("person_{number}")).await.expect("registers"));
    }
    // The slow sockets belong to one user. A second group of that user gets most of the messages, so that the slow
    // outboxes fill up without as many messages to all other sockets.
    let sleeper = people[PEOPLE - 1].clone();
    let chat = group(&node, &http, &people[0], &people).await;
    let loud = group(&node, &http, &people[0], std::slice::from_ref(&sleeper)).await;
    let (host, speaker) = (node.host(), node.person(&http, "speaker").await.expect("registers"));
    let member = json!({"chat": {"id": chat}, "user": {"id": speaker.id}});
    node.post(&http, "/events/add_member", Some(&people[0].token), &member).await.expect("added");

    let places = (0..SOCKETS - SLOW).map(|number| people[1 + number % (PEOPLE - 2)].token.clone());
    let readers: Vec<Stream> = stream::iter(places)
        .map(|token| {
            let host = &host;
            async move { connect(host, &token, None).await }
        })
        .buffer_unordered(40)
        .collect()
        .await;
    let slow: Vec<Stream> =
        join_all((0..SLOW).map(|_| connect(&host, &sleeper.token, Some(4 * 1_024)))).await;
    let board = Arc::new(Board::default());
    let listening: Vec<_> =
        readers.into_iter().map(|stream| tokio::spawn(listen(stream, board.clone(), 2 * MESSAGES))).collect();

    let tell_all = async |from: usize| {
        for number in from..from + MESSAGES {
            board.sent.lock().expect("a lock").push(Instant::now());
            say(&node, &http, &speaker, &chat, &format!("tell all {number}.")).await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    tell_all(0).await;
    sleep(Duration::from_millis(500)).await;
    let usual = longest(&board);
    let flood = async {
        let content = "x".repeat(60_000);
        // 12 MB to each of the fifty, more than the outbox and the kernel buffer for one socket.
        for _ in 0..200 {
            say(&node, &http, &people[0], &loud, &content).await;
        }
    };
    tokio::join!(tell_all(MESSAGES), flood);

    let heard = timeout(Duration::from_secs(15), join_all(listening)).await.expect("everybody heard all");
    let unusual = longest(&board);
    for heard in heard {
        assert_eq!(heard.expect("no panic"), (0..2 * MESSAGES).collect::<Vec<_>>(), "each once, in order");
    }
    assert!(unusual < DELAY, "the longest wait was {unusual:?}; {usual:?} before");
    let ended = slow.into_iter().map(|mut stream| async move {
        // Data in the kernel's buffers still arrives before the end.
        while let Some(Ok(_)) = stream.next().await {}
    });
    let ended = timeout(Duration::from_secs(10), join_all(ended)).map(|it| it.is_ok()).await;
    assert!(ended, "the fifty are closed");
    let status = format!("/proc/{}/status", node.pid().expect("it lives"));
    let status = std::fs::read_to_string(status).expect("its status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    println!("longest wait {usual:?} usual, {unusual:?} with the fifty; peak {peak} kB");
    assert!(peak < MEMORY_KB, "{peak} kB, bound {MEMORY_KB} kB");
    let again = node.post(&http, "/events/sync", Some(&sleeper.token), &json!({"only": []})).await;
    assert_eq!(again.expect("an answer")["ok"], json!(true));
}
