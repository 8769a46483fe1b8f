//! Inserts the 25 message types, in the order of the contract.

use sea_orm_migration::prelude::*;

/// The migration; see the module documentation.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// Name, media type, and whether people can read it as text. Ids start at 1.
const TYPES: [(&str, &str, bool); 25] = [
    ("text", "text/plain", true),
    ("html", "text/html", true),
    ("json", "application/json", true),
    ("xml", "application/xml", true),
    ("binary", "application/octet-stream", false),
    ("image", "image/*", false),
    ("pdf", "application/pdf", false),
    ("csv", "text/csv", true),
    ("excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", false),
    ("word", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", false),
    ("zip", "application/zip", false),
    ("gzip", "application/gzip", false),
    ("tar", "application/x-tar", false),
    ("audio", "audio/*", false),
    ("video", "video/*", false),
    ("rtf", "application/rtf", true),
    ("yaml", "application/yaml", true),
    ("javascript", "text/javascript", true),
    ("css", "text/css", true),
    ("svg", "image/svg+xml", true),
    ("markdown", "text/markdown", true),
    ("protobuf", "application/protobuf", false),
    ("avro", "application/avro", false),
    ("parquet", "application/vnd.apache.parquet", false),
    ("orc", "application/vnd.apache.orc", false),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut insert =
            Query::insert().into_table("message_types").columns(["id", "name", "mime", "text"]).to_owned();
        for (id, (name, mime, text)) in (1_i16..).zip(TYPES) {
            insert.values_panic([id.into(), name.into(), mime.into(), text.into()]);
        }
        manager.execute(insert).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.execute(Query::delete().from_table("message_types").to_owned()).await
    }
}
