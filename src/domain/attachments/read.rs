//! Reading files: for members of a chat that has the attachment, and for whoever has one of its signed URLs.

use std::time::Duration;

use entity::{attachment, member, message, message_attachment};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QuerySelect};

use super::{file_type, storage_key};
use crate::domain::links::{self, File};
use crate::domain::{Actor, AppContext};
use crate::error::{Error, Result};
use crate::platform::storage::Download;

/// How long the URL of a store is valid that a client is sent to.
const LINK: Duration = Duration::from_mins(10);

/// Why somebody may read a file.
pub enum Access<'a> {
    /// By the signature of a URL, until this time.
    Signed {
        /// Milliseconds since the Unix epoch.
        expires: i64,
        /// The signature.
        signature: &'a str,
    },
    /// By a token.
    User(Actor),
}

/// A file to send.
pub struct Opened {
    /// The attachment.
    pub row: attachment::Model,
    /// Media type of the file.
    pub mime: String,
    /// The file itself, or where it is.
    pub download: Download,
}

fn absent() -> Error {
    Error::not_found("attachment")
}

/// Opens a file for whoever may read it; for others, it does not exist.
pub async fn open(context: &AppContext, id: i64, file: File, access: Access<'_>) -> Result<Opened> {
    let conn = context.db.read();
    let row = attachment::Entity::find_by_id(id).one(conn).await?.ok_or_else(absent)?;
    let may_read = match access {
        Access::Signed { expires, signature } => {
            links::is_valid(&row, file, expires, signature, context.clock.now())
        }
        Access::User(actor) => row.user_id == actor.user_id.0 || is_member(conn, id, actor).await?,
    };
    if !may_read || (file == File::Thumbnail && !row.has_thumbnail) {
        return Err(absent());
    }
    let mime = match file {
        File::Whole => row.mime.clone(),
        File::Thumbnail => "image/webp".to_owned(),
    };
    let (key, disposition) = (storage_key(&row, file), disposition(&row.name, &mime));
    let download = context.storage.download(&key, &mime, &disposition, LINK).await?.ok_or_else(absent)?;
    Ok(Opened { row, mime, download })
}

/// Whether the user belongs to a chat with a message that has the attachment.
async fn is_member(conn: &impl ConnectionTrait, id: i64, actor: Actor) -> Result<bool> {
    let of_link = message_attachment::Entity::belongs_to(message::Entity)
        .from(message_attachment::Column::MessageId)
        .to(message::Column::Id);
    let of_chat =
        message::Entity::belongs_to(member::Entity).from(message::Column::ChatId).to(member::Column::ChatId);
    let found: Option<i64> = message_attachment::Entity::find()
        .select_only()
        .column(message_attachment::Column::MessageId)
        .join(JoinType::InnerJoin, of_link.into())
        .join(JoinType::InnerJoin, of_chat.into())
        .filter(message_attachment::Column::AttachmentId.eq(id))
        .filter(member::Column::UserId.eq(actor.user_id.0).and(member::Column::LeftAt.is_null()))
        .limit(1)
        .into_tuple()
        .one(conn)
        .await?;
    Ok(found.is_some())
}

/// Returns the header that tells browsers to show pictures and to save everything else (RFC 6266, RFC 8187).
pub fn disposition(name: &str, mime: &str) -> String {
    let kind = if file_type::is_picture(mime) { "inline" } else { "attachment" };
    let plain = |sign: char| sign.is_ascii_alphanumeric() || " -_.()".contains(sign);
    let ascii: String = name.chars().map(|sign| if plain(sign) { sign } else { '_' }).collect();
    let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[test]
    fn a_name_cannot_leave_its_header() {
        let header = disposition("a\"\r\nb; x=отчёт.pdf", "application/pdf");
        assert!(
            header.starts_with("attachment; filename=\"a___b_ x______.pdf\"; filename*=UTF-8''a%22%0D%0Ab"),
            "{header}"
        );
        assert!(disposition("x.png", "image/png").starts_with("inline; "));
        assert!(disposition("x.svg", "image/svg+xml").starts_with("attachment; "));
    }
}
