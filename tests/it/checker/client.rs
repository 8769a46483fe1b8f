//! A client of the checker. It keeps a model of the server's state, retries each send until it is acked, reconnects
//! whenever its connection breaks, and catches up with `sync`.

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
const ACK_TIMEOUT: Duration = Duration::from_secs(4);

/// State shared by all clients and the runner.
#[derive(Default)]
pub struct RunState {
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
pub struct ClientState {
    /// What the client knows.
    pub model: Model,
    /// All acked sends, in the order of their acks.
    pub acked: Vec<Acked>,
    /// When each send was first sent, and when it was acked.
    pub send_times: Vec<(Instant, Instant)>,
    /// Whether the client waits for no ack and no missing event.
    pub idle: bool,
    /// The time until which the client reads nothing.
    pub paused_until: Option<Instant>,
    /// How often the client connected.
    pub connections: u64,
    /// Descriptions of violations.
    pub violations: Vec<String>,
}

/// The configuration of one client.
#[derive(Clone)]
pub struct ClientConfig {
    /// The prefix of its `client_id`s.
    pub name: String,
    /// The user.
    pub user: Person,
    /// The chats it sends to; empty if it only listens.
    pub chats: Vec<i64>,
    /// The maximum number of unacked sends.
    pub max_unacked: usize,
    /// The pause between sends.
    pub send_interval: Duration,
    /// A user whom it occasionally adds to and removes from its chats.
    pub temporary_member: Option<i64>,
}

/// A send that is not acked yet.
struct Pending {
    chat: i64,
    number: u64,
    /// The connection of the first attempt.
    first_connection: u64,
    first_sent_at: Instant,
}

/// The request that an ack answers.
enum Request {
    Send(u64),
    /// A sync of these chats, or of everything.
    Sync(Option<BTreeSet<i64>>),
    Like(i64),
    Other(&'static str),
}

/// A client; see the module.
pub struct Client {
    config: ClientConfig,
    run_state: Arc<RunState>,
    state: Arc<Mutex<ClientState>>,
    random: Random,
    /// Sends that are not acked yet, the oldest first.
    pending: VecDeque<Pending>,
    /// The number of sends so far.
    sent: u64,
    /// The number of the current connection.
    connection: u64,
}

/// One connection of a client.
struct Session {
    framing: Framing,
    /// Requests that are not acked yet, by the id of their ack, with the time that they were sent.
    unacked: BTreeMap<u64, (Request, Instant)>,
    syncing: bool,
    next_send: Instant,
}

impl Client {
    /// Starts a client that runs until the runtime ends; returns its observable state.
    pub fn start(
        host: String,
        config: ClientConfig,
        run_state: Arc<RunState>,
        random: Random,
    ) -> Arc<Mutex<ClientState>> {
        let mut model = Model::new(config.user.id);
        model.keeps_history = true;
        let state = Arc::new(Mutex::new(ClientState { model, ..ClientState::default() }));
        let pending = VecDeque::new();
        let mut client =
            Self { config, run_state, state: state.clone(), random, pending, sent: 0, connection: 0 };
        tokio::spawn(async move {
            loop {
                let transport = client.random.pick(&TRANSPORTS).copied().flatten();
                if let Ok(framing) = Framing::open(&host, &client.config.user.token, transport).await {
                    // Connections are expected to break.
                    drop(client.run_session(framing).await);
                }
                client.state().idle = false;
                sleep(Duration::from_millis(20 + client.random.below(200))).await;
            }
        });
        state
    }

    fn state(&self) -> MutexGuard<'_, ClientState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses a connection until it breaks.
    async fn run_session(&mut self, framing: Framing) -> Result<()> {
        self.connection += 1;
        let request = {
            let mut state = self.state();
            state.connections += 1;
            state.model.reconnected();
            state.model.holes.clear();
            state.model.sync_request(None)
        };
        let mut session =
            Session { framing, unacked: BTreeMap::new(), syncing: true, next_send: Instant::now() };
        session.send("sync", &request, Request::Sync(None)).await?;
        for index in 0..self.pending.len() {
            self.send_pending(&mut session, index).await?;
        }
        loop {
            let pause = self.state().paused_until.take();
            if let Some(until) = pause {
                tokio::time::sleep_until(until).await;
            }
            self.send_new_messages(&mut session).await?;
            self.sync_holes(&mut session).await?;
            {
                let mut state = self.state();
                state.idle =
                    self.pending.is_empty() && session.unacked.is_empty() && state.model.holes.is_empty();
            }
            if let Ok(incoming) = timeout(Duration::from_millis(20), session.framing.next()).await {
                self.handle(&mut session, incoming?).await?;
            }
            if session.has_timed_out() {
                return Err("no ack in time".into());
            }
        }
    }

    async fn send_pending(&self, session: &mut Session, index: usize) -> Result<()> {
        let Some(it) = self.pending.get(index) else { return Ok(()) };
        let client_id = format!("{}-{}", self.config.name, it.number);
        // A retry has the same content. Of the names, only the owner's mentions everybody.
        let name = if it.number % 5 == 0 { " @all" } else { "" };
        let content = format!("{client_id} says so{name}");
        let message =
            json!({"chat_id": it.chat, "content": content, "message_type": "text", "client_id": client_id});
        let number = it.number;
        session.send("send_message", &json!({"message": message}), Request::Send(number)).await
    }

    /// Sends messages at the configured interval up to the limit of unacked ones, and occasionally another command.
    async fn send_new_messages(&mut self, session: &mut Session) -> Result<()> {
        while !self.run_state.closing.load(Ordering::Relaxed)
            && self.pending.len() < self.config.max_unacked
            && Instant::now() >= session.next_send
        {
            let Some(chat) = self.random.pick(&self.config.chats).copied() else { return Ok(()) };
            session.next_send = Instant::now() + self.config.send_interval;
            self.sent += 1;
            let (number, first_connection, first_sent_at) = (self.sent, self.connection, Instant::now());
            self.pending.push_back(Pending { chat, number, first_connection, first_sent_at });
            self.send_pending(session, self.pending.len() - 1).await?;
            if self.random.percent(20) {
                self.send_other_command(session, chat).await?;
            }
        }
        Ok(())
    }

    /// Changes earlier messages or members. These commands are not retried: the stored state shows whether they took
    /// effect.
    async fn send_other_command(&mut self, session: &mut Session, chat: i64) -> Result<()> {
        let action = self.random.below(13);
        let enable = self.random.percent(60);
        let own_message = {
            let state = self.state();
            let own = state.acked.iter().rev().filter(|it| it.chat == chat);
            own.map(|it| it.id).nth(action as usize)
        };
        let newest_message = {
            let state = self.state();
            state.model.chats.get(&chat).and_then(|it| it.messages.keys().next_back().copied())
        };
        let (event, payload) = match (action, own_message, newest_message, self.config.temporary_member) {
            (0..=2, _, Some(id), _) => {
                let payload = json!({"message": {"id": id, "liked": enable}});
                return session.send("toggle_like_message", &payload, Request::Like(id)).await;
            }
            (3 | 4, Some(id), _, _) => {
                let content = format!("edited {} times", self.sent);
                ("edit_message", json!({"message": {"id": id, "content": content}}))
            }
            (9 | 10, _, Some(id), _) => {
                let emoji = if action == 9 { "👍" } else { "🎉" };
                ("toggle_reaction", json!({"message": {"id": id, "emoji": emoji}, "on": enable}))
            }
            (11, _, Some(id), Some(_)) => {
                ("toggle_message_pin", json!({"message": {"id": id, "pinned": enable}}))
            }
            (5, Some(id), _, _) => ("delete_message", json!({"message": {"id": id}})),
            (6, ..) => ("toggle_chat_pin", json!({"chat": {"id": chat, "pinned": enable}})),
            (7, _, _, Some(temporary_member)) => {
                let event = if enable { "add_member" } else { "remove_member" };
                (event, json!({"chat": {"id": chat}, "user": {"id": temporary_member}}))
            }
            (8, _, _, Some(_)) => {
                ("update_chat", json!({"chat": {"id": chat, "name": format!("name {}", self.sent)}}))
            }
            _ => ("mark_read", json!({"chat": {"id": chat}})),
        };
        session.send(event, &payload, Request::Other(event)).await
    }

    async fn sync_holes(&self, session: &mut Session) -> Result<()> {
        if session.syncing {
            return Ok(());
        }
        let (request, holes) = {
            let mut state = self.state();
            let holes = std::mem::take(&mut state.model.holes);
            if holes.is_empty() {
                return Ok(());
            }
            (state.model.sync_request(Some(&holes)), holes)
        };
        session.syncing = true;
        session.send("sync", &request, Request::Sync(Some(holes))).await
    }

    async fn handle(&mut self, session: &mut Session, incoming: Incoming) -> Result<()> {
        let (id, ack) = match incoming {
            Incoming::Event(name, payload) => {
                self.state().model.event(&name, &payload);
                return Ok(());
            }
            Incoming::Ack(id, ack) => (id, ack),
        };
        let Some((request, _)) = session.unacked.remove(&id) else {
            self.state().violations.push(format!("{}: an ack without a request: {ack}", self.config.name));
            return Ok(());
        };
        match request {
            Request::Send(number) => self.handle_send_ack(number, &ack)?,
            Request::Like(message) => self.state().model.liked(message, &ack),
            Request::Other(command) => self.state().model.ack(command, &ack),
            Request::Sync(only) => {
                if ack["ok"] != json!(true) {
                    return Err(format!("sync: {ack}"));
                }
                let request = {
                    let mut state = self.state();
                    let more = state.model.synced(&ack, only.is_none());
                    more.then(|| state.model.sync_request(only.as_ref()))
                };
                match request {
                    Some(request) => session.send("sync", &request, Request::Sync(only)).await?,
                    None => session.syncing = false,
                }
            }
        }
        Ok(())
    }

    fn handle_send_ack(&mut self, number: u64, ack: &Value) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.model.ack("send_message", ack);
        let Some(index) = self.pending.iter().position(|it| it.number == number) else {
            state.violations.push(format!("{}: {number} was acked twice", self.config.name));
            return Ok(());
        };
        if ack["ok"] != json!(true) {
            // The server shuts down or its database is unavailable: the client retries on the next connection.
            if ack["error"]["code"] != json!("unavailable") {
                state.violations.push(format!("{}: {number} was rejected: {ack}", self.config.name));
            }
            return Err("a send was rejected".into());
        }
        let (Some(sent), message) = (self.pending.remove(index), &ack["message"]) else { return Ok(()) };
        let is_first_attempt = sent.first_connection == self.connection;
        if is_first_attempt && ack["duplicate"] == json!(true) {
            state.violations.push(format!("{}: {number} was sent once and is a duplicate", self.config.name));
        }
        let acked = Acked {
            chat: sent.chat,
            number,
            id: message["id"].as_i64().unwrap_or_default(),
            seq: message["seq"].as_i64().unwrap_or_default(),
            connection: is_first_attempt.then_some(self.connection),
        };
        state.acked.push(acked);
        state.send_times.push((sent.first_sent_at, Instant::now()));
        self.run_state.acked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Session {
    async fn send(&mut self, event: &str, payload: &Value, request: Request) -> Result<()> {
        let id = self.framing.send(event, payload).await?;
        self.unacked.insert(id, (request, Instant::now()));
        Ok(())
    }

    fn has_timed_out(&self) -> bool {
        self.unacked.values().any(|(_, since)| since.elapsed() > ACK_TIMEOUT)
    }
}
