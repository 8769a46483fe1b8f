//! What all tests share: a server with its own database, users, and clients of both transports that do nothing on their
//! own.

mod app;
mod device;
pub mod faulty_sqlite;
pub mod fetch;
pub mod model;
mod plain;
mod polling;
pub mod private_postgres;
mod socket;

pub use app::{PASSWORD, Person, SECRET, TestApp, database_kind, fresh_database};
pub use device::{Device, Way, catch_up, fresh};
pub use plain::Plain;
pub use polling::Polling;
pub use socket::{Socket, Transport};

use std::time::Duration;

/// The time limit for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// How long a test waits before it concludes that nothing will arrive.
pub const SILENCE: Duration = Duration::from_millis(250);

/// Waits until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "did not come true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
