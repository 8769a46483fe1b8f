//! Settings for Socket.IO and WebSocket connections.

use std::time::Duration;

use super::reader::{BadSetting, Reader};

/// Limits on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sockets {
    /// Maximum size of a frame in bytes.
    pub max_frame_bytes: usize,
    /// Time between two pings.
    pub ping_interval: Duration,
    /// How long a client may take to answer a ping before its connection is closed.
    pub ping_timeout: Duration,
    /// How long a client may take to join a namespace.
    pub connect_timeout: Duration,
    /// Whether Socket.IO is served by this server's own engine, not by socketioxide.
    pub fast_path: bool,
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Sockets, BadSetting> {
    let max_frame_bytes = r.number(
        "MAX_FRAME_BYTES",
        1_000_000,
        "largest frame of a connection, bytes; a larger one ends the connection",
        1_024,
        134_217_728,
    )?;
    let millis = |r: &mut Reader<'_>, name, default: u64, meaning| {
        r.number(name, default, meaning, 100, 3_600_000).map(Duration::from_millis)
    };
    Ok(Sockets {
        max_frame_bytes,
        ping_interval: millis(r, "PING_INTERVAL_MS", 25_000, "time between two pings, milliseconds")?,
        ping_timeout: millis(
            r,
            "PING_TIMEOUT_MS",
            20_000,
            "a connection ends this long after an unanswered ping, milliseconds",
        )?,
        connect_timeout: millis(
            r,
            "CONNECT_TIMEOUT_MS",
            10_000,
            "time for a client to join a namespace, milliseconds",
        )?,
        fast_path: r.flag(
            "FAST_PATH",
            true,
            "serve Socket.IO with this server's own engine; off: with socketioxide, which is slower",
        )?,
    })
}
