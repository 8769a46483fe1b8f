//! The transports: Socket.IO, plain WebSocket, REST, pages and operations. They translate between the outside world's
//! protocols and the layers below, and decide nothing that the domain decides.

pub mod http;
pub mod ops;
pub mod pages;
pub mod rest;
pub mod router;
pub mod socketio;
pub mod websocket;
