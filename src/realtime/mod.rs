//! Delivery: which connections there are, which rooms they are in, and in which order commands come in and events go
//! out. What a frame looks like is the transports' concern, what is stored the domain's.

pub mod backpressure;
pub mod connection;
pub mod inbox;
pub mod pending;
pub mod publisher;
pub mod transport;

use std::sync::Arc;

use self::pending::PendingCount;
use self::publisher::Publisher;
use crate::domain::AppContext;

/// What every realtime transport works with.
pub struct RealtimeState {
    /// The domain.
    pub context: Arc<AppContext>,
    /// Rooms and send queues.
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
