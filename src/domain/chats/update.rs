//! Changing a group's name, description and photo.

use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, IntoActiveModel};

use super::access::{Membership, find_visible, lock};
use super::{Viewer, advance_meta, change_at, load};
use crate::domain::dispatch::Behaviour;
use crate::domain::{Caller, Core, photos};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::bus::Delivery;
use crate::platform::db::Outcome;
use crate::platform::limits::Bucket;
use crate::protocol::commands::chats::ChatReply;
use crate::protocol::commands::roles::UpdateChat;
use crate::protocol::events::ChatChanged;
use crate::protocol::objects::Chat;
use crate::text::nfc;

impl Behaviour for UpdateChat {
    fn costs(&self) -> Vec<(Bucket, u32)> {
        let upload = matches!(self.chat.0.photo, Some(Some(_))).then_some((Bucket::Upload, 1));
        upload.into_iter().chain([(Bucket::ChatChange, 1)]).collect()
    }

    async fn run(&self, core: &Core, caller: &Caller) -> Result<Outcome<ChatReply>> {
        let user_id = caller.actor.user_id;
        let wish = &self.chat.0;
        // Before any picture is rendered: may they at all?
        allowed(&find_visible(core.db.read(), wish.id, user_id).await?)?;
        let photo = match &wish.photo {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => Some(Some(photos::store_base64(core, "chat.photo", text).await?)),
        };
        let new_photo = photo.clone().flatten();
        let done = self.save(core, user_id, photo).await;
        match &done {
            Ok((_, Some(old))) => photos::discard(core, old).await,
            // Where the fault is ours the change may have been committed: better a file too many.
            Err(error) => {
                if let Some(new) = new_photo.filter(|_| error.source.is_none()) {
                    photos::discard(core, &new).await;
                }
            }
            Ok((_, None)) => {}
        }
        done.map(|(outcome, _)| outcome)
    }
}

impl UpdateChat {
    /// The outcome, and the photo that nothing refers to any more.
    #[expect(clippy::option_option, reason = "left out and null are two things")]
    async fn save(
        &self,
        core: &Core,
        user_id: UserId,
        photo: Option<Option<String>>,
    ) -> Result<(Outcome<ChatReply>, Option<String>)> {
        let wish = &self.chat.0;
        let mut tx = core.db.begin().await?;
        let found = lock(&tx, wish.id, user_id).await?;
        allowed(&found)?;
        let Membership { mut chat, .. } = found;
        let old_photo = chat.photo.clone();
        let mut row = chat.clone().into_active_model();
        let name = wish.name.as_deref().map(|name| nfc(name.trim()));
        if let Some(name) = name.filter(|it| chat.name.as_ref() != Some(it)) {
            row.name = Set(Some(name));
        }
        if let Some(description) = wish.description.as_ref().filter(|it| **it != chat.description) {
            row.description = Set(description.clone());
        }
        if let Some(photo) = photo.as_ref().filter(|it| **it != chat.photo) {
            row.photo = Set(photo.clone());
        }
        if !row.is_changed() {
            let reply =
                ChatReply { chat: shown(tx.conn(), wish.id, Some(Viewer::now(core, user_id))).await? };
            return Ok((tx.unchanged(reply).await?, None));
        }
        row.update(tx.conn()).await?;
        let place = advance_meta(&mut tx, &mut chat).await?;
        let details = shown(tx.conn(), wish.id, None).await?;
        let event = ChatChanged { change: change_at(place, user_id, core.clock.now()), details };
        tx.announce(Delivery::of_change(place, "chat_updated", &event)?);
        let reply = ChatReply { chat: shown(tx.conn(), wish.id, Some(Viewer::now(core, user_id))).await? };
        Ok((tx.commit(reply).await?, old_photo.filter(|_| photo.is_some())))
    }
}

fn allowed(found: &Membership) -> Result<()> {
    if !found.chat.is_group {
        return Err(Error::forbidden("a direct chat has no name, description or photo of its own"));
    }
    found.require_manager("change it")
}

/// One chat as it is shown.
pub(super) async fn shown(
    conn: &impl sea_orm::ConnectionTrait,
    chat_id: ChatId,
    viewer: Option<Viewer>,
) -> Result<Chat> {
    load(conn, &[chat_id], viewer).await?.pop().ok_or_else(|| Error::not_found("chat"))
}
