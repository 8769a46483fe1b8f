//! Setting a new password by mail, and changing it.
//!
//! What a stranger asks about an address (`forgot`, `resend`) is answered before it is looked at: the answer
//! is the same in the same time whether or not there is such an account. What is mailed goes to the address
//! that the account has, never to what was typed. A mailed token proves its address; a change of password or
//! address takes all other tokens out of use.

mod password;

pub use password::{ChangePassword, ResetPassword, change, forgot, reset};

use super::sessions::Ending;

/// Why sessions end with a new password.
fn password_changed() -> Ending {
    Ending::new("password_changed", "the password was changed, log in again")
}
