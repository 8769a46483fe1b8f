//! Logs mails instead of sending them if no mail server is configured. The link in a mail is logged too, because it is
//! the only way to confirm an address locally. In production it is not: anyone who can read the log could take over
//! accounts.

use super::{Outgoing, SendStatus};

/// Logs mails; see the module documentation.
pub struct Log {
    /// Whether links are logged.
    pub with_link: bool,
}

impl Log {
    /// Logs the mail.
    pub fn send(&self, mail: &Outgoing) -> SendStatus {
        let link = mail.link.as_deref().filter(|_| self.with_link);
        tracing::info!(
            recipient = mail.recipient,
            template = mail.template,
            link,
            "a mail is only logged: SMTP_URL is not set"
        );
        SendStatus::Logged
    }
}
