//! The plain WebSocket transport (RFC 6455): JSON frames with a `type`, the same events and rules as Socket.IO.
//! `/ws` is for all chats, `/chat/{id}/ws` for one.

mod frame_writer;
mod frames;
mod misdirected;
mod session;
mod upgrade;

pub use upgrade::{all_chats, no_polling, one_chat};

use crate::protocol::catalogue::EventName;

/// No token, a bad one, or none in time.
pub const UNAUTHORIZED: u16 = 4401;
/// Banned, or the session was ended.
pub const FORBIDDEN: u16 = 4403;
/// Not a member of the chat.
pub const NOT_A_MEMBER: u16 = 4404;
/// Frames that are not ours, again and again.
pub const BAD_FRAMES: u16 = 1003;
/// A frame over the limit.
pub const TOO_BIG: u16 = 1009;
/// The node goes; come back.
pub const SHUTDOWN: u16 = 1012;
/// Reads too slowly.
pub const TOO_SLOW: u16 = 1013;
/// The server cannot let anybody in just now; come back (IANA: try again later).
pub const TRY_LATER: u16 = 1013;

/// The code of an end that an event told of.
pub fn close_code(event: EventName) -> u16 {
    match event {
        EventName::token_expired => UNAUTHORIZED,
        EventName::member_removed | EventName::chat_deleted | EventName::chat_declined => NOT_A_MEMBER,
        EventName::server_shutdown => SHUTDOWN,
        _ => FORBIDDEN,
    }
}
