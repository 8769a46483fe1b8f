//! Sends a notice of a login from a new device. A device is identified by its address and user agent among the sessions
//! that are still stored. The first login after registration causes no notice.

use entity::{session, user};
use minijinja::context;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::Origin;
use crate::domain::AppContext;
use crate::domain::mail::{self, Email, MailTemplate, moment};
use crate::error::Result;
use crate::ids::UserId;
use crate::platform::db::Tx;
use crate::platform::limits::{Bucket, Key};

/// Characters of the user agent that the notice shows.
const TOLD: usize = 120;

/// A first login within this time after registration causes no notice, milliseconds. A later one may: sessions are
/// deleted some time after their end, and imported accounts never had one.
const FRESH_MS: i64 = 24 * 3_600 * 1_000;

/// Queues the notice, before the new session is stored.
pub async fn notice(context: &AppContext, tx: &Tx, user: &user::Model, origin: &Origin) -> Result<()> {
    let Some(to) = user.email.as_deref() else { return Ok(()) };
    let former = || {
        session::Entity::find()
            .select_only()
            .column(session::Column::Id)
            .filter(session::Column::UserId.eq(user.id))
    };
    let fresh = context.clock.now() - user.created_at < FRESH_MS;
    if fresh && former().into_tuple::<i64>().one(tx.conn()).await?.is_none() {
        return Ok(());
    }
    let is = |column: session::Column, value: Option<String>| match value {
        Some(value) => column.eq(value),
        None => column.is_null(),
    };
    let same = former()
        .filter(is(session::Column::UserAgent, origin.stored_agent()))
        .filter(is(session::Column::Address, origin.address.clone()));
    if same.into_tuple::<i64>().one(tx.conn()).await?.is_some() {
        return Ok(());
    }
    // A user who logs in from many new devices is notified of only some. The rate limit never fails the login.
    if context.rates.take(Bucket::Notice, Key::user(UserId(user.id))).await.is_err() {
        return Ok(());
    }
    // The client chose this text: reduce it to one short line, and omit it for an unconfirmed address, which may belong
    // to a stranger.
    let device = origin.user_agent.as_ref().filter(|_| user.email_verified).map(|text| {
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TOLD).collect::<String>()
    });
    let email = Email {
        template: MailTemplate::NewDevice,
        user,
        to,
        token: None,
        facts: context! { at => moment(context.clock.now()), address => origin.address.clone(), device },
    };
    mail::enqueue(context, tx, email).await
}
