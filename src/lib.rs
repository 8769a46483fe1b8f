//! Mango Chat as a library: the modules by floor. The text below is the architecture.

#![doc = include_str!("README.md")]

pub mod app;
pub mod backup;
pub mod clock;
pub mod config;
pub mod domain;
pub mod error;
pub mod ids;
pub mod platform;
pub mod protocol;
pub mod random;
pub mod realtime;
pub mod text;
pub mod transport;
