//! Changing a group's name, description and photo.

use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, IntoActiveModel};

use super::access::{Membership, find_visible, lock};
use super::{Viewer, begin_meta_change, change_at, load};
use crate::domain::dispatch::CommandHandler;
use crate::domain::links::Links;
use crate::domain::{Actor, AppContext, Caller, events, photos};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::Outcome;
use crate::platform::limits::Bucket;
use crate::protocol::chats::Chat;
use crate::protocol::chats::ChatChanged;
use crate::protocol::chats::{ChatPatch, ChatReply, UpdateChat};
use crate::protocol::parse::Envelope;
use crate::text::{fold, nfc};

impl CommandHandler for UpdateChat {
    fn costs(&self) -> Vec<(Bucket, u32)> {
        let upload = matches!(self.chat.0.photo, Some(Some(_))).then_some((Bucket::Upload, 1));
        upload.into_iter().chain([(Bucket::ChatChange, 1)]).collect()
    }

    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ChatReply>> {
        let photo = self.chat.0.photo.as_ref().map(|photo| photo.clone().map(NewPhoto::Base64));
        self.change(context, caller.actor.user_id, photo).await
    }
}

/// A photo to store.
pub enum NewPhoto {
    /// Base64, bare or as a data URL.
    Base64(String),
    /// The bytes of a picture.
    Bytes(Vec<u8>),
}

impl NewPhoto {
    /// Stores it and returns its name.
    async fn store(self, context: &AppContext) -> Result<String> {
        match self {
            Self::Base64(text) => photos::store_base64(context, "chat.photo", text).await,
            Self::Bytes(bytes) => photos::store(context, "image", bytes).await,
        }
    }
}

/// Sets or removes the photo of a group.
pub async fn set_photo(
    context: &AppContext,
    actor: Actor,
    chat_id: ChatId,
    photo: Option<NewPhoto>,
) -> Result<Chat> {
    let patch = ChatPatch { id: chat_id, name: None, description: None, photo: None, slow_mode_secs: None };
    let update = UpdateChat { chat: Envelope(patch) };
    let outcome = update.change(context, actor.user_id, Some(photo)).await?;
    Ok(context.publish(outcome).await.chat)
}

impl UpdateChat {
    /// Makes the change, with this photo in place of the request's.
    #[expect(clippy::option_option, reason = "left out and null are two things")]
    async fn change(
        &self,
        context: &AppContext,
        user_id: UserId,
        photo: Option<Option<NewPhoto>>,
    ) -> Result<Outcome<ChatReply>> {
        // Check the permission before rendering an image.
        allowed(&find_visible(context.db.read(), self.chat.0.id, user_id).await?)?;
        let photo = match photo {
            None => None,
            Some(None) => Some(None),
            Some(Some(photo)) => Some(Some(photo.store(context).await?)),
        };
        let new_photo = photo.clone().flatten();
        let done = self.save(context, user_id, photo).await;
        match &done {
            Ok((_, Some(old))) => photos::discard(context, old).await,
            // After an internal error the change may have been committed: better a leftover file than a missing
            // one.
            Err(error) => {
                if let Some(new) = new_photo.filter(|_| error.source.is_none()) {
                    photos::discard(context, &new).await;
                }
            }
            Ok((_, None)) => {}
        }
        done.map(|(outcome, _)| outcome)
    }

    /// Stores the change; returns the outcome and the photo that is no longer referenced.
    #[expect(clippy::option_option, reason = "left out and null are two things")]
    async fn save(
        &self,
        context: &AppContext,
        user_id: UserId,
        photo: Option<Option<String>>,
    ) -> Result<(Outcome<ChatReply>, Option<String>)> {
        let request = &self.chat.0;
        let tx = context.db.begin().await?;
        let found = lock(&tx, request.id, user_id).await?;
        allowed(&found)?;
        let Membership { mut chat, .. } = found;
        let old_photo = chat.photo.clone();
        let mut row = chat.clone().into_active_model();
        let name = request.name.as_deref().map(|name| nfc(name.trim()));
        if let Some(name) = name.filter(|it| chat.name.as_ref() != Some(it)) {
            row.name_key = Set(Some(fold(&name)));
            row.name = Set(Some(name));
        }
        if let Some(description) = request.description.as_ref().filter(|it| **it != chat.description) {
            row.description = Set(description.clone());
        }
        let slow_mode = request.slow_mode_secs.and_then(|secs| i32::try_from(secs).ok());
        if let Some(secs) = slow_mode.filter(|it| *it != chat.slow_mode_secs) {
            row.slow_mode_secs = Set(secs);
        }
        if let Some(photo) = photo.as_ref().filter(|it| **it != chat.photo) {
            row.photo = Set(photo.clone());
        }
        if !row.is_changed() {
            let reply = ChatReply {
                chat: shown(tx.conn(), request.id, Some(Viewer::now(context, user_id)), context.links())
                    .await?,
            };
            return Ok((tx.unchanged(reply).await?, None));
        }
        row.update(tx.conn()).await?;
        let change = begin_meta_change(tx, &mut chat).await?;
        let details = shown(change.conn(), request.id, None, context.links()).await?;
        let event =
            ChatChanged { change: change_at(change.position(), user_id, context.clock.now()), details };
        let event = events::chat_updated::at(change.position(), &event)?;
        let tx = change.announce(event)?;
        let reply = ChatReply {
            chat: shown(tx.conn(), request.id, Some(Viewer::now(context, user_id)), context.links()).await?,
        };
        Ok((tx.commit(reply).await?, old_photo.filter(|_| photo.is_some())))
    }
}

fn allowed(found: &Membership) -> Result<()> {
    if !found.chat.is_group {
        return Err(Error::forbidden("a direct chat has no name, description or photo of its own"));
    }
    found.require_manager("change it")
}

/// Returns one chat as the viewer sees it.
pub(super) async fn shown(
    conn: &impl sea_orm::ConnectionTrait,
    chat_id: ChatId,
    viewer: Option<Viewer>,
    links: Links<'_>,
) -> Result<Chat> {
    load(conn, &[chat_id], viewer, links).await?.pop().ok_or_else(|| Error::not_found("chat"))
}
