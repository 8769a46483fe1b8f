//! Keeping order: who may, bans, reports, and what admins look at.
//!
//! Every privileged function takes a proof, [`Moderator`] or [`Admin`], which is only made from the user's
//! row as it stands in the database. An act that changes something reads the row again under its lock, so
//! that who loses a role loses it at once, and writes its audit row in the same transaction.

mod bans;
mod logs;
mod moderators;
mod reports;
mod roles;
mod statistics;
mod user_view;

pub use bans::{ban, end_sessions, unban};
pub use logs::{AuditFilter, audit, mails};
pub use moderators::{Admin, Moderator, require_another_admin};
pub use reports::{report, reports, resolve};
pub use roles::{Appointment, appoint, list_moderators, set_role};
pub use statistics::count;
pub use user_view::{UserFilter, details, list_users, sessions_of};

/// Part of a list, and the number that the next part goes on after.
pub struct Numbered<T> {
    /// In order.
    pub items: Vec<T>,
    /// None at the end.
    pub next: Option<i64>,
}

impl<T> Numbered<T> {
    /// One page of what was read: `limit` rows, and one more where there is more.
    fn cut(mut items: Vec<T>, limit: u64, number: impl Fn(&T) -> i64) -> Self {
        let more = items.len() as u64 > limit;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(number);
        Self { items, next }
    }

    /// The same page with its items as they are shown.
    fn map<U>(self, show: impl FnMut(T) -> U) -> Numbered<U> {
        Numbered { items: self.items.into_iter().map(show).collect(), next: self.next }
    }
}
