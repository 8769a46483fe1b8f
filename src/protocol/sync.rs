//! Catching up after having been away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::{Chat, MyChat};
use super::contacts::Contact;
use super::messages::Message;
use super::parse::{Check, Limits, Problems};
use crate::ids::{ChatId, whole_by_key, whole_or_none};

/// Chats that may be named at once.
const MAX_NAMED: usize = 20_000;

/// `sync`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Sync {
    /// Chat id to the `rev` that one has of it; 0 is from the beginning. Chats that are not named come whole.
    #[serde(default, deserialize_with = "whole_by_key")]
    #[schema(value_type = std::collections::HashMap<String, i64>)]
    pub since: BTreeMap<ChatId, i64>,
    /// One's own counter as one has it; left out, own state comes only with whole chats.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub user_rev: Option<i64>,
    /// The epoch that one's state is of.
    #[serde(default)]
    pub epoch: Option<String>,
    /// Answer for these chats only.
    #[serde(default)]
    pub only: Option<Vec<ChatId>>,
    /// A chat with more changes than this comes whole, `truncated`.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub max_behind: Option<i64>,
    /// Messages of a page, 1 to 500, default 200.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub limit: Option<i64>,
}

impl Check for Sync {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check("limit", self.limit.is_none_or(|it| (1..=500).contains(&it)), "takes 1 to 500");
        problems.check("max_behind", self.max_behind.is_none_or(|it| it >= 0), "takes 0 or more");
        problems.check("since", self.since.values().all(|rev| *rev >= 0), "takes values of 0 or more");
        problems.check("since", self.since.len() <= MAX_NAMED, "names too many chats");
        let only = self.only.as_ref().map_or(0, Vec::len);
        problems.check("only", only <= MAX_NAMED, "names too many chats");
    }
}

/// A chat as `sync` gives it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncedChat {
    /// The chat, with `my`.
    #[serde(flatten)]
    pub chat: Chat,
    /// Drop what you hold of it: only its newest messages follow, the rest is in `history`.
    pub truncated: bool,
}

/// One's own state in a chat.
#[derive(Debug, Serialize, ToSchema)]
pub struct Mine {
    /// Where.
    pub chat_id: ChatId,
    /// As it is now.
    pub my: MyChat,
}

/// A chat that is not, or no longer, the user's.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeftChat {
    /// Which.
    pub chat_id: ChatId,
    /// The chat's counter when it ended for the user; older than what one knows: ignore it.
    pub rev: i64,
    /// `left`, `removed`, `deleted`, `declined`, or `unknown` where the user never was in it.
    pub reason: String,
}

/// Answer to `sync`: one page of what changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncReply {
    /// Which history this database has.
    pub epoch: String,
    /// One's own counter now.
    pub user_rev: i64,
    /// What to send as `since` next, merged over what one has.
    #[schema(value_type = std::collections::HashMap<String, i64>)]
    pub revs: BTreeMap<ChatId, i64>,
    /// Chats that are new to one or changed themselves.
    pub chats: Vec<SyncedChat>,
    /// Messages that are new or changed, chat by chat in `rev` order.
    pub messages: Vec<Message>,
    /// Own state that changed.
    pub mine: Vec<Mine>,
    /// Contacts that changed after `user_rev`; all of them without it. Not with `only`.
    pub contacts: Vec<Contact>,
    /// More than 500 did: none is told, fetch the lists anew.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub contacts_truncated: bool,
    /// Named chats that are not one's own.
    pub left: Vec<LeftChat>,
    /// Ask again with the new `revs`.
    pub has_more: bool,
    /// The database has another history than one's state is of: drop everything.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

/// `sync_hint`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct SyncHint {
    /// Where.
    pub chat: ChatId,
    /// The chat's counter as it stands.
    pub rev: i64,
}
