//! Renews the token of an open connection.

use std::sync::atomic::Ordering;

use super::live;
use crate::clock::Timestamp;
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller};
use crate::error::{Code, Error, Result};
use crate::platform::db::Outcome;
use crate::protocol::sessions::{Authenticate, AuthenticateReply};

impl CommandHandler for Authenticate {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<AuthenticateReply>> {
        let Some(end) = &caller.expires_at else {
            return Err(Error::invalid("event", "authenticate is for sockets"));
        };
        let (actor, expires_at) = live::authenticate(context, &self.token).await?;
        if actor != caller.actor {
            let problem = "belongs to another user or session; open a new connection with it";
            return Err(Error::field(Code::TokenInvalid, "token", problem));
        }
        end.store(expires_at, Ordering::Release);
        Ok(Outcome::unchanged(AuthenticateReply { expires_at: Timestamp(expires_at) }))
    }
}
