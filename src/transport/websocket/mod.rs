//! The plain WebSocket transport (RFC 6455): JSON frames with a `type`, the same events and rules as Socket.IO.
//! `/ws` is for all chats, `/chat/{id}/ws` for one.

mod frame_writer;
mod frames;
mod misdirected;
mod session;
mod upgrade;

pub use upgrade::{all_chats, no_polling, one_chat};

use crate::protocol::catalogue::EventName;

/// No token, an invalid one, or none in time.
pub const UNAUTHORIZED: u16 = 4401;
/// The user was banned, or the session ended.
pub const FORBIDDEN: u16 = 4403;
/// The user is not a member of the chat.
pub const NOT_A_MEMBER: u16 = 4404;
/// Too many invalid frames in a row.
pub const BAD_FRAMES: u16 = 1003;
/// A frame is over the size limit.
pub const TOO_BIG: u16 = 1009;
/// The node shuts down; the client should reconnect.
pub const SHUTDOWN: u16 = 1012;
/// The client reads too slowly.
pub const TOO_SLOW: u16 = 1013;
/// The server cannot accept connections at the moment; the client should reconnect (IANA: try again later).
pub const TRY_LATER: u16 = 1013;

/// Returns the close code of a connection that ends after this event.
pub fn close_code(event: EventName) -> u16 {
    match event {
        EventName::token_expired => UNAUTHORIZED,
        EventName::member_removed | EventName::chat_deleted | EventName::chat_declined => NOT_A_MEMBER,
        EventName::server_shutdown => SHUTDOWN,
        _ => FORBIDDEN,
    }
}
