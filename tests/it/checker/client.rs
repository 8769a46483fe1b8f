//! A client of the run. It keeps a model, retries each send until it is acked, reconnects whenever its connection
//! breaks, and catches up with `sync`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::Result;
use super::framing::{Framing, Incoming, TRANSPORTS};
use super::node::Person;
use super::random::Random;
use crate::support::model::Model;

/// How long an ack may take before the connection counts as dead.
const PATIENCE: Duration = Duration::from_secs(4);

/// State shared by all clients and the runner.
#[derive(Default)]
pub struct Stage {
    /// If set, clients send nothing new, but still retry what is pending.
    pub closing: AtomicBool,
    /// The number of acked sends of all clients.
    pub acked: AtomicU64,
}

/// One send that was acked.
#[derive(Clone, Debug)]
pub struct Acked {
    /// The chat.
    pub chat: i64,
    /// The sender's own number for it.
    pub number: u64,
    /// The id of the message.
    pub id: i64,
    /// The position of the message.
    pub seq: i64,
    /// The connection of the first send and of the ack; `None` if they differ.
    pub connection: Option<u64>,
}

/// The observable state of a client.
#[derive(Default)]
pub struct Seen {
    /// What the client knows.
    pub model: Model,
    /// All acked sends, in the order of their acks.
    pub acked: Vec<Acked>,
    /// When each send was first sent, and when it was acked.
    pub waits: Vec<(Instant, Instant)>,
    /// Whether the client waits for nothing.
    pub idle: bool,
    /// The client reads nothing until then.
    pub paused_until: Option<Instant>,
    /// How often the client connected.
    pub connections: u64,
    /// Descriptions of violations.
    pub broken: Vec<String>,
}

/// The configuration of one client.
#[derive(Clone)]
pub struct Part {
    /// The prefix of its `client_id`s.
    pub name: String,
    /// The user.
    pub person: Person,
    /// The chats it sends to; empty if it only listens.
    pub chats: Vec<i64>,
    /// The maximum number of unacked sends.
    pub window: usize,
    /// The pause between sends.
    pub pace: Duration,
    /// A user whom it occasionally adds to and removes from its chats.
    pub visitor: Option<i64>,
}

/// A send that is not acked yet.
struct Pending {
    chat: i64,
    number: u64,
    first_on: u64,
    since: Instant,
}

/// The request that an ack answers.
enum Awaited {
    Send(u64),
    /// A sync of these chats, or of everything.
    Sync(Option<BTreeSet<i64>>),
    Like(i64),
    Other(&'static str),
}

/// A client; see the module.
pub struct Client {
    part: Part,
    stage: Arc<Stage>,
    seen: Arc<Mutex<Seen>>,
    random: Random,
    pending: VecDeque<Pending>,
    sent: u64,
    connection: u64,
}

/// One connection of a client.
struct Session {
    framing: Framing,
    awaited: BTreeMap<u64, (Awaited, Instant)>,
    syncing: bool,
    next_send: Instant,
}

impl Client {
    /// Starts a client that runs until the runtime ends; returns its observable state.
    pub fn start(host: String, part: Part, stage: Arc<Stage>, random: Random) -> Arc<Mutex<Seen>> {
        let mut model = Model::new(part.person.id);
        model.keeps_history = true;
        let seen = Arc::new(Mutex::new(Seen { model, ..Seen::default() }));
        let pending = VecDeque::new();
        let mut client = Self { part, stage, seen: seen.clone(), random, pending, sent: 0, connection: 0 };
        tokio::spawn(async move {
            loop {
                let transport = client.random.pick(&TRANSPORTS).copied().flatten();
                if let Ok(framing) = Framing::open(&host, &client.part.person.token, transport).await {
                    // Connections are expected to break.
                    drop(client.session(framing).await);
                }
                client.see().idle = false;
                sleep(Duration::from_millis(20 + client.random.below(200))).await;
            }
        });
        seen
    }

    fn see(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn session(&mut self, framing: Framing) -> Result<()> {
        self.connection += 1;
        let request = {
            let mut seen = self.see();
            seen.connections += 1;
            seen.model.reconnected();
            seen.model.holes.clear();
            seen.model.sync_request(None)
        };
        let mut session =
            Session { framing, awaited: BTreeMap::new(), syncing: true, next_send: Instant::now() };
        session.send("sync", &request, Awaited::Sync(None)).await?;
        for number in 0..self.pending.len() {
            self.send_pending(&mut session, number).await?;
        }
        loop {
            let pause = self.see().paused_until.take();
            if let Some(until) = pause {
                tokio::time::sleep_until(until).await;
            }
            self.send_more(&mut session).await?;
            self.sync_holes(&mut session).await?;
            {
                let mut seen = self.see();
                seen.idle =
                    self.pending.is_empty() && session.awaited.is_empty() && seen.model.holes.is_empty();
            }
            if let Ok(incoming) = timeout(Duration::from_millis(20), session.framing.next()).await {
                self.take(&mut session, incoming?).await?;
            }
            if session.waits_in_vain() {
                return Err("no ack in time".into());
            }
        }
    }

    async fn send_pending(&self, session: &mut Session, place: usize) -> Result<()> {
        let Some(it) = self.pending.get(place) else { return Ok(()) };
        let client_id = format!("{}-{}", self.part.name, it.number);
        let content = format!("{client_id} says so");
        let message =
            json!({"chat_id": it.chat, "content": content, "message_type": "text", "client_id": client_id});
        let number = it.number;
        session.send("send_message", &json!({"message": message}), Awaited::Send(number)).await
    }

    /// Fills the window at the configured pace, and occasionally performs another action.
    async fn send_more(&mut self, session: &mut Session) -> Result<()> {
        while !self.stage.closing.load(Ordering::Relaxed)
            && self.pending.len() < self.part.window
            && Instant::now() >= session.next_send
        {
            let Some(chat) = self.random.pick(&self.part.chats).copied() else { return Ok(()) };
            session.next_send = Instant::now() + self.part.pace;
            self.sent += 1;
            let (number, first_on, since) = (self.sent, self.connection, Instant::now());
            self.pending.push_back(Pending { chat, number, first_on, since });
            self.send_pending(session, self.pending.len() - 1).await?;
            if self.random.percent(20) {
                self.do_something_else(session, chat).await?;
            }
        }
        Ok(())
    }

    /// Changes earlier messages or members. These actions are not retried: the stored state shows whether they took
    /// effect.
    async fn do_something_else(&mut self, session: &mut Session, chat: i64) -> Result<()> {
        let what = self.random.below(10);
        let on = self.random.percent(60);
        let own = {
            let seen = self.see();
            let own = seen.acked.iter().rev().filter(|it| it.chat == chat);
            own.map(|it| it.id).nth(what as usize)
        };
        let any = {
            let seen = self.see();
            seen.model.chats.get(&chat).and_then(|it| it.messages.keys().next_back().copied())
        };
        let (event, payload) = match (what, own, any, self.part.visitor) {
            (0..=2, _, Some(id), _) => {
                let payload = json!({"message": {"id": id, "liked": on}});
                return session.send("toggle_like_message", &payload, Awaited::Like(id)).await;
            }
            (3 | 4, Some(id), _, _) => {
                let content = format!("edited {} times", self.sent);
                ("edit_message", json!({"message": {"id": id, "content": content}}))
            }
            (5, Some(id), _, _) => ("delete_message", json!({"message": {"id": id}})),
            (6, ..) => ("toggle_chat_pin", json!({"chat": {"id": chat, "pinned": on}})),
            (7, _, _, Some(visitor)) => {
                let event = if on { "add_member" } else { "remove_member" };
                (event, json!({"chat": {"id": chat}, "user": {"id": visitor}}))
            }
            (8, _, _, Some(_)) => {
                ("update_chat", json!({"chat": {"id": chat, "name": format!("name {}", self.sent)}}))
            }
            _ => ("mark_read", json!({"chat": {"id": chat}})),
        };
        session.send(event, &payload, Awaited::Other(event)).await
    }

    async fn sync_holes(&self, session: &mut Session) -> Result<()> {
        if session.syncing {
            return Ok(());
        }
        let (request, holes) = {
            let mut seen = self.see();
            let holes = std::mem::take(&mut seen.model.holes);
            if holes.is_empty() {
                return Ok(());
            }
            (seen.model.sync_request(Some(&holes)), holes)
        };
        session.syncing = true;
        session.send("sync", &request, Awaited::Sync(Some(holes))).await
    }

    async fn take(&mut self, session: &mut Session, incoming: Incoming) -> Result<()> {
        let (id, ack) = match incoming {
            Incoming::Event(name, payload) => {
                self.see().model.event(&name, &payload);
                return Ok(());
            }
            Incoming::Ack(id, ack) => (id, ack),
        };
        let Some((awaited, _)) = session.awaited.remove(&id) else {
            self.see().broken.push(format!("{}: an ack that nobody waits for: {ack}", self.part.name));
            return Ok(());
        };
        match awaited {
            Awaited::Send(number) => self.sent_ack(number, &ack)?,
            Awaited::Like(message) => self.see().model.liked(message, &ack),
            Awaited::Other(command) => self.see().model.ack(command, &ack),
            Awaited::Sync(only) => {
                if ack["ok"] != json!(true) {
                    return Err(format!("sync: {ack}"));
                }
                let request = {
                    let mut seen = self.see();
                    let more = seen.model.synced(&ack, only.is_none());
                    more.then(|| seen.model.sync_request(only.as_ref()))
                };
                match request {
                    Some(request) => session.send("sync", &request, Awaited::Sync(only)).await?,
                    None => session.syncing = false,
                }
            }
        }
        Ok(())
    }

    fn sent_ack(&mut self, number: u64, ack: &Value) -> Result<()> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.model.ack("send_message", ack);
        let Some(place) = self.pending.iter().position(|it| it.number == number) else {
            seen.broken.push(format!("{}: {number} was acked twice", self.part.name));
            return Ok(());
        };
        if ack["ok"] != json!(true) {
            // The server shuts down or its database is unavailable: the client sends it again on the next connection.
            if ack["error"]["code"] != json!("unavailable") {
                seen.broken.push(format!("{}: {number} was refused: {ack}", self.part.name));
            }
            return Err("a send was refused".into());
        }
        let (Some(sent), message) = (self.pending.remove(place), &ack["message"]) else { return Ok(()) };
        let here = sent.first_on == self.connection;
        if here && ack["duplicate"] == json!(true) {
            seen.broken.push(format!("{}: {number} was sent once and is a duplicate", self.part.name));
        }
        let acked = Acked {
            chat: sent.chat,
            number,
            id: message["id"].as_i64().unwrap_or_default(),
            seq: message["seq"].as_i64().unwrap_or_default(),
            connection: here.then_some(self.connection),
        };
        seen.acked.push(acked);
        seen.waits.push((sent.since, Instant::now()));
        self.stage.acked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Session {
    async fn send(&mut self, event: &str, payload: &Value, awaited: Awaited) -> Result<()> {
        let id = self.framing.send(event, payload).await?;
        self.awaited.insert(id, (awaited, Instant::now()));
        Ok(())
    }

    fn waits_in_vain(&self) -> bool {
        self.awaited.values().any(|(_, since)| since.elapsed() > PATIENCE)
    }
}
