//! Receives a file: a picture is kept in memory, checked, and stored without its metadata; anything else goes to the
//! storage as it arrives, and is stored as it was sent.

use bytes::{Bytes, BytesMut};
use entity::{attachment, message_attachment};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

use super::{WAITS_BRIEFLY_MS, WAITS_MS, file_type, storage_key};
use crate::domain::chats::{find_visible, require_open};
use crate::domain::links::File;
use crate::domain::{Actor, AppContext, photos};
use crate::error::{Code, Error, Result};
use crate::ids::ChatId;
use crate::platform::images::{Preview, is_picture};
use crate::platform::storage;
use crate::protocol::attachments::Attachment;
use crate::random;
use crate::text::file_name;

/// Files of one user that wait for their message.
const MAX_WAITING: u64 = 100;

/// Where the bytes go.
enum Target {
    /// The first bytes, until they tell the type.
    Undecided(BytesMut),
    /// A picture.
    Memory(BytesMut),
    /// The storage.
    Storage(storage::Upload),
}

/// A file that is being received.
pub struct Upload {
    row: attachment::Model,
    /// Whether a picture is stored as it is, too.
    as_file: bool,
    target: Target,
}

impl Upload {
    /// Begins to receive a file for a chat that the user belongs to.
    pub async fn begin(
        context: &AppContext,
        actor: Actor,
        chat_id: ChatId,
        name: &str,
        as_file: bool,
    ) -> Result<Self> {
        let conn = context.db.read();
        let found = find_visible(conn, chat_id, actor.user_id).await?;
        require_open(&found.chat, "id")?;
        let linked = Query::select()
            .expr(Expr::value(1))
            .from(message_attachment::Entity)
            .and_where(
                Expr::col((message_attachment::Entity, message_attachment::Column::AttachmentId))
                    .equals((attachment::Entity, attachment::Column::Id)),
            )
            .to_owned();
        let waiting = attachment::Entity::find()
            .filter(attachment::Column::UserId.eq(actor.user_id.0))
            .filter(attachment::Column::DueAt.is_not_null())
            .filter(Expr::exists(linked).not())
            .count(conn)
            .await?;
        if waiting >= MAX_WAITING {
            let problem = format!("{waiting} of your files wait for a message; send or wait a day");
            return Err(Error::field(Code::ValidationFailed, "file", problem));
        }
        let now = context.clock.now();
        let row = attachment::Model {
            id: 0,
            user_id: actor.user_id.0,
            chat_id: chat_id.0,
            storage_key: random::hex(16)?,
            signing_key: random::hex(16)?,
            name: if name.is_empty() { String::new() } else { file_name(name) },
            mime: String::new(),
            size: 0,
            width: None,
            height: None,
            blurhash: None,
            has_thumbnail: false,
            created_at: now,
            due_at: Some(now + WAITS_MS),
        };
        Ok(Self { row, as_file, target: Target::Undecided(BytesMut::new()) })
    }

    /// Sets a short time in which a message has to take the file.
    #[must_use]
    pub fn waiting_briefly(mut self) -> Self {
        self.row.due_at = Some(self.row.created_at + WAITS_BRIEFLY_MS);
        self
    }

    /// Whether the file is a picture, which is kept in memory.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.target, Target::Memory(_))
    }

    /// Receives more bytes.
    pub async fn write(&mut self, context: &AppContext, bytes: Bytes) -> Result<()> {
        let most = context.settings.photos.max_attachment_bytes;
        self.row.size += bytes.len() as i64;
        if self.row.size > most as i64 {
            return Err(Error::field(Code::TooLarge, "file", format!("must have at most {most} bytes")));
        }
        match &mut self.target {
            Target::Undecided(head) => {
                head.extend_from_slice(&bytes);
                if head.len() >= file_type::HEAD {
                    self.decide(context).await?;
                }
            }
            Target::Memory(picture) => picture.extend_from_slice(&bytes),
            Target::Storage(upload) => upload.write(bytes).await?,
        }
        if let Target::Memory(picture) = &self.target {
            let most = context.images.limits().max_bytes;
            if picture.len() > most {
                let problem =
                    format!("a picture must have at most {most} bytes; send it as a file (as_file=true)");
                return Err(Error::field(Code::TooLarge, "file", problem));
            }
        }
        Ok(())
    }

    /// Decides by the first bytes where the file goes.
    async fn decide(&mut self, context: &AppContext) -> Result<()> {
        let Target::Undecided(head) = &mut self.target else { return Ok(()) };
        let head = std::mem::take(head);
        let mime = file_type::of(&head, is_picture);
        mime.clone_into(&mut self.row.mime);
        if self.row.name.is_empty() {
            self.row.name = file_type::default_name(mime);
        }
        self.target = if file_type::is_picture(mime) && !self.as_file {
            Target::Memory(head)
        } else {
            let key = storage_key(&self.row, File::Whole);
            let mut upload = context.storage.begin(&key, mime).await?;
            upload.write(head.freeze()).await?;
            Target::Storage(upload)
        };
        Ok(())
    }

    /// Stores the file, once all of it is there.
    pub async fn finish(mut self, context: &AppContext) -> Result<Attachment> {
        if self.row.size == 0 {
            return Err(Error::invalid("file", "is empty"));
        }
        self.decide(context).await?;
        let Self { mut row, target, .. } = self;
        let storing = async {
            match target {
                Target::Undecided(_) => return Err(Error::internal("an upload without a target")),
                Target::Memory(picture) => store_picture(context, &mut row, picture).await?,
                Target::Storage(upload) => upload.finish().await?,
            }
            insert(context, row.clone()).await
        };
        let stored = storing.await;
        if stored.is_err() {
            for file in [File::Whole, File::Thumbnail] {
                if let Err(error) = context.storage.delete(&storage_key(&row, file)).await {
                    tracing::warn!(%error, "the file of a failed upload could not be removed");
                }
            }
        }
        Ok(context.links().show(stored?))
    }
}

async fn store_picture(context: &AppContext, row: &mut attachment::Model, picture: BytesMut) -> Result<()> {
    let preview = context.images.preview(picture.into()).await;
    let preview = preview.map_err(|error| photos::explain("file", error))?;
    let Preview { width, height, thumbnail, blurhash, clean, mime } = preview;
    row.size = clean.len() as i64;
    mime.clone_into(&mut row.mime);
    (row.width, row.height) = (i32::try_from(width).ok(), i32::try_from(height).ok());
    row.blurhash = Some(blurhash);
    row.has_thumbnail = true;
    context.storage.put(&storage_key(row, File::Whole), clean.into(), mime).await?;
    context.storage.put(&storage_key(row, File::Thumbnail), thumbnail.into(), "image/webp").await
}

async fn insert(context: &AppContext, row: attachment::Model) -> Result<attachment::Model> {
    let tx = context.db.begin().await?;
    let row = attachment::ActiveModel {
        user_id: Set(row.user_id),
        chat_id: Set(row.chat_id),
        storage_key: Set(row.storage_key),
        signing_key: Set(row.signing_key),
        name: Set(row.name),
        mime: Set(row.mime),
        size: Set(row.size),
        width: Set(row.width),
        height: Set(row.height),
        blurhash: Set(row.blurhash),
        has_thumbnail: Set(row.has_thumbnail),
        created_at: Set(row.created_at),
        due_at: Set(row.due_at),
        ..Default::default()
    }
    .insert(tx.conn())
    .await?;
    tx.commit_silently().await?;
    Ok(row)
}
