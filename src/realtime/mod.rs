//! Delivery: the connections and their rooms, and the order in which commands are received and events are sent. The
//! transports define the frames; the domain defines what is stored.

pub mod backpressure;
pub mod connection;
pub mod heartbeat;
pub mod inbox;
pub mod outgoing;
pub mod pending;
pub mod publisher;
pub mod registration;
pub mod transport;
pub mod write_queue;

use std::sync::Arc;

use self::pending::PendingCount;
use self::publisher::Publisher;
use crate::domain::AppContext;

/// The shared state of all realtime transports.
pub struct RealtimeState {
    /// The domain.
    pub context: Arc<AppContext>,
    /// Rooms and connections.
    pub publisher: Arc<Publisher>,
    /// Commands of all connections that were received and not yet answered.
    pub unanswered: Arc<PendingCount>,
}

impl RealtimeState {
    /// The state of a node without connections.
    pub fn new(context: Arc<AppContext>, publisher: Arc<Publisher>) -> Arc<Self> {
        Arc::new(Self { context, publisher, unanswered: Arc::default() })
    }

    /// Waits until everything that was received is answered.
    pub async fn settled(&self) {
        self.unanswered.settled().await;
    }
}
