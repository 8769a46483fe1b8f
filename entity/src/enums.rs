//! Enums that are stored and sent as text: one type from the database to the clients.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Declares an enum whose variants are stored, sent and parsed as the given texts.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
            ToSchema,
        )]
        #[sea_orm(rs_type = "String", db_type = "String(StringLen::None)")]
        #[serde(rename_all = "snake_case", try_from = "String")]
        pub enum $name {
            $(
                $(#[$variant_doc])*
                #[sea_orm(string_value = $text)]
                $variant,
            )*
        }

        impl $name {
            /// All variants.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the text that is stored and sent.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Returns the variant with this text.
            pub fn from_text(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            /// Parses the text; the error lists the valid ones.
            fn try_from(text: String) -> Result<Self, String> {
                let all: Vec<&str> = Self::ALL.iter().map(|it| it.as_str()).collect();
                Self::from_text(&text).ok_or_else(|| format!("must be one of {}", all.join(", ")))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

text_enum! {
    /// A member's role in a chat.
    ChatRole {
        /// Has no rights over other members.
        Member = "member",
        /// Manages members and the chat.
        Admin = "admin",
        /// Appoints admins, and may delete the chat or transfer it.
        Owner = "owner",
    }
}

text_enum! {
    /// A user's role in the whole service, in ascending order of rights.
    Role {
        /// Has no rights over other users.
        User = "user",
        /// Bans users, deletes messages and sees reports.
        Moderator = "moderator",
        /// May do everything.
        Admin = "admin",
    }
}

text_enum! {
    /// Why a user is no longer in a chat.
    LeftReason {
        /// The user left.
        Left = "left",
        /// The user was removed.
        Removed = "removed",
        /// The chat was deleted.
        Deleted = "deleted",
        /// The direct chat was declined.
        Declined = "declined",
    }
}

text_enum! {
    /// What a mailed token may be used for.
    TokenPurpose {
        /// Confirming the account's address.
        VerifyEmail = "verify_email",
        /// Setting a new password.
        ResetPassword = "reset_password",
        /// Confirming a new address.
        ChangeEmail = "change_email",
    }
}

text_enum! {
    /// The kind of a mail; also the name of its template.
    MailTemplate {
        /// Asks to confirm the address given at registration.
        VerifyEmail = "verify_email",
        /// Sends a link to set a new password.
        ResetPassword = "reset_password",
        /// Notifies that the password was changed.
        PasswordChanged = "password_changed",
        /// Asks to confirm a new address.
        EmailChange = "email_change",
        /// Notifies the previous address that it is being changed, or was.
        EmailChanged = "email_changed",
        /// Notifies of a login from a new device.
        NewDevice = "new_device",
    }
}

text_enum! {
    /// The state of a mail.
    MailState {
        /// The mail waits to be sent.
        Queued = "queued",
        /// The mail server has accepted it.
        Sent = "sent",
        /// The server gave up sending the mail.
        Failed = "failed",
        /// No mail server is configured: the mail was only logged.
        Logged = "logged",
    }
}

text_enum! {
    /// The state of a report.
    ReportState {
        /// No moderator has handled it yet.
        Open = "open",
        /// A moderator has handled it.
        Resolved = "resolved",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_one_text_in_the_database_for_clients_and_in_code() {
        fn check<E>(all: &[E])
        where
            E: ActiveEnum<Value = String> + Copy + ToString + Serialize + TryFrom<String>,
            for<'a> E: Deserialize<'a> + PartialEq + std::fmt::Debug,
        {
            for it in all.iter().copied() {
                let text = it.to_string();
                assert_eq!(it.to_value(), text);
                assert_eq!(serde_json::to_value(it).expect("JSON"), text);
                assert_eq!(serde_json::from_value::<E>(text.into()).expect("a variant"), it);
            }
            let error = serde_json::from_value::<E>("nothing".into()).expect_err("no variant").to_string();
            assert!(error.starts_with("must be one of "), "{error}");
        }
        check(ChatRole::ALL);
        check(Role::ALL);
        check(LeftReason::ALL);
        check(TokenPurpose::ALL);
        check(MailTemplate::ALL);
        check(MailState::ALL);
        check(ReportState::ALL);
    }

    #[test]
    fn roles_are_ordered_by_power() {
        assert!(ChatRole::Member < ChatRole::Admin && ChatRole::Admin < ChatRole::Owner);
        assert!(Role::User < Role::Moderator && Role::Moderator < Role::Admin);
    }
}
