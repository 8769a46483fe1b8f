//! Settings of registration.

use super::reader::{BadSetting, Reader};

/// Who may register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Everybody.
    Open,
    /// Whoever has an invite link.
    Invite,
    /// Nobody.
    Closed,
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Registration, BadSetting> {
    r.read(
        "REGISTRATION",
        "open",
        "who may register: open (everybody), invite (with the token of an invite link) or closed (nobody)",
        "open, invite or closed",
        |value| match value {
            "open" => Some(Registration::Open),
            "invite" => Some(Registration::Invite),
            "closed" => Some(Registration::Closed),
            _ => None,
        },
    )
}
