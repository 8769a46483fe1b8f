//! Likes messages. Only members of the chat may do so, and each likes a message once.

use entity::{like, message};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter};

use crate::domain::chats::{begin_change, change_at, lock, require_open};
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, events};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, MessageId};
use crate::platform::db::Outcome;
use crate::protocol::messages::MessageLiked;
use crate::protocol::messages::{LikeReply, ToggleLikeMessage};

impl CommandHandler for ToggleLikeMessage {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<LikeReply>> {
        let user_id = caller.actor.user_id;
        let id: MessageId = self.message.0.id;
        let nothing = || Error::field(Code::NotFound, "message.id", "there is no such message");
        let or_nothing = |error: Error| if error.code == Code::NotFound { nothing() } else { error };
        let tx = context.db.begin().await?;
        // A message never moves to another chat, so its chat may be read before the chat is locked.
        let chat_id = message::Entity::find_by_id(id.0).one(tx.conn()).await?.ok_or_else(nothing)?.chat_id;
        if !caller.may_reach(ChatId(chat_id)) {
            return Err(nothing());
        }
        let mut chat = lock(&tx, ChatId(chat_id), user_id).await.map_err(or_nothing)?.chat;
        let message = message::Entity::present()
            .filter(message::Column::Id.eq(id.0))
            .one(tx.conn())
            .await?
            .ok_or_else(nothing)?;
        let was = like::Entity::by_user(user_id.0, [id.0]).one(tx.conn()).await?.is_some();
        let liked = self.message.0.liked.unwrap_or(!was);
        if liked == was {
            return tx.unchanged(LikeReply { liked, likes: message.likes }).await;
        }
        require_open(&chat, "message.id")?;
        let now = context.clock.now();
        let open = begin_change(tx, &mut chat).await?;
        if liked {
            like::Entity::insert(like::ActiveModel {
                message_id: Set(id.0),
                user_id: Set(user_id.0),
                created_at: Set(now),
            })
            .exec_without_returning(open.conn())
            .await?;
        } else {
            like::Entity::delete_by_id((id.0, user_id.0)).exec(open.conn()).await?;
        }
        let count = message.likes + if liked { 1 } else { -1 };
        message::ActiveModel {
            id: Set(id.0),
            likes: Set(count),
            rev: Set(open.position().rev),
            ..Default::default()
        }
        .update(open.conn())
        .await?;
        let change = change_at(open.position(), user_id, now);
        let event = MessageLiked { change, message_id: id, liked, likes: count };
        let event = events::message_liked::at(open.position(), &event)?.except(caller.conn);
        open.announce(event)?.commit(LikeReply { liked, likes: count }).await
    }
}
