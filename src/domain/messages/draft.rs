//! A message before it is sent, whichever way it comes.

use super::index;
use super::screen::screen;
use crate::config::Module;
use crate::domain::AppContext;
use crate::domain::mentions::Names;
use crate::error::Result;
use crate::ids::{ChatId, MessageId, UserId};
use crate::platform::tokens::hash;
use crate::protocol::forwarding::ForwardedFrom;
use crate::protocol::message_type::MessageType;

/// A message to send, with its fields validated.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The content to store.
    pub content: String,
    /// Kind of content.
    pub message_type: MessageType,
    /// The client's own id of the message.
    pub client_id: Option<String>,
    /// The message that it replies to.
    pub reply_to: Option<MessageId>,
    /// The names in the content.
    pub names: Names,
    /// The origin of a forwarded message.
    pub forwarded_from: Option<ForwardedFrom>,
    /// Ids of its attachments, in order.
    pub attachments: Vec<i64>,
    /// The hash of a file that was sent as content, and became an attachment.
    pub inline_file: Option<String>,
    /// The terms that its content is found by; `None` without search.
    pub terms: Option<String>,
    /// Whether it is reported to the moderators, because the word filter matches it.
    pub is_flagged: bool,
}

impl Draft {
    /// Creates a message to send. Fails if the word filter refuses it.
    pub fn new(
        context: &AppContext,
        text: String,
        message_type: MessageType,
        client_id: Option<String>,
    ) -> Result<Self> {
        let is_flagged = screen(context, &text, message_type)?;
        let names = Names::of(&text, message_type);
        let is_searchable = context.settings.modules.has(Module::Search);
        let terms = is_searchable.then(|| index::terms_of(&text, message_type, &[]));
        let (reply_to, forwarded_from, attachments, inline_file) = Default::default();
        Ok(Self {
            content: text,
            message_type,
            client_id,
            reply_to,
            names,
            forwarded_from,
            attachments,
            inline_file,
            terms,
            is_flagged,
        })
    }

    /// Returns everything that the message is found by, with the names of its files.
    pub fn index_entry(&self, chat: ChatId, author: UserId, files: &[&str]) -> String {
        let Some(terms) = &self.terms else { return String::new() };
        if files.is_empty() {
            return index::entry(terms, chat, author, self.message_type);
        }
        let all = index::terms_of(&self.content, self.message_type, files);
        index::entry(&all, chat, author, self.message_type)
    }

    /// Whether the message can be stored without reading anything but chat and sender.
    pub fn is_plain(&self) -> bool {
        !self.is_flagged
            && self.names.is_empty()
            && self.forwarded_from.is_none()
            && self.attachments.is_empty()
    }

    /// Returns a hash of chat, type and content if the message has a `client_id`. It allows a comparison even after the
    /// content is gone.
    pub fn fingerprint(&self, chat_id: i64) -> Option<String> {
        self.client_id.as_ref()?;
        let files = match &self.inline_file {
            Some(file) => format!("\n{file}"),
            None if self.attachments.is_empty() => String::new(),
            None => format!("\n{:?}", self.attachments),
        };
        Some(hash(&format!("{chat_id}\n{}\n{}{files}", self.message_type.id(), self.content)))
    }
}
