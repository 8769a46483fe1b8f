//! Pinning a chat in one's own list. It is one's own state: only one's own devices hear of it.

use entity::member;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, IntoActiveModel};

use super::access::find_visible;
use crate::clock::Timestamp;
use crate::domain::dispatch::Behaviour;
use crate::domain::{Caller, Core, users};
use crate::error::Result;
use crate::platform::bus::{Audience, Delivery};
use crate::platform::db::Outcome;
use crate::protocol::commands::chats::{PinReply, ToggleChatPin};
use crate::protocol::events::OwnChatChange;

impl Behaviour for ToggleChatPin {
    async fn run(&self, core: &Core, caller: &Caller) -> Result<Outcome<PinReply>> {
        let user_id = caller.actor.user_id;
        let chat_id = self.chat.0.id;
        let mut tx = core.db.begin().await?;
        // The user's own counter is raised first: it also keeps two toggles of one user apart.
        let revs = users::advance(tx.conn(), &[user_id]).await?;
        let user_rev = revs.first().map_or(0, |(_, rev)| *rev);
        let row: member::Model = find_visible(tx.conn(), chat_id, user_id).await?.member;
        let was = row.pinned_at.is_some();
        let pinned = self.chat.0.pinned.unwrap_or(!was);
        if pinned == was {
            return tx.unchanged(PinReply { pinned }).await;
        }
        let now = core.clock.now();
        let mut row = row.into_active_model();
        row.pinned_at = Set(pinned.then_some(now));
        row.user_rev = Set(user_rev);
        row.update(tx.conn()).await?;
        let event = OwnChatChange { chat: chat_id, user_rev, at: Timestamp(now) };
        let name = if pinned { "chat_pinned" } else { "chat_unpinned" };
        tx.announce(Delivery::new(Audience::User(user_id), name, &event)?);
        tx.commit(PinReply { pinned }).await
    }
}
