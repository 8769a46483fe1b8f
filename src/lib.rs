//! Mango Chat as a library. The text below is `docs/architecture.md`.

#![cfg_attr(doc, doc = include_str!("../docs/architecture.md"))]

pub mod app;
pub mod backup;
pub mod cli;
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
