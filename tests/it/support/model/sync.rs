//! Catching up: what a client requests from `sync`, and how it applies the reply.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Model, number, own};

impl Model {
    /// Returns a request to `sync`: for everything, or only for these chats.
    pub fn sync_request(&self, only: Option<&BTreeSet<i64>>) -> Value {
        let named = |id: &i64| only.is_none_or(|only| only.contains(id));
        let mut since: Map<String, Value> = self
            .chats
            .iter()
            .filter(|(id, _)| named(id))
            .map(|(id, chat)| (id.to_string(), json!(chat.rev)))
            .collect();
        // Requests the whole history of a chat that the client does not have yet.
        for id in only.into_iter().flatten() {
            since.entry(id.to_string()).or_insert(json!(0));
        }
        let mut request = json!({"since": since});
        if let Some(epoch) = &self.epoch {
            request["epoch"] = json!(epoch);
        }
        match only {
            Some(only) => request["only"] = json!(only),
            None => request["user_rev"] = json!(self.user_rev),
        }
        request
    }

    /// Applies a page of `sync`; returns whether there is more.
    pub fn synced(&mut self, reply: &Value, whole: bool) -> bool {
        let list = |name: &str| reply[name].as_array().cloned().unwrap_or_default();
        let reset = reply["reset"] == json!(true);
        if reset {
            self.chats.clear();
            self.contacts.clear();
        }
        self.epoch = reply["epoch"].as_str().map(str::to_owned);
        if whole {
            self.user_rev = number(&reply["user_rev"]);
        }
        let mut replaced = BTreeSet::new();
        for chat in list("chats") {
            let id = number(&chat["id"]);
            if chat["truncated"] == json!(true) {
                self.chats.remove(&id);
                replaced.insert(id);
            }
            if whole && self.keeps_history && !self.chats.contains_key(&id) {
                self.holes.insert(id);
                continue;
            }
            let rev = self.chats.get(&id).map_or(0, |it| it.rev);
            self.take_chat(&chat, rev);
        }
        for message in list("messages") {
            self.take_message(&message);
        }
        for mine in list("mine") {
            if let Some(chat) = self.chats.get_mut(&number(&mine["chat_id"])) {
                chat.my = own(&mine["my"]);
            }
        }
        for contact in list("contacts") {
            let is = |name: &str| contact[name] == json!(true);
            self.take_contact(number(&contact["user_id"]), (is("following"), is("blocked")));
        }
        for left in list("left") {
            let id = number(&left["chat_id"]);
            if self.chats.get(&id).is_some_and(|it| number(&left["rev"]) >= it.rev) {
                self.chats.remove(&id);
            }
        }
        for (id, rev) in reply["revs"].as_object().cloned().unwrap_or_default() {
            let Some(chat) = id.parse().ok().and_then(|id: i64| self.chats.get_mut(&id)) else { continue };
            chat.rev = if reset || replaced.contains(&id.parse().unwrap_or_default()) {
                number(&rev)
            } else {
                chat.rev.max(number(&rev))
            };
        }
        reply["has_more"] == json!(true)
    }
}
