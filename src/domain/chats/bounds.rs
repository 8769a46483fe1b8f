//! How many chats one may be in, and how many groups one may have made. Asked inside the transaction that would
//! add one, with the rows of the people locked, so that two at once cannot both be the last.

use entity::{chat, member};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, ConnectionTrait, PaginatorTrait, QueryFilter, QuerySelect};

use crate::domain::Core;
use crate::error::{Error, Result};
use crate::ids::UserId;

/// Everybody of a chat to be has room for one more.
pub(super) async fn require_room(
    core: &Core,
    conn: &impl ConnectionTrait,
    is_group: bool,
    creator: UserId,
    everybody: &[UserId],
) -> Result<()> {
    if is_group {
        require_room_to_make(core, conn, creator).await?;
    }
    let full = full(core, conn, everybody).await?;
    if full.contains(&creator) {
        let most = core.settings.contacts.max_chats;
        return Err(Error::invalid("chat", format!("you are in {most} chats, which is the most")));
    }
    match full.first() {
        Some(id) => {
            let problem = format!("user {id} is in as many chats as one can be");
            Err(Error::invalid("chat.members_array", problem))
        }
        None => Ok(()),
    }
}

/// One more member has room for the chat.
pub(super) async fn require_room_of(core: &Core, conn: &impl ConnectionTrait, user: UserId) -> Result<()> {
    if full(core, conn, &[user]).await?.is_empty() {
        return Ok(());
    }
    Err(Error::invalid("user.id", "is in as many chats as one can be"))
}

/// One may make one more group. What was handed over to somebody is not counted as theirs: nobody can fill
/// another's count.
async fn require_room_to_make(core: &Core, conn: &impl ConnectionTrait, user: UserId) -> Result<()> {
    let most = core.settings.contacts.max_groups;
    let made = chat::Entity::present()
        .filter(chat::Column::CreatorId.eq(user.0))
        .filter(chat::Column::IsGroup.eq(true))
        .count(conn)
        .await?;
    if made < most as u64 {
        return Ok(());
    }
    Err(Error::invalid("chat", format!("you have made {made} groups, which is the most")))
}

/// Those who are in as many chats as one can be, in the order of their ids.
async fn full(core: &Core, conn: &impl ConnectionTrait, users: &[UserId]) -> Result<Vec<UserId>> {
    let most = core.settings.contacts.max_chats as i64;
    let mut full = Vec::new();
    for some in users.chunks(1_000) {
        let ids: Vec<i64> = member::Entity::present()
            .select_only()
            .column(member::Column::UserId)
            .filter(member::Column::UserId.is_in(some.iter().map(|id| id.0)))
            .group_by(member::Column::UserId)
            .having(member::Column::ChatId.count().gte(most))
            .into_tuple()
            .all(conn)
            .await?;
        full.extend(ids.into_iter().map(UserId));
    }
    full.sort_unstable();
    Ok(full)
}
