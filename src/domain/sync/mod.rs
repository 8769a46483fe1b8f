//! Catching up: what a client missed (`sync`), and what a node missed (filling a hole in a chat's order).
//! Both read the present state by `rev`, so nothing has to be kept for it.

mod answer;
mod fill;

pub use fill::{fill, gained_since, heads, present_in};
