//! The word filter: messages with words of the operator's list are refused, or reported to the moderators.

use entity::enums::ReportState;
use entity::report;
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::send::sent_before;
use crate::domain::AppContext;
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::protocol::message_type::MessageType;

/// The reason of reports by the filter.
const REASON: &str = "The word filter matches this message.";

/// Checks the content of a message. Returns whether it has to be reported.
pub fn screen(context: &AppContext, text: &str, message_type: MessageType) -> Result<bool> {
    let Some(filter) = &context.settings.word_filter else { return Ok(false) };
    // The type is the sender's word: clients may show any content as text.
    let words = &context.forbidden_words;
    let is_found = words.is_in(text) || (message_type.is_markup() && words.is_in(&without_tags(text)));
    if !is_found {
        return Ok(false);
    }
    if filter.reports {
        return Ok(true);
    }
    let problem = "contains a word that is not allowed here";
    Err(Error::field(Code::MessageRefused, "message.content", problem))
}

/// Checks a message that is being sent. A retry of one that is stored passes, whatever the words are now.
pub async fn screen_new(
    context: &AppContext,
    user: UserId,
    client_id: Option<&str>,
    text: &str,
    message_type: MessageType,
) -> Result<bool> {
    let screened = screen(context, text, message_type);
    if screened.is_err()
        && let Some(client_id) = client_id
        && sent_before(context.db.read(), user, client_id).await?.is_some()
    {
        return Ok(false);
    }
    screened
}

/// Returns the text of markup as it is shown: without tags, and with the characters that references stand for.
fn without_tags(markup: &str) -> String {
    let mut text = String::with_capacity(markup.len());
    let mut rest = markup;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        let from = &rest[at..];
        let end = from.find(if from.starts_with('<') { '>' } else { ';' }).filter(|end| *end < 1_000);
        let Some(end) = end else {
            text.push_str(&from[..1]);
            rest = &from[1..];
            continue;
        };
        if let Some(number) = from[..end].strip_prefix("&#") {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => number.parse().ok(),
            };
            text.extend(code.and_then(char::from_u32));
        } else if from.starts_with('&') {
            text.push(' ');
        }
        rest = &from[end + 1..];
    }
    text.push_str(rest);
    text
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

/// Reports new messages, in the transaction that stores them.
pub async fn report(conn: &impl ConnectionTrait, flagged: &[Flagged<'_>], now: i64) -> Result<()> {
    if flagged.is_empty() {
        return Ok(());
    }
    let rows = flagged.iter().map(|message| report::ActiveModel {
        reporter_id: Set(None),
        user_id: Set(message.user_id),
        chat_id: Set(Some(message.chat_id)),
        message_id: Set(Some(message.id)),
        content: Set(Some(message.content.to_owned())),
        reason: Set(REASON.to_owned()),
        state: Set(ReportState::Open),
        created_at: Set(now),
        ..Default::default()
    });
    report::Entity::insert_many(rows).exec_without_returning(conn).await?;
    Ok(())
}

/// Reports an edited message, unless it was reported before and that report is still open.
pub async fn report_edited(conn: &impl ConnectionTrait, flagged: Flagged<'_>, now: i64) -> Result<()> {
    let open = report::Entity::find()
        .filter(report::Column::MessageId.eq(flagged.id))
        .filter(report::Column::ReporterId.is_null())
        .filter(report::Column::State.eq(ReportState::Open));
    match open.one(conn).await? {
        Some(_) => Ok(()),
        None => report(conn, &[flagged], now).await,
    }
}

#[cfg(test)]
mod tests {
    use super::without_tags;

    #[test]
    fn markup_is_read_as_it_is_shown() {
        for (markup, wanted) in [
            ("sp<b></b>am", "spam"),
            ("&#115;p&#x61;m &amp; x", "spam   x"),
            ("1 < 2 & 3", "1 < 2 & 3"),
            ("<a", "<a"),
            ("&#xffffffff;&#x;", ""),
        ] {
            assert_eq!(without_tags(markup), wanted, "{markup}");
        }
    }
}
