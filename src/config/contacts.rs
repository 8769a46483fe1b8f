//! Settings for who may contact whom, and how many chats a user may have.

use std::time::Duration;

use super::reader::{BadSetting, Reader};

/// A rule on who may contact whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactRule {
    /// A direct chat waits for approval if its recipient does not follow its creator.
    Approval,
    /// Users who are added to a group and the acting user must follow each other.
    Mutual,
}

impl ContactRule {
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "approval" => Some(Self::Approval),
            "mutual" => Some(Self::Mutual),
            _ => None,
        }
    }
}

/// Who may contact whom, and how many chats a user may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contacts {
    /// The rules that apply; if there are none, all users may contact each other.
    pub rules: Vec<ContactRule>,
    /// Name of a group that every user belongs to.
    pub lobby_chat: Option<String>,
    /// The same text from the same user in the same chat is refused within this time.
    pub duplicate_window: Duration,
    /// Maximum number of chats of a user.
    pub max_chats: usize,
    /// Maximum number of groups that a user may have created.
    pub max_groups: usize,
}

impl Contacts {
    /// Returns whether a rule applies.
    pub fn requires(&self, rule: ContactRule) -> bool {
        self.rules.contains(&rule)
    }
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Contacts, BadSetting> {
    let rules = r.read(
        "CONTACT_POLICY",
        "",
        "comma-separated rules: approval (direct chats from strangers wait), mutual (groups need mutual following)",
        "a comma-separated list of approval and mutual",
        |value| {
            let words = value.split(',').map(str::trim).filter(|word| !word.is_empty());
            words.map(ContactRule::from_text).collect::<Option<Vec<_>>>()
        },
    )?;
    let lobby_chat = r.read(
        "LOBBY_CHAT",
        "",
        "name of a group that every user belongs to",
        "1 to 100 characters",
        |value| (value.chars().count() <= 100).then(|| Some(value.to_owned()).filter(|it| !it.is_empty())),
    )?;
    let duplicate_window = r
        .number(
            "DUPLICATE_WINDOW_MS",
            0,
            "refuse the same text from the same user in the same chat within this time, milliseconds; 0: never",
            0,
            86_400_000,
        )
        .map(Duration::from_millis)?;
    let max_chats = r.number("MAX_CHATS_PER_USER", 5_000, "most chats of a user", 1, 20_000)?;
    let max_groups =
        r.number("MAX_GROUPS_PER_USER", 1_000, "most groups that a user may have created", 1, 20_000)?;
    Ok(Contacts { rules, lobby_chat, duplicate_window, max_chats, max_groups })
}
