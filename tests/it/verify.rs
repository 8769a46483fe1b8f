//! Modelled on Zulip's `verify_action`: after every change, a client's earlier state plus the events it received must
//! equal a fresh fetch, and so must the earlier state plus `sync`. This holds for the acting device, the same user's
//! other device, another member, and a user who joins and leaves; on both transports; with and without an actual
//! change.

mod contacts;
mod groups;
mod holes;
mod messages;
mod own;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use mango_chat::protocol::catalogue::{COMMANDS, EVENTS};
use serde_json::{Value, json};

use crate::support::model::Depth;
use crate::support::{Device, Person, TestApp, Transport, Way, catch_up, fresh};

/// Each scenario with the commands that it runs both with and without an actual change, and the events that its devices
/// must receive. `World::finish` checks this.
const SCENARIOS: &[(&str, &[&str], &[&str])] = &[
    (
        "groups",
        &["create_chat", "update_chat", "add_member", "remove_member", "set_member_role"],
        &["chat_created", "chat_updated", "member_added", "member_removed", "member_role_changed"],
    ),
    (
        "access",
        &["accept_invite", "approve_join", "ban_member", "unban_member"],
        &["member_added", "member_removed"],
    ),
    ("endings", &["leave_chat", "delete_chat"], &["member_removed", "member_role_changed", "chat_deleted"]),
    (
        "messages",
        &[
            "send_message",
            "edit_message",
            "delete_message",
            "toggle_like_message",
            "toggle_reaction",
            "toggle_message_pin",
            "forward_message",
        ],
        &[
            "new_message",
            "message_edited",
            "message_deleted",
            "message_liked",
            "message_reacted",
            "message_pinned",
            "message_unpinned",
        ],
    ),
    ("direct", &["create_chat", "send_message"], &["chat_created", "new_message"]),
    (
        "own",
        &["toggle_chat_pin", "toggle_chat_mute", "toggle_chat_archive", "mark_read", "save_draft"],
        &[
            "chat_pinned",
            "chat_unpinned",
            "chat_muted",
            "chat_unmuted",
            "chat_archived",
            "chat_unarchived",
            "chat_read",
            "draft_saved",
        ],
    ),
    ("profile", &[], &["user_updated"]),
    (
        "contacts",
        &["follow", "unfollow", "block", "unblock"],
        &["followed", "unfollowed", "blocked", "unblocked"],
    ),
    ("approval", &["approve_chat"], &["chat_created", "new_message", "chat_approved"]),
    ("declining", &[], &["chat_declined"]),
];

/// Events that do not change the state that a client keeps, and why.
const NO_STATE: &[(&str, &str)] = &[
    ("ready", "says that the rooms are joined"),
    ("typing", "kept nowhere"),
    ("join_requested", "about a list that only owner and admins fetch"),
    ("join_declined", "about a list that only owner and admins fetch"),
    ("presence", "outside of the promise, and not in a chat"),
    ("sync_hint", "asks for a sync"),
    ("token_expiring", "about the connection"),
    ("token_expired", "about the connection"),
    ("session_ended", "about the connection"),
    ("user_banned", "about the connection"),
    ("server_shutdown", "about the connection"),
    ("exception", "an answer"),
];

/// Commands that do not change the state that a client keeps.
const READING: [&str; 6] = ["typing", "watch_presence", "sync", "history", "report", "authenticate"];

#[test]
fn every_event_and_command_of_the_catalogue_is_in_a_scenario() {
    for (event, _) in EVENTS {
        let heard = SCENARIOS.iter().any(|(_, _, events)| events.contains(event));
        let silent = NO_STATE.iter().any(|(name, _)| name == event);
        assert!(heard != silent, "{event} is new: hear it in a scenario, or say why it changes no state");
    }
    for command in COMMANDS.iter().map(|it| it.name) {
        // Declining deletes the chat or the request, so it cannot be declined without a change.
        let given = SCENARIOS.iter().any(|(_, commands, _)| commands.contains(&command))
            || ["decline_chat", "decline_join"].contains(&command);
        assert!(given != READING.contains(&command), "{command} is new: give it in a scenario");
    }
}

/// Indices of the acting devices.
const ALICE: usize = 0;
const BOB: usize = 2;
const CAROL: usize = 3;

/// A server, four users, five devices.
struct World {
    app: TestApp,
    /// Alice's two devices, Bob's, Carol's and Dave's.
    devices: Vec<Device>,
    dave: Person,
    heard: BTreeSet<String>,
    changed: BTreeSet<String>,
    unchanged: BTreeSet<String>,
}

impl World {
    /// The acting devices use `transport` 0 (Socket.IO) or 1 (plain); the others use both.
    async fn new(transport: usize) -> Self {
        Self::with(transport, &[]).await
    }

    /// Creates the same world with these settings.
    async fn with(transport: usize, settings: &[(&str, &str)]) -> Self {
        let app = TestApp::with(settings).await;
        let (alice, bob, carol) = app.three().await;
        let dave = app.person("dave").await;
        let ways = [Way::SocketIo(Transport::MAIN), Way::Plain, Way::SocketIo(Transport::ALL[3])];
        let mut devices = Vec::new();
        let people =
            [("alice", &alice), ("alice's other", &alice), ("bob", &bob), ("carol", &carol), ("dave", &dave)];
        for (number, (name, person)) in people.into_iter().enumerate() {
            devices.push(Device::connect(&app, name, person, ways[(transport + number) % ways.len()]).await);
        }
        let (heard, changed, unchanged) = Default::default();
        Self { app, devices, dave, heard, changed, unchanged }
    }

    fn id(&self, device: usize) -> i64 {
        self.devices[device].person.id
    }

    /// Runs a command that changes something: some device receives these events, and every model is correct afterwards.
    async fn change(&mut self, device: usize, command: &str, payload: Value, events: &[&str]) -> Value {
        let before = self.before();
        let ack = self.devices[device].act(command, payload).await;
        assert_eq!(ack["ok"], json!(true), "{command}: {ack}");
        self.settle(command, before, events).await;
        self.changed.insert(command.into());
        ack
    }

    /// Runs a command that changes nothing: no device receives an event, and the ack has no `rev`.
    async fn same(&mut self, device: usize, command: &str, payload: Value) -> Value {
        let before = self.before();
        let ack = self.devices[device].act(command, payload).await;
        assert!(ack.get("rev").is_none(), "{command} changed nothing: {ack}");
        self.settle(command, before, &[]).await;
        self.unchanged.insert(command.into());
        ack
    }

    fn before(&self) -> Vec<crate::support::model::Model> {
        self.devices.iter().map(|device| device.model.clone()).collect()
    }

    /// Reads the events of all devices, and compares each model with a fresh fetch, both live and after `sync`.
    async fn settle(&mut self, what: &str, before: Vec<crate::support::model::Model>, events: &[&str]) {
        let heard = join_all(self.devices.iter_mut().map(Device::listen)).await;
        let names: BTreeSet<String> = heard.iter().flatten().map(|(name, _)| name.clone()).collect();
        for event in events {
            assert!(names.contains(*event), "{what}: nobody heard {event}, only {names:?}");
        }
        let silent = what.starts_with("comparing") || !events.is_empty() || names.is_empty();
        assert!(silent, "{what} changed nothing, but was told: {heard:?}");
        self.heard.extend(names);
        for ((device, mut old), heard) in self.devices.iter_mut().zip(before).zip(heard) {
            let who = format!("{what}, {}", device.name);
            assert!(device.model.violations.is_empty(), "{who}: {:?}", device.model.violations);
            let also: BTreeSet<i64> = device.model.chats.keys().chain(old.chats.keys()).copied().collect();
            let real = fresh(&self.app, &device.person, &also).await;
            let different = device.model.differences(&real, Depth::Live);
            assert!(different.is_empty(), "{who}: live is not what a fetch shows: {different:#?}");
            // After any number of these events the connection may break: `sync` brings the rest.
            for cut in 0..=heard.len() {
                let mut model = old.clone();
                catch_up(&self.app, &device.person, &mut model).await;
                let different = model.differences(&real, Depth::Promise);
                assert!(different.is_empty(), "{who}: {cut} events and sync are not a fetch: {different:#?}");
                if let Some((name, payload)) = heard.get(cut) {
                    old.event(name, payload);
                }
            }
        }
    }

    /// Checks that the scenario did what the table says.
    fn finish(&self, scenario: &str) {
        let (_, commands, events) =
            SCENARIOS.iter().find(|(name, _, _)| *name == scenario).expect("it is in the table");
        for event in *events {
            assert!(self.heard.contains(*event), "{scenario}: {event} was never heard");
        }
        for command in *commands {
            assert!(self.changed.contains(*command), "{scenario}: {command} never changed anything");
            assert!(self.unchanged.contains(*command), "{scenario}: {command} was never without a change");
        }
    }

    /// Creates a group of Alice with Bob and Carol.
    async fn group(&mut self) -> i64 {
        let members = [self.id(BOB), self.id(CAROL)];
        let payload = json!({"chat": {"name": "group", "is_group": true, "members_array": members}});
        let ack = self.change(ALICE, "create_chat", payload, &["chat_created"]).await;
        ack["chat"]["id"].as_i64().expect("an id")
    }

    /// Sends a message to a chat; returns its id.
    async fn say(&mut self, device: usize, chat: i64, content: &str) -> i64 {
        let ack = self.change(device, "send_message", message(chat, content), &["new_message"]).await;
        ack["message"]["id"].as_i64().expect("an id")
    }
}

fn message(chat: i64, content: &str) -> Value {
    json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}})
}

fn with_user(chat: i64, user: i64) -> Value {
    json!({"chat": {"id": chat}, "user": {"id": user}})
}
