//! Uploaded files of messages.

use sea_orm::entity::prelude::*;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attachments")]
pub struct Model {
    /// Never reused.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Who uploaded it.
    pub user_id: i64,
    /// The chat that it was uploaded to.
    pub chat_id: i64,
    /// Its folder in the storage, unguessable.
    pub storage_key: String,
    /// Signs its URLs.
    pub signing_key: String,
    /// The file's name.
    pub name: String,
    /// Media type, found by the content.
    pub mime: String,
    /// Bytes.
    pub size: i64,
    /// Width of a picture, pixels.
    pub width: Option<i32>,
    /// Height of a picture, pixels.
    pub height: Option<i32>,
    /// Placeholder of a picture.
    pub blurhash: Option<String>,
    /// Whether there is a small version.
    pub has_thumbnail: bool,
    /// Time of the upload.
    pub created_at: i64,
    /// From when it may be removed, because no message has it; null while one has it.
    pub due_at: Option<i64>,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
