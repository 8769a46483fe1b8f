//! What is enlarged, to which sizes, what is measured at each of them, and which rows that needs.

use clap::ValueEnum;

use super::plant::Plan;

/// What is enlarged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Axis {
    /// The messages of a chat of two members.
    Messages,
    /// The members of a chat, two of them connected.
    Members,
    /// The chats of a user, each with one other member.
    Chats,
    /// The idle connections, each of its own user.
    Connections,
}

/// A measured number.
#[derive(Debug, PartialEq)]
pub struct Metric {
    /// Its name, with the unit.
    pub name: &'static str,
    /// Whether more is better. Then the growth is that of the time for one item.
    pub rate: bool,
}

const fn cost(name: &'static str) -> Metric {
    Metric { name, rate: false }
}

/// One `send_message` from the frame to its acknowledgement, one in flight.
pub const SEND: Metric = cost("send ms");
/// The tenth percentile of the same: less depends on how fast the disk syncs at the moment.
pub const SEND_FAST: Metric = cost("send, fastest tenth, ms");
/// `history` without a position.
pub const NEWEST: Metric = cost("newest page of 50 ms");
/// `history` with `before` at half of the messages.
pub const MIDDLE: Metric = cost("page of 50 in the middle ms");
/// `sync` of a client that misses ten messages.
pub const BEHIND: Metric = cost("sync, 10 messages behind, ms");
/// `sync` of a client that misses nothing.
pub const NOTHING: Metric = cost("sync, nothing new, ms");
/// `GET /chat`, the first page.
pub const LIST: Metric = cost("chat list ms");
/// From the start of the TCP connection to `ready`.
pub const READY: Metric = cost("connect until ready ms");
/// Connections until `ready`, 50 opened at the same time.
pub const CONNECTS: Metric = Metric { name: "connections/s", rate: true };
/// Resident memory of the server that the connections added, divided by their number.
pub const MEMORY: Metric = cost("server RSS per connection KB");

/// Users who share the chats with the user of `chats`.
const PARTNERS: u64 = 100;

/// Members of each chat of idle users.
const CHAT_SIZE: u64 = 4;

impl Axis {
    /// Returns the name for headings.
    pub fn title(self) -> &'static str {
        match self {
            Self::Messages => "messages in a chat",
            Self::Members => "members of a chat",
            Self::Chats => "chats of a user",
            Self::Connections => "idle connections",
        }
    }

    /// Returns the sizes in ascending order.
    pub fn sizes(self, quick: bool) -> &'static [u64] {
        match (self, quick) {
            (Self::Messages, false) => &[100, 1_000, 10_000, 100_000, 1_000_000],
            (Self::Messages, true) => &[100, 1_000, 10_000],
            (Self::Members, false) => &[2, 10, 100, 1_000, 10_000],
            (Self::Members, true) => &[2, 10, 100],
            (Self::Chats, false) => &[10, 100, 1_000, 5_000],
            (Self::Chats, true) => &[10, 100],
            (Self::Connections, false) => &[1_000, 5_000, 20_000],
            (Self::Connections, true) => &[100, 400],
        }
    }

    /// Returns what is measured.
    pub fn metrics(self) -> &'static [&'static Metric] {
        match self {
            Self::Messages => &[&SEND, &SEND_FAST, &NEWEST, &MIDDLE, &BEHIND],
            Self::Members => &[&SEND, &SEND_FAST, &NEWEST, &LIST, &NOTHING],
            Self::Chats => &[&READY, &LIST, &NOTHING, &SEND, &SEND_FAST],
            Self::Connections => &[&CONNECTS, &MEMORY, &SEND, &SEND_FAST],
        }
    }

    /// Returns the rows that a size needs. Users 1 and 2 are always members of chat 1.
    pub fn plan(self, size: u64) -> Plan {
        match self {
            Self::Messages => Plan {
                users: 2,
                chats: 1,
                memberships: 2,
                chat: "1".into(),
                user: "i".into(),
                messages_per_chat: size,
            },
            Self::Members => Plan {
                users: size,
                chats: 1,
                memberships: size,
                chat: "1".into(),
                user: "i".into(),
                messages_per_chat: 100,
            },
            // Of each two rows, the first is that of user 1 and the second that of the other member.
            Self::Chats => Plan {
                users: 1 + PARTNERS,
                chats: size,
                memberships: 2 * size,
                chat: "(i + 1) / 2".into(),
                user: format!("CASE WHEN i % 2 = 1 THEN 1 ELSE 2 + (i / 2 - 1) % {PARTNERS} END"),
                messages_per_chat: 3,
            },
            // Users 1 and 2 have a chat without the idle ones.
            Self::Connections => Plan {
                users: 2 + size,
                chats: 1 + size.div_ceil(CHAT_SIZE),
                memberships: 2 + size,
                chat: format!("CASE WHEN i <= 2 THEN 1 ELSE 2 + (i - 3) / {CHAT_SIZE} END"),
                user: "i".into(),
                messages_per_chat: 3,
            },
        }
    }
}
