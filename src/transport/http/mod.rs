//! What all requests pass through: the listener, limits of time and size, the address of the client, and the only table
//! of status codes.

pub mod body_headers;
pub mod client_address;
pub mod frame_reader;
pub mod frames;
pub mod headers;
pub mod listener;
pub mod observe;
pub mod origin;
pub mod problem;
pub mod public_path;
pub mod serve;
pub mod timed_body;
pub mod token;
pub mod upgrade_request;
