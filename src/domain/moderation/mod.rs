//! Moderation: roles, bans, reports, and views for admins.
//!
//! Every privileged function takes a proof, [`Moderator`] or [`Admin`], which can only be made from the user's row in
//! the database. An action that changes something reads the row again under its lock, so that a revoked role loses its
//! effect at once, and writes its audit entry in the same transaction.

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
pub use reports::{Claimed, ReportChange, change, report, reports};
pub use roles::{Appointment, appoint, list_moderators, set_role};
pub use statistics::count;
pub use user_view::{UserFilter, details, list_users, sessions_of};

/// A page of a list, and the number to continue after.
pub struct Numbered<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// The number to continue after; `None` on the last page.
    pub next: Option<i64>,
}

impl<T> Numbered<T> {
    /// Makes a page of `limit` rows from the rows that were read: one more than `limit` if there are more.
    fn cut(mut items: Vec<T>, limit: u64, number: impl Fn(&T) -> i64) -> Self {
        let more = items.len() as u64 > limit;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(number);
        Self { items, next }
    }

    /// Converts the items of the page.
    fn map<U>(self, show: impl FnMut(T) -> U) -> Numbered<U> {
        Numbered { items: self.items.into_iter().map(show).collect(), next: self.next }
    }
}
