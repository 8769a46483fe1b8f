//! The message types, as listed in the database.

use entity::message_type;
use sea_orm::{EntityTrait, QueryOrder};

use crate::domain::AppContext;
use crate::error::Result;
use crate::protocol::messages::MessageTypeInfo;

/// Returns all message types, ordered by id.
pub async fn types(context: &AppContext) -> Result<Vec<MessageTypeInfo>> {
    let rows =
        message_type::Entity::find().order_by_asc(message_type::Column::Id).all(context.db.read()).await?;
    let info = |row: message_type::Model| MessageTypeInfo {
        id: row.id,
        name: row.name,
        mime: row.mime,
        text: row.text,
    };
    Ok(rows.into_iter().map(info).collect())
}
