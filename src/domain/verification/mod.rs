//! E-mail addresses: confirming them and changing them.
//!
//! What is mailed goes to the address that the account has, never to what was typed. A mailed token proves its address; a
//! change of address takes all other tokens out of use.

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

/// The account that has an address now.
pub async fn by_address(context: &AppContext, email: &str) -> Result<Option<user::Model>> {
    Ok(user::Entity::present()
        .filter(user::Column::EmailKey.eq(email.trim().to_lowercase()))
        .one(context.db.read())
        .await?)
}

/// Notes not a valid mail address: this is no secret, it shows without looking anywhere.
pub fn check_address(problems: &mut Problems, email: &str) {
    problems.check("email", is_address(email.trim()), "does not look like an e-mail address");
}
