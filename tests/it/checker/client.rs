//! One client of the run: it keeps a model, sends what it is to send until it is acked, reconnects whenever
//! its connection breaks, and catches up by `sync`.

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

/// An ack may take this long before the connection counts as dead.
const PATIENCE: Duration = Duration::from_secs(4);

/// What all clients and whoever directs them share.
#[derive(Default)]
pub struct Stage {
    /// Nothing new is sent; what is under way is still retried.
    pub closing: AtomicBool,
    /// Sends that were acked, of all clients.
    pub acked: AtomicU64,
}

/// One send that was acked.
#[derive(Clone, Debug)]
pub struct Acked {
    /// Where.
    pub chat: i64,
    /// The sender's own number of it.
    pub number: u64,
    /// The message.
    pub id: i64,
    /// Its place.
    pub seq: i64,
    /// The connection that it was first sent on and acked on; none where these are two.
    pub connection: Option<u64>,
}

/// What can be seen of a client from outside.
#[derive(Default)]
pub struct Seen {
    /// What it knows.
    pub model: Model,
    /// Everything acked, in the order of acks.
    pub acked: Vec<Acked>,
    /// When each was first sent, and when acked.
    pub waits: Vec<(Instant, Instant)>,
    /// It waits for nothing.
    pub idle: bool,
    /// Reads nothing until then.
    pub paused_until: Option<Instant>,
    /// How often it connected.
    pub connections: u64,
    /// What must not have happened.
    pub broken: Vec<String>,
}

/// What one client does.
#[derive(Clone)]
pub struct Part {
    /// What its `client_id`s begin with.
    pub name: String,
    /// Who.
    pub person: Person,
    /// Where it sends to; nowhere if it only listens.
    pub chats: Vec<i64>,
    /// Sends under way at a time.
    pub window: usize,
    /// Between sends.
    pub pace: Duration,
    /// A person whom it adds to and removes from its chats, now and then.
    pub visitor: Option<i64>,
}

/// A send that is not acked yet.
struct Pending {
    chat: i64,
    number: u64,
    first_on: u64,
    since: Instant,
}

/// What an ack is for.
enum Awaited {
    Send(u64),
    /// For these chats, or for everything.
    Sync(Option<BTreeSet<i64>>),
    Like(i64),
    Other(&'static str),
}

/// See the file.
pub struct Client {
    part: Part,
    stage: Arc<Stage>,
    seen: Arc<Mutex<Seen>>,
    random: Random,
    pending: VecDeque<Pending>,
    sent: u64,
    connection: u64,
}

/// One connection of it.
struct Session {
    framing: Framing,
    awaited: BTreeMap<u64, (Awaited, Instant)>,
    syncing: bool,
    next_send: Instant,
}

impl Client {
    /// Lets a client play its part until the runtime ends; what can be seen of it.
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
                    // The end of a connection is what this is about.
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

    /// Fills the window, at its pace, and does something else now and then.
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

    /// Acts that change what was said before. They are not retried: whether they took effect shows in what
    /// is there.
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
            // The server goes, or its database is away: sent again on the next connection.
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
