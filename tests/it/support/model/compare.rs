//! Compares what a client knows with the server's state.

use std::collections::BTreeSet;

use super::{Chat, Message, Model};

/// How much must be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything, as a client knows it that was connected all the time.
    Live,
    /// Everything except what the promise leaves out: profiles and the read marks of other members (typing and presence
    /// are in no model).
    Promise,
}

impl Model {
    /// Counts the messages of others after the user's read mark among the known messages.
    fn unread(&self, chat: &Chat) -> i64 {
        let beyond = |it: &&Message| it.seq > chat.my.last_read_seq && it.author != self.user && !it.deleted;
        chat.messages.values().filter(beyond).count().min(1_000) as i64
    }

    /// Counts those among them that mention the user.
    fn mentions(&self, chat: &Chat) -> i64 {
        let beyond = |it: &&Message| {
            it.seq > chat.my.last_read_seq && it.author != self.user && !it.deleted && it.mentioned
        };
        chat.messages.values().filter(beyond).count().min(1_000) as i64
    }

    /// Describes the differences from a fresh fetch, at most a dozen.
    pub fn differences(&self, fresh: &Self, depth: Depth) -> Vec<String> {
        let mut found = Vec::new();
        let ids: BTreeSet<i64> = self.chats.keys().chain(fresh.chats.keys()).copied().collect();
        for id in ids {
            match (self.chats.get(&id), fresh.chats.get(&id)) {
                (Some(known), Some(real)) => self.compare(id, known, real, depth, &mut found),
                (known, _) => found.push(format!("chat {id} is only in the {}", side(known.is_some()))),
            }
        }
        if self.contacts != fresh.contacts {
            found.push(format!("contacts: {:?} is {:?}", self.contacts, fresh.contacts));
        }
        if depth == Depth::Live {
            for (id, person) in &fresh.people {
                if self.people.get(id) != Some(person) {
                    found.push(format!("user {id}: {:?} is {person}", self.people.get(id)));
                }
            }
        }
        found.truncate(12);
        found
    }

    fn compare(&self, id: i64, known: &Chat, real: &Chat, depth: Depth, found: &mut Vec<String>) {
        let mut check = |what: String, same: bool, pair: (String, String)| {
            if !same {
                found.push(format!("chat {id}, {what}: {} is {}", pair.0, pair.1));
            }
        };
        check("rev".into(), known.rev == real.rev, (known.rev.to_string(), real.rev.to_string()));
        for (field, value) in &real.fields {
            let have = &known.fields[field];
            check(field.clone(), have == value, (have.to_string(), value.to_string()));
        }
        check("my".into(), known.my == real.my, (format!("{:?}", known.my), format!("{:?}", real.my)));
        let (counted, said) = (self.unread(known), real.unread.unwrap_or_default());
        check("unread".into(), counted == said, (counted.to_string(), said.to_string()));
        let (counted, said) = (self.mentions(known), real.mentions.unwrap_or_default());
        check("mentions".into(), counted == said, (counted.to_string(), said.to_string()));
        let members = |chat: &Chat| {
            let mut members = chat.members.clone();
            if depth == Depth::Promise {
                for member in members.values_mut() {
                    member.last_read_seq = 0;
                }
            }
            members
        };
        let (have, is) = (members(known), members(real));
        check("members".into(), have == is, (format!("{have:?}"), format!("{is:?}")));
        let ids: BTreeSet<i64> = known.messages.keys().chain(real.messages.keys()).copied().collect();
        for message in ids {
            let (have, is) = (known.messages.get(&message), real.messages.get(&message));
            check(format!("message {message}"), have == is, (format!("{have:?}"), format!("{is:?}")));
        }
    }
}

fn side(known: bool) -> &'static str {
    if known { "client" } else { "server" }
}
