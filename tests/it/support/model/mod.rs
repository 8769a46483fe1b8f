//! What a client knows, kept as the contract tells clients to keep it: from events, from acks of its own commands, and
//! from `sync`. Two models of the same user can be compared. The model must share no type with the server: otherwise a
//! mistake in a shared type would go unnoticed.

mod compare;
mod sync;

pub use compare::Depth;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A message. The fields that likes change are separate, the others are kept as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its position in the chat.
    pub seq: i64,
    /// The `rev` of its latest change.
    pub rev: i64,
    /// The user who wrote it.
    pub author: i64,
    /// Whether it is deleted, which leaves a tombstone.
    pub deleted: bool,
    likes: i64,
    liked: bool,
    reactions: Value,
    my_reactions: BTreeSet<String>,
    /// Whether it mentions the user.
    pub mentioned: bool,
    /// What is shown of the message that it replies to.
    reply: Value,
    /// The other fields as JSON.
    rest: String,
}

/// A member of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    role: String,
    joined_at: Value,
    last_read_seq: i64,
}

/// The user's own state in a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    pinned: bool,
    archived: bool,
    muted_until: Value,
    last_read_seq: i64,
    draft: Value,
}

/// A chat.
#[derive(Clone, Debug)]
pub struct Chat {
    /// The chat's counter, as far as the client knows it.
    pub rev: i64,
    fields: Map<String, Value>,
    members: BTreeMap<i64, Member>,
    /// By id.
    pub messages: BTreeMap<i64, Message>,
    my: Own,
    /// The server's counts of unread messages and mentions, if the client has just fetched them.
    unread: Option<i64>,
    mentions: Option<i64>,
}

/// Everything that one user's client knows.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The user.
    pub user: i64,
    /// The epoch of the history that the client knows.
    pub epoch: Option<String>,
    /// The user's own counter.
    pub user_rev: i64,
    /// By id.
    pub chats: BTreeMap<i64, Chat>,
    people: BTreeMap<i64, Value>,
    /// The user's contacts: whether the user follows and whether the user blocks each of them.
    pub contacts: BTreeMap<i64, (bool, bool)>,
    /// Whether the client keeps every chat from its beginning, not only its newest messages.
    pub keeps_history: bool,
    /// Chats with a gap, to be synced.
    pub holes: BTreeSet<i64>,
    /// Errors of the server in what it sent on this connection.
    pub violations: Vec<String>,
    told: BTreeMap<i64, i64>,
    gone: BTreeSet<i64>,
}

/// Fields of a chat that are in events and in `sync`.
const FIELDS: [&str; 9] = [
    "name",
    "is_group",
    "description",
    "photo",
    "owner_id",
    "approved",
    "visible",
    "slow_mode_secs",
    "created_at",
];

impl Chat {
    /// Returns the number of known members.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

impl Model {
    /// Returns a model without any state.
    pub fn new(user: i64) -> Self {
        Self { user, ..Self::default() }
    }

    /// Starts a new connection, on which the order of events starts again.
    pub fn reconnected(&mut self) {
        self.told.clear();
        self.gone.clear();
    }

    /// Applies a server event.
    pub fn event(&mut self, name: &str, payload: &Value) {
        match name {
            "chat_pinned" | "chat_unpinned" | "chat_muted" | "chat_unmuted" | "chat_archived"
            | "chat_unarchived" | "draft_saved" => return self.own_event(name, payload),
            "chat_read" => return self.read_event(payload),
            "followed" | "unfollowed" | "blocked" | "unblocked" => {
                if number(&payload["by"]) == self.user {
                    let (following, blocked) = self.contact(number(&payload["user_id"]));
                    let contact = match name {
                        "followed" => (true, blocked),
                        "unfollowed" => (false, blocked),
                        "blocked" => (false, true),
                        _ => (following, false),
                    };
                    self.take_contact(number(&payload["user_id"]), contact);
                    self.user_rev = self.user_rev.max(number(&payload["user_rev"]));
                }
                return;
            }
            "user_updated" => {
                let user = &payload["user"];
                if self.people.contains_key(&number(&user["id"])) {
                    self.know(user);
                }
                return;
            }
            "sync_hint" => {
                self.holes.insert(number(&payload["chat"]));
                return;
            }
            _ => {}
        }
        let (Some(chat), Some(prev)) = (payload["chat"].as_i64(), payload["prev"].as_i64()) else { return };
        let rev = number(&payload["rev"]);
        let member = &payload["member"];
        let about_me = number(&member["user"]["id"]) == self.user;
        let joins = name == "chat_created" || (name == "member_added" && about_me);
        if joins {
            self.gone.remove(&chat);
            self.told.remove(&chat);
        } else if self.gone.contains(&chat) {
            self.violations.push(format!("{name} {rev} of chat {chat} came after one's last event of it"));
        }
        self.in_order(name, chat, rev, true);
        let leaves =
            matches!(name, "chat_deleted" | "chat_declined") || (name == "member_removed" && about_me);
        if leaves {
            self.gone.insert(chat);
            if self.chats.get(&chat).is_none_or(|it| rev > it.rev) {
                self.chats.remove(&chat);
                self.holes.remove(&chat);
            }
            return;
        }
        if !self.has_up_to(chat, prev, name == "chat_created") {
            self.holes.insert(chat);
            return;
        }
        if self.chats.get(&chat).is_some_and(|it| rev <= it.rev) {
            return;
        }
        self.apply(name, chat, rev, payload);
    }

    /// Returns whether the client has every change up to `prev`.
    fn has_up_to(&self, chat: i64, prev: i64, created: bool) -> bool {
        self.chats.get(&chat).map_or(created && prev == 0, |it| prev <= it.rev)
    }

    /// Checks that changes of a chat arrive in the order of its counter, each value once. The ack of most commands does
    /// not count, because its event still follows.
    fn in_order(&mut self, what: &str, chat: i64, rev: i64, counts: bool) {
        let told = self.told.get(&chat).copied().unwrap_or(-1);
        if rev <= told {
            self.violations.push(format!("{what} {rev} of chat {chat} came after {told}"));
        } else if counts {
            self.told.insert(chat, rev);
        }
    }

    fn apply(&mut self, name: &str, chat_id: i64, rev: i64, payload: &Value) {
        if name == "chat_created" {
            self.take_chat(&payload["details"], rev);
            return;
        }
        if !self.chats.contains_key(&chat_id) {
            self.holes.insert(chat_id);
            return;
        }
        match name {
            "chat_updated" | "chat_approved" => self.take_chat(&payload["details"], rev),
            "new_message" => self.take_message(payload),
            "message_edited" | "message_deleted" | "message_pinned" | "message_unpinned" => {
                self.take_message(&payload["message"]);
            }
            "message_reacted" => {
                let mine = number(&payload["by"]) == self.user;
                if let Some(message) = self.message_mut(chat_id, number(&payload["message_id"])) {
                    message.reactions = payload["reactions"].clone();
                    message.rev = rev;
                    let emoji = payload["emoji"].as_str().unwrap_or_default().to_owned();
                    match (mine, payload["on"] == json!(true)) {
                        (true, true) => _ = message.my_reactions.insert(emoji),
                        (true, false) => _ = message.my_reactions.remove(&emoji),
                        (false, _) => {}
                    }
                }
            }
            "message_liked" => {
                let mine = number(&payload["by"]) == self.user;
                if let Some(message) = self.message_mut(chat_id, number(&payload["message_id"])) {
                    message.likes = number(&payload["likes"]);
                    message.rev = rev;
                    if mine {
                        message.liked = payload["liked"] == json!(true);
                    }
                }
            }
            "member_added" | "member_role_changed" => {
                self.take_member(chat_id, &payload["member"]);
            }
            "member_removed" => {
                let who = number(&payload["member"]["user"]["id"]);
                if let Some(chat) = self.chats.get_mut(&chat_id) {
                    chat.members.remove(&who);
                }
            }
            other => self.violations.push(format!("an event that this model does not know: {other}")),
        }
        if let Some(chat) = self.chats.get_mut(&chat_id) {
            chat.rev = rev;
            if let Some(count) = payload.get("member_count")
                && number(count) != chat.members.len() as i64
            {
                self.violations
                    .push(format!("{name} {rev} counts {count}, one knows {}", chat.members.len()));
            }
        }
    }

    fn own_event(&mut self, name: &str, payload: &Value) {
        if let Some(chat) = self.chats.get_mut(&number(&payload["chat"])) {
            match name {
                "chat_pinned" | "chat_unpinned" => chat.my.pinned = name == "chat_pinned",
                "chat_archived" | "chat_unarchived" => chat.my.archived = name == "chat_archived",
                "draft_saved" => chat.my.draft = draft(&payload["draft"]),
                _ => chat.my.muted_until = payload["muted_until"].clone(),
            }
        }
        self.user_rev = self.user_rev.max(number(&payload["user_rev"]));
    }

    fn read_event(&mut self, payload: &Value) {
        let (who, seq) = (number(&payload["user_id"]), number(&payload["seq"]));
        let Some(chat) = self.chats.get_mut(&number(&payload["chat"])) else { return };
        if let Some(member) = chat.members.get_mut(&who) {
            member.last_read_seq = member.last_read_seq.max(seq);
        }
        if who == self.user {
            chat.my.last_read_seq = chat.my.last_read_seq.max(seq);
            (chat.unread, chat.mentions) = (None, None);
            self.user_rev = self.user_rev.max(number(&payload["user_rev"]));
        }
    }

    /// Applies the ack of the user's own command. The ack replaces the event only for commands whose event is not sent
    /// to the socket that ran them.
    pub fn ack(&mut self, command: &str, ack: &Value) {
        if ack["ok"] != json!(true) {
            return;
        }
        let place = ack["chat_id"].as_i64().zip(ack["prev"].as_i64());
        let rev = number(&ack["rev"]);
        if let Some((chat, _)) = place {
            self.in_order(
                command,
                chat,
                rev,
                matches!(command, "send_message" | "forward_message" | "toggle_like_message"),
            );
        }
        match (command, place) {
            ("create_chat", Some((chat, prev)))
                if self.has_up_to(chat, prev, true)
                    && self.chats.get(&chat).is_none_or(|it| rev > it.rev) =>
            {
                self.take_chat(&ack["chat"], rev);
                if ack["chat"]["last_message"].is_object() {
                    self.take_message(&ack["chat"]["last_message"]);
                }
            }
            ("send_message" | "forward_message", Some((chat, prev))) if self.has_up_to(chat, prev, false) => {
                self.take_message(&ack["message"]);
                if let Some(chat) = self.chats.get_mut(&chat) {
                    chat.rev = chat.rev.max(rev);
                }
            }
            (
                "create_chat" | "send_message" | "forward_message" | "toggle_like_message",
                Some((chat, prev)),
            ) if !self.has_up_to(chat, prev, false) => {
                self.holes.insert(chat);
            }
            _ => {}
        }
    }

    /// Applies the ack of the user's own like, which does not name the message.
    pub fn liked(&mut self, message: i64, ack: &Value) {
        self.ack("toggle_like_message", ack);
        let (chat, rev, prev) = (number(&ack["chat_id"]), number(&ack["rev"]), number(&ack["prev"]));
        if ack.get("rev").is_some() && self.chats.get(&chat).is_some_and(|it| prev <= it.rev && rev > it.rev)
        {
            if let Some(message) = self.message_mut(chat, message) {
                message.likes = number(&ack["likes"]);
                message.liked = ack["liked"] == json!(true);
                message.rev = rev;
            }
            if let Some(chat) = self.chats.get_mut(&chat) {
                chat.rev = rev;
            }
        }
    }

    fn contact(&self, user: i64) -> (bool, bool) {
        self.contacts.get(&user).copied().unwrap_or_default()
    }

    /// Applies whether the user follows and blocks another user.
    pub fn take_contact(&mut self, user: i64, contact: (bool, bool)) {
        if contact == (false, false) {
            self.contacts.remove(&user);
        } else {
            self.contacts.insert(user, contact);
        }
    }

    fn know(&mut self, person: &Value) {
        let known = ["username", "name", "photo", "role"].map(|field| person[field].clone());
        self.people.insert(number(&person["id"]), json!(known));
    }

    /// Applies a chat as the server shows it; the client then knows it up to `rev`.
    pub fn take_chat(&mut self, shown: &Value, rev: i64) {
        let id = number(&shown["id"]);
        let fields = FIELDS.iter().map(|name| ((*name).to_owned(), shown[*name].clone())).collect();
        let before = self.chats.remove(&id);
        let my = if shown["my"].is_object() { Some(own(&shown["my"])) } else { None };
        let my = my.or_else(|| before.as_ref().map(|it| it.my.clone()));
        let nothing = json!({"pinned": false, "archived": false, "muted_until": null, "last_read_seq": 0, "draft": null});
        let chat = Chat {
            rev,
            fields,
            members: BTreeMap::new(),
            messages: before.map(|it| it.messages).unwrap_or_default(),
            my: my.unwrap_or_else(|| own(&nothing)),
            unread: shown["my"]["unread"].as_i64(),
            mentions: shown["my"]["mentions"].as_i64(),
        };
        self.chats.insert(id, chat);
        for member in shown["members"].as_array().into_iter().flatten() {
            self.take_member(id, member);
        }
    }

    /// Applies a member as the server shows it.
    pub fn take_member(&mut self, chat: i64, shown: &Value) {
        let who = number(&shown["user"]["id"]);
        self.know(&shown["user"]);
        let Some(chat) = self.chats.get_mut(&chat) else { return };
        let role = shown["role"].as_str().unwrap_or_default().to_owned();
        if role == "owner" {
            chat.fields.insert("owner_id".into(), json!(who));
        }
        let last_read_seq = number(&shown["last_read_seq"]);
        if who == self.user {
            chat.my.last_read_seq = chat.my.last_read_seq.max(last_read_seq);
        }
        chat.members.insert(who, Member { role, joined_at: shown["joined_at"].clone(), last_read_seq });
    }

    fn message_mut(&mut self, chat: i64, id: i64) -> Option<&mut Message> {
        self.chats.get_mut(&chat)?.messages.get_mut(&id)
    }

    /// Applies a message as the server shows it, unless the client has a later version.
    pub fn take_message(&mut self, shown: &Value) {
        self.know(&shown["user"]);
        let Some(chat) = self.chats.get_mut(&number(&shown["chat_id"])) else { return };
        let (id, rev) = (number(&shown["id"]), number(&shown["rev"]));
        let before = chat.messages.get(&id);
        if before.is_some_and(|it| it.rev > rev) {
            return;
        }
        let deleted = !shown["deleted_at"].is_null();
        let liked = match &shown["my"]["liked"] {
            Value::Bool(liked) => *liked,
            _ => before.is_some_and(|it| it.liked) && !deleted,
        };
        let my_reactions = match &shown["my"]["reactions"] {
            Value::Array(emoji) => emoji.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ if deleted => BTreeSet::new(),
            _ => before.map(|it| it.my_reactions.clone()).unwrap_or_default(),
        };
        let author = number(&shown["user"]["id"]);
        let mentions_user = shown["mentions_all"] == json!(true)
            || shown["mentions"].as_array().into_iter().flatten().any(|id| number(id) == self.user);
        let mentioned = shown["my"]["mentioned"].as_bool().unwrap_or(mentions_user && author != self.user);
        let mut rest = shown.as_object().cloned().unwrap_or_default();
        for apart in ["user", "my", "likes", "reactions", "reply", "rev", "seq", "prev", "by", "at"] {
            rest.remove(apart);
        }
        if let Some(origin) = rest.get_mut("forwarded_from").filter(|it| it.is_object()) {
            origin["user"] = origin["user"]["id"].clone();
        }
        let mut reply = shown["reply"].clone();
        if reply.is_object() {
            reply["user"] = reply["user"]["id"].clone();
        }
        // What is shown of this message beside replies to it.
        let content: String = shown["content"].as_str().unwrap_or_default().chars().take(200).collect();
        let as_reply = json!({
            "id": id, "seq": shown["seq"], "user": author, "message_type": shown["message_type"],
            "excerpt": content, "deleted": deleted,
        });
        for other in chat.messages.values_mut().filter(|it| it.reply["id"] == json!(id)) {
            other.reply = as_reply.clone();
        }
        let message = Message {
            seq: number(&shown["seq"]),
            rev,
            author,
            deleted,
            likes: number(&shown["likes"]),
            liked,
            reactions: shown["reactions"].clone(),
            my_reactions,
            mentioned,
            reply,
            rest: Value::Object(rest).to_string(),
        };
        // The first message makes a direct chat visible to both.
        chat.fields.insert("visible".into(), json!(true));
        chat.messages.insert(id, message);
    }
}

fn own(shown: &Value) -> Own {
    Own {
        pinned: shown["pinned"] == json!(true),
        archived: shown["archived"] == json!(true),
        muted_until: shown["muted_until"].clone(),
        last_read_seq: number(&shown["last_read_seq"]),
        draft: draft(&shown["draft"]),
    }
}

/// Returns a draft without the time at which it was saved.
fn draft(shown: &Value) -> Value {
    let mut draft = shown.clone();
    if let Some(fields) = draft.as_object_mut() {
        fields.remove("saved_at");
    }
    draft
}
