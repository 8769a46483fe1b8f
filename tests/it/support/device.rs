//! One device of one person behind one of the doors, with the model that it keeps by what it hears.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fetch::fetch;
use super::model::Model;
use super::{Person, Plain, Socket, TestApp, Transport};

/// A way in.
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

/// See the file.
pub struct Device {
    /// What it is called in failures.
    pub name: String,
    /// Whose.
    pub person: Person,
    /// Its connection.
    pub line: Line,
    /// What it knows.
    pub model: Model,
    /// Names of all events that it heard.
    pub heard: Vec<String>,
    /// Events that came before the ack of an act.
    early: Vec<(String, Value)>,
}

impl Device {
    /// Connects and fetches everything afresh.
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
        // One's own counter is in no list.
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

    /// Acts: the ack goes into the model.
    pub async fn act(&mut self, event: &str, payload: Value) -> Value {
        let message = payload["message"]["id"].as_i64();
        let ack = self.call(event, payload).await;
        // What came before the ack counts before it.
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

    /// Takes everything that has come; syncs chats with holes. Answers the events.
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

/// What is there for this person; chats that no list shows are looked at where `also` names them.
pub async fn fresh(app: &TestApp, person: &Person, also: &BTreeSet<i64>) -> Model {
    fetch(&app.http, &app.url, &person.access, person.id, also).await.expect("a fresh fetch")
}

/// Brings a model up to date by REST alone, page by page.
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
