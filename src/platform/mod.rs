//! The outside world behind small interfaces: database, events between nodes, files, pictures, passwords,
//! tokens, logs. It knows neither rules nor transports.

pub mod background;
pub mod bus;
pub mod db;
mod hs256;
pub mod images;
pub mod latest;
pub mod limits;
pub mod log;
pub mod mail;
pub mod passwords;
pub mod progress;
pub mod storage;
pub mod thread_pool;
pub mod tokens;
