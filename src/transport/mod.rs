//! The doors: Socket.IO, REST, pages and operations, all thin, and the publisher that owns the rooms and
//! outboxes of every door. What is allowed is the domain's to say.

pub mod client_address;
pub mod connection;
pub mod counter;
mod frames;
pub mod gateway;
pub mod inbox;
pub mod listener;
pub mod problem;
pub mod publisher;
pub mod rest;
pub mod serve;
pub mod socket;
pub mod timed_body;
pub mod wire;
