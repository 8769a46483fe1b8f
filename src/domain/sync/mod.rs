//! Catching up: what a client missed (`sync`), and what a node missed (filling a gap in a chat's order).
//! Both read the present state by `rev`, so nothing has to be kept for it.

mod answer;
mod fill;

pub use fill::{
    Standing, chats_of, fill, heads, present_in, standing_in, standings_since, user_rev, user_revs,
};
