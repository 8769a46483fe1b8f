//! The transports: Socket.IO, plain WebSocket, REST, pages and operations. They translate between external protocols
//! and the layers below, and make no decisions that belong to the domain.

pub mod http;
pub mod ops;
pub mod pages;
pub mod rest;
pub mod router;
pub mod socketio;
pub mod websocket;
