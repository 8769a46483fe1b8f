//! Files and pages that are part of the binary.

pub mod client;
pub mod web;
