//! Drafts: what a user has begun to write. Only the user's own devices get them.

use entity::{member, message};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};

use super::own_state::Own;
use crate::clock::Timestamp;
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, events};
use crate::error::{Code, Error, Result};
use crate::ids::MessageId;
use crate::platform::db::Outcome;
use crate::protocol::drafts::{DraftReply, DraftSaved, SaveDraft, SavedDraft};

/// Drafts of one user. `sync` sends all of them.
const MAX_DRAFTS: u64 = 100;

impl CommandHandler for SaveDraft {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<DraftReply>> {
        let chat_id = self.chat.0.id;
        let own = Own::open(context, caller.actor.user_id, chat_id).await?;
        let now = context.clock.now();
        let draft = (!self.content.is_empty()).then(|| SavedDraft {
            content: self.content.clone(),
            reply_to: self.reply_to,
            saved_at: Timestamp(now),
        });
        if let Some(id) = draft.as_ref().and_then(|draft| draft.reply_to) {
            let of_chat = message::Entity::of_chat(chat_id.0).filter(message::Column::Id.eq(id.0));
            of_chat.one(own.tx.conn()).await?.ok_or_else(|| {
                Error::field(Code::NotFound, "reply_to", "there is no such message in the chat")
            })?;
        }
        let was = saved(&own.row);
        let text = |draft: &Option<SavedDraft>| draft.as_ref().map(|it| (it.content.clone(), it.reply_to));
        if text(&was) == text(&draft) {
            return own.tx.unchanged(DraftReply { draft: was }).await;
        }
        if was.is_none() {
            let with = member::Entity::present()
                .filter(member::Column::UserId.eq(caller.actor.user_id.0))
                .filter(member::Column::Draft.is_not_null());
            if with.count(own.tx.conn()).await? >= MAX_DRAFTS {
                let problem = format!("you have {MAX_DRAFTS} drafts, which is the limit");
                return Err(Error::invalid("chat.id", problem));
            }
        }
        let row = draft.clone();
        let set = move |member: &mut member::ActiveModel| {
            member.draft_reply_to = Set(row.as_ref().and_then(|it| it.reply_to).map(|id| id.0));
            member.draft_saved_at = Set(row.as_ref().map(|it| it.saved_at.0));
            member.draft = Set(row.map(|it| it.content));
        };
        let told = draft.clone();
        let event = |user, change| events::draft_saved::to_user(user, &DraftSaved { change, draft: told });
        own.change(now, set, DraftReply { draft }, event).await
    }
}

/// Returns the draft of a member's row.
pub(super) fn saved(row: &member::Model) -> Option<SavedDraft> {
    Some(SavedDraft {
        content: row.draft.clone()?,
        reply_to: row.draft_reply_to.map(MessageId),
        saved_at: Timestamp(row.draft_saved_at.unwrap_or_default()),
    })
}
