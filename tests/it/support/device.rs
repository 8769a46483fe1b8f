//! A device of a user on one of the transports, with a model that its events and acks keep up to date.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fetch::fetch;
use super::model::Model;
use super::{Person, Plain, Socket, TestApp, Transport};

/// A way to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Socket.IO.
    SocketIo(Transport),
    /// `/ws`.
    Plain,
}

/// A connection of either kind.
pub enum Line {
    /// Socket.IO.
    SocketIo(Box<Socket>),
    /// Plain WebSocket.
    Plain(Box<Plain>),
}

/// A device of a user.
pub struct Device {
    /// Its name in failure messages.
    pub name: String,
    /// Its user.
    pub person: Person,
    /// Its connection.
    pub line: Line,
    /// The state that it knows.
    pub model: Model,
    /// Names of all events that it received.
    pub heard: Vec<String>,
    /// Events that arrived before the ack of a command.
    early: Vec<(String, Value)>,
}

impl Device {
    /// Connects and fetches the complete state.
    pub async fn connect(app: &TestApp, name: &str, person: &Person, way: Way) -> Self {
        let (line, ready) = match way {
            Way::SocketIo(transport) => {
                let mut socket =
                    Socket::open(&app.host, Some(&person.access), transport).await.expect("connects");
                let ready = socket.next("ready").await;
                (Line::SocketIo(Box::new(socket)), ready)
            }
            Way::Plain => {
                let (plain, ready) = Plain::open(&app.host, "/ws", &person.access).await.expect("connects");
                (Line::Plain(Box::new(plain)), ready)
            }
        };
        let mut model = fresh(app, person, &BTreeSet::new()).await;
        model.epoch = ready["epoch"].as_str().map(str::to_owned);
        // No list contains the user's own counter.
        catch_up(app, person, &mut model).await;
        Self {
            name: format!("{name} ({way:?})"),
            person: person.clone(),
            line,
            model,
            heard: Vec::new(),
            early: Vec::new(),
        }
    }

    /// Sends an event and waits for its ack, which the model does not see.
    pub async fn call(&mut self, event: &str, payload: Value) -> Value {
        match &mut self.line {
            Line::SocketIo(socket) => socket.call(event, payload).await,
            Line::Plain(plain) => plain.call(event, payload).await,
        }
    }

    /// Runs a command, and applies its ack to the model.
    pub async fn act(&mut self, event: &str, payload: Value) -> Value {
        let message = payload["message"]["id"].as_i64();
        let ack = self.call(event, payload).await;
        // Events that arrived before the ack are applied before it.
        let before = match &mut self.line {
            Line::SocketIo(socket) => socket.come(),
            Line::Plain(plain) => plain.come(),
        };
        for (name, payload) in before {
            self.model.event(&name, &payload);
            self.early.push((name, payload));
        }
        match message {
            Some(message) if event == "toggle_like_message" => self.model.liked(message, &ack),
            _ => self.model.ack(event, &ack),
        }
        ack
    }

    /// Applies all events that have arrived, and syncs chats with gaps. Returns the events.
    pub async fn listen(&mut self) -> Vec<(String, Value)> {
        let mut all = std::mem::take(&mut self.early);
        self.heard.extend(all.iter().map(|(name, _)| name.clone()));
        loop {
            let events = match &mut self.line {
                Line::SocketIo(socket) => socket.rest().await,
                Line::Plain(plain) => plain.rest().await,
            };
            for (name, payload) in events {
                self.model.event(&name, &payload);
                self.heard.push(name.clone());
                all.push((name, payload));
            }
            let holes = std::mem::take(&mut self.model.holes);
            if holes.is_empty() {
                return all;
            }
            loop {
                let reply = self.call("sync", self.model.sync_request(Some(&holes))).await;
                assert_eq!(reply["ok"], serde_json::json!(true), "{reply}");
                if !self.model.synced(&reply, false) {
                    break;
                }
            }
        }
    }
}

/// Fetches everything that the user can see, and the chats in `also`, which may be in no list.
pub async fn fresh(app: &TestApp, person: &Person, also: &BTreeSet<i64>) -> Model {
    fetch(&app.http, &app.url, &person.access, person.id, also).await.expect("a fresh fetch")
}

/// Brings a model up to date over REST only, page by page.
pub async fn catch_up(app: &TestApp, person: &Person, model: &mut Model) {
    loop {
        let request = model.sync_request(None);
        let (status, reply) =
            app.send(reqwest::Method::POST, "/events/sync", Some(&person.access), Some(request)).await;
        assert_eq!(status, 200, "{reply}");
        if !model.synced(&reply, true) {
            return;
        }
    }
}
