//! Files and pages that are part of the binary.

pub mod account;
pub mod client;
pub mod web;
