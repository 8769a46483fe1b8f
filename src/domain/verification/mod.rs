//! Confirming and changing e-mail addresses.
//!
//! Mails go to the address of the account, or to the new address to be confirmed. A mailed token proves its address; a
//! change of address revokes all other tokens.

mod address;
mod verify;

pub use address::{AddressChange, change_address, notice_old_address};
pub use verify::{
    VerifyEmail, count_unconfirmed, in_use, link_at_login, request_verification, resend_own, resend_to,
    take_verification, verify,
};

use entity::user;
use sea_orm::{ColumnTrait, QueryFilter};

use super::AppContext;
use crate::error::Result;
use crate::platform::mail::is_address;
use crate::protocol::parse::Problems;

/// Returns the account that currently has an address.
pub async fn by_address(context: &AppContext, email: &str) -> Result<Option<user::Model>> {
    Ok(user::Entity::present()
        .filter(user::Column::EmailKey.eq(email.trim().to_lowercase()))
        .one(context.db.read())
        .await?)
}

/// Checks that an address is well-formed. The result reveals nothing, because it requires no lookup.
pub fn check_address(problems: &mut Problems, email: &str) {
    problems.check("email", is_address(email.trim()), "does not look like an e-mail address");
}
