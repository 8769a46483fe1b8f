//! A connection that is registered with the publisher.

use std::sync::Arc;

use super::RealtimeState;
use super::connection::Connection;
use crate::error::Result;

/// Keeps a connection registered until dropped.
pub struct Registration {
    realtime: Arc<RealtimeState>,
    connection: Arc<Connection>,
}

impl Registration {
    /// Registers a connection, which joins its rooms.
    pub async fn new(realtime: &Arc<RealtimeState>, connection: Arc<Connection>) -> Result<Self> {
        // Created first, so that a failure unregisters the connection.
        let registration = Self { realtime: realtime.clone(), connection };
        realtime.publisher.register(&realtime.context, &registration.connection).await?;
        Ok(registration)
    }

    /// Returns the connection.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Unregisters the connection now.
    pub fn end(&self) {
        self.realtime.publisher.unregister(&self.realtime.context, &self.connection);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.end();
    }
}
