//! Catching up: what a client missed (`sync`), and what a node missed (gaps in a chat's order). Both read the current
//! state by `rev`, so no history of events is stored.

mod answer;
mod arrivals;
mod fill;

pub use arrivals::{Arrivals, Memberships};
pub use fill::{Standing, fill, heads, present_in, standing_in, standings_since, user_revs};
