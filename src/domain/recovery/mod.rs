//! Resetting a password by mail, and changing it.
//!
//! Unauthenticated requests about an address (`forgot`, `resend`) are answered before the address is looked up: the
//! response and its timing are the same whether or not an account exists. Mails go to the stored address of the
//! account, never to the address in the request. A mailed token proves its address. A new password revokes the tokens
//! for passwords and for new addresses; a new address revokes all tokens.

mod password;

pub use password::{ChangePassword, ResetPassword, change, forgot, mail_reset_link, reset};

use super::sessions::Ending;

/// The reason that ends sessions after a new password.
fn password_changed() -> Ending {
    Ending::new("password_changed", "the password was changed, log in again")
}
