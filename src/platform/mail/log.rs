//! Where there is no SMTP peer a mail is only logged, and so is the link in it: it is the one way to use the
//! product locally. Not in production: whoever reads the log could take over accounts.

use super::{Outgoing, SendStatus};

/// See the file.
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
