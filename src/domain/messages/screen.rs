//! The word filter: messages with words of the operator's list are refused, or reported to the moderators.

use entity::enums::ReportState;
use entity::report;
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::index::readable;
use crate::domain::AppContext;
use crate::error::{Code, Error, Result};
use crate::protocol::message_type::MessageType;

/// The reason of reports by the filter.
const REASON: &str = "The word filter matches this message.";

/// Checks the content of a message. Returns whether it has to be reported.
pub fn screen(context: &AppContext, text: &str, message_type: MessageType) -> Result<bool> {
    let Some(filter) = &context.settings.word_filter else { return Ok(false) };
    if !context.forbidden_words.is_in(&readable(text, message_type)) {
        return Ok(false);
    }
    if filter.reports {
        return Ok(true);
    }
    let problem = "contains a word that is not allowed here";
    Err(Error::field(Code::MessageRefused, "message.content", problem))
}

/// A message that has to be reported.
pub struct Flagged<'a> {
    /// Its id.
    pub id: i64,
    /// Its chat.
    pub chat_id: i64,
    /// Its author.
    pub user_id: i64,
    /// Its content.
    pub content: &'a str,
}

/// Reports messages, in the transaction that stores them. A report that is still open is not repeated.
pub async fn report(conn: &impl ConnectionTrait, flagged: &[Flagged<'_>], now: i64) -> Result<()> {
    for message in flagged {
        let open = report::Entity::find()
            .filter(report::Column::MessageId.eq(message.id))
            .filter(report::Column::ReporterId.is_null())
            .filter(report::Column::State.eq(ReportState::Open));
        if open.one(conn).await?.is_some() {
            continue;
        }
        let row = report::ActiveModel {
            reporter_id: Set(None),
            user_id: Set(message.user_id),
            chat_id: Set(Some(message.chat_id)),
            message_id: Set(Some(message.id)),
            content: Set(Some(message.content.to_owned())),
            reason: Set(REASON.to_owned()),
            state: Set(ReportState::Open),
            created_at: Set(now),
            ..Default::default()
        };
        report::Entity::insert(row).exec_without_returning(conn).await?;
    }
    Ok(())
}
