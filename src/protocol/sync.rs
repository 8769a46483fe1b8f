//! Catching up after the client was away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::{Chat, MyChat};
use super::contacts::Contact;
use super::messages::Message;
use super::parse::{Check, Limits, Problems};
use crate::ids::{ChatId, whole_by_key, whole_or_none};

/// Most chats that may be listed.
const MAX_NAMED: usize = 20_000;

/// `sync`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Sync {
    /// For each chat id the `rev` that the client has; 0 means from the beginning. Chats that are not listed are returned whole.
    #[serde(default, deserialize_with = "whole_by_key")]
    #[schema(value_type = std::collections::HashMap<String, i64>)]
    pub since: BTreeMap<ChatId, i64>,
    /// The value of the user's own counter that the client has. Without it, own state is only part of whole chats.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub user_rev: Option<i64>,
    /// The epoch that the client's data belongs to.
    #[serde(default)]
    pub epoch: Option<String>,
    /// Limits the reply to these chats.
    #[serde(default)]
    pub only: Option<Vec<ChatId>>,
    /// A chat with more changes than this is returned whole, with `truncated`.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub max_behind: Option<i64>,
    /// Messages per page: 1 to 500, default 200.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub limit: Option<i64>,
}

impl Check for Sync {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check(
            "limit",
            self.limit.is_none_or(|it| (1..=500).contains(&it)),
            "must be between 1 and 500",
        );
        problems.check("max_behind", self.max_behind.is_none_or(|it| it >= 0), "must not be negative");
        problems.check("since", self.since.values().all(|rev| *rev >= 0), "must not have negative values");
        problems.check("since", self.since.len() <= MAX_NAMED, "names too many chats");
        let only = self.only.as_ref().map_or(0, Vec::len);
        problems.check("only", only <= MAX_NAMED, "names too many chats");
    }
}

/// A chat in the reply to `sync`.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncedChat {
    /// The chat, with `my`.
    #[serde(flatten)]
    pub chat: Chat,
    /// Drop what you have of this chat: only its newest messages follow; fetch the others with `history`.
    pub truncated: bool,
}

/// The user's own state in a chat.
#[derive(Debug, Serialize, ToSchema)]
pub struct Mine {
    /// The chat.
    pub chat_id: ChatId,
    /// The current state.
    pub my: MyChat,
}

/// A listed chat that the user does not belong to.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeftChat {
    /// The chat.
    pub chat_id: ChatId,
    /// The chat's counter when the user left. Ignore the entry if it is below what the client has.
    pub rev: i64,
    /// `left`, `removed`, `deleted`, `declined`, or `unknown` if the user was never a member.
    pub reason: String,
}

/// The reply to `sync`: one page of changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncReply {
    /// Identifies the history of the database; changes when a backup is restored.
    pub epoch: String,
    /// The value of the user's own counter.
    pub user_rev: i64,
    /// Merge this into the client's values, and send the result as the next `since`.
    #[schema(value_type = std::collections::HashMap<String, i64>)]
    pub revs: BTreeMap<ChatId, i64>,
    /// Chats that are new to the client or have changed.
    pub chats: Vec<SyncedChat>,
    /// New and changed messages, chat by chat in `rev` order.
    pub messages: Vec<Message>,
    /// Own state that has changed.
    pub mine: Vec<Mine>,
    /// Contacts that changed after `user_rev`; without it all. Not with `only`.
    pub contacts: Vec<Contact>,
    /// More than 500 contacts changed and none is listed: fetch the lists.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub contacts_truncated: bool,
    /// Listed chats that the user does not belong to.
    pub left: Vec<LeftChat>,
    /// There is another page: ask again with the new `revs`.
    pub has_more: bool,
    /// The database has another history than the client's data: drop everything.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

/// `sync_hint`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct SyncHint {
    /// The chat.
    pub chat: ChatId,
    /// The current value of the chat's counter.
    pub rev: i64,
}
