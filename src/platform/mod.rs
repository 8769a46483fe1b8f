//! Small interfaces to the outside world: database, events between nodes, files, pictures, passwords, tokens, logs. It
//! contains neither business rules nor transports.

pub mod background;
pub mod bus;
pub mod db;
pub mod gather;
mod hs256;
pub mod images;
pub mod latest;
pub mod limits;
pub mod log;
pub mod mail;
pub mod memory;
pub mod passwords;
pub mod progress;
pub mod rich_text;
pub mod storage;
pub mod telemetry;
pub mod thread_pool;
pub mod tokens;
