//! Coming back: confirming an address, setting a new password by mail, changing it, changing the address.
//!
//! What a stranger asks about an address (`forgot`, `resend`) is answered before it is looked at: the answer
//! is the same in the same time whether or not there is such an account. What is mailed goes to the address
//! that the account has, never to what was typed. A mailed token proves its address; a change of password or
//! address takes all other tokens out of use.

mod address;
mod password;
mod verify;

pub use address::{AddressChange, change_address, notice_old_address};
pub use password::{ChangePassword, ResetPassword, change, forgot, reset};
pub use verify::{
    VerifyEmail, count_unconfirmed, in_use, link_at_login, request_verification, resend_own, resend_to,
    take_verification, verify,
};

use entity::user;
use sea_orm::{ColumnTrait, QueryFilter};

use super::AppContext;
use super::sessions::Ending;
use crate::error::Result;
use crate::platform::mail::is_address;
use crate::protocol::parse::Problems;

/// The account that has an address now.
async fn by_address(context: &AppContext, email: &str) -> Result<Option<user::Model>> {
    Ok(user::Entity::present()
        .filter(user::Column::EmailKey.eq(email.trim().to_lowercase()))
        .one(context.db.read())
        .await?)
}

/// Notes an address that no mail can be sent to: this is no secret, it shows without looking anywhere.
pub fn check_address(problems: &mut Problems, email: &str) {
    problems.check("email", is_address(email.trim()), "does not look like an e-mail address");
}

/// Why sessions end with a new password.
fn password_changed() -> Ending {
    Ending::new("password_changed", "the password was changed, log in again")
}
