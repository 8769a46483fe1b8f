//! The REST transport: thin handlers over the domain, documented beside their code. The OpenAPI document is generated
//! from them.

mod account;
mod admin;
mod attachments;
mod auth;
mod chats;
mod contacts;
pub mod docs;
mod documented_refusals;
mod errors;
mod events;
mod extract;
mod groups;
mod messages;
mod photos;
mod postman;
pub mod reads;
mod recovery;
mod search;
mod users;

pub use docs::openapi;
pub use postman::collection as postman_collection;

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::ops::health;
use crate::domain::AppContext;
use crate::domain::accounts::Running;

/// Maximum large bodies that are read at the same time.
const LARGE_BODIES: usize = 16;

/// State of the handlers.
#[derive(Clone)]
pub struct RestState {
    /// The domain.
    pub context: Arc<AppContext>,
    /// Largest body that may hold a photo, bytes.
    pub large_body: usize,
    /// Large bodies that may be read at the same time.
    pub large_bodies: Arc<Semaphore>,
    /// The latest reply of `/health/ready`.
    pub health: Arc<health::Remembered>,
    /// The latest counts of `/admin/statistics`.
    pub statistics: Arc<admin::Counted>,
    /// Exports that are running.
    pub exports: Arc<Running>,
}

impl RestState {
    /// Creates the state of a server that has just started; `large_body` is in bytes.
    pub fn new(context: Arc<AppContext>, large_body: usize) -> Self {
        Self {
            context,
            large_body,
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
            health: Arc::default(),
            statistics: Arc::default(),
            exports: Arc::default(),
        }
    }
}
