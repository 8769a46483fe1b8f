//! Endpoints for operators.

pub mod health;
