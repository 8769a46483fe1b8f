//! Limits on how many chats a user may be in and how many groups a user may create. They are checked inside the
//! transaction that adds a chat, with the users' rows locked, so that two concurrent transactions cannot both take
//! the last place.

use entity::{chat, contact, member};
use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, PaginatorTrait, QueryFilter, QuerySelect};

use crate::domain::AppContext;
use crate::error::{Error, Result};
use crate::ids::UserId;

/// Returns how many groups of one creator a user who does not follow them can be in: a tenth of the limit on chats.
fn groups_of_a_stranger(context: &AppContext) -> u64 {
    Ord::max(context.settings.contacts.max_chats as u64 / 10, 1)
}

/// Largest new group whose members are checked against [`groups_of_a_stranger`].
const FEW: usize = 200;

/// Checks that all members of a new chat can be in one more chat.
pub(super) async fn require_room(
    context: &AppContext,
    conn: &impl ConnectionTrait,
    is_group: bool,
    creator: UserId,
    everybody: &[UserId],
) -> Result<()> {
    if is_group {
        let made = require_room_to_make(context, conn, creator).await?;
        // For many users the check would take long; their number is limited by the rate limit for members.
        let few = everybody.len() <= FEW && made >= groups_of_a_stranger(context);
        if few && let Some(id) = crowded(context, conn, creator, everybody).await? {
            return Err(Error::invalid("chat.members_array", too_crowded(context, id)));
        }
    }
    let full = full(context, conn, everybody).await?;
    if full.contains(&creator) {
        let most = context.settings.contacts.max_chats;
        return Err(Error::invalid("chat", format!("you are in {most} chats, which is the limit")));
    }
    match full.first() {
        Some(id) => {
            let problem = format!("user {id} has the most chats that a user may have");
            Err(Error::invalid("chat.members_array", problem))
        }
        None => Ok(()),
    }
}

/// Checks that a user who is added to a group can be in one more chat.
pub(super) async fn require_room_of(
    context: &AppContext,
    conn: &impl ConnectionTrait,
    creator: UserId,
    user: UserId,
) -> Result<()> {
    if let Some(id) = crowded(context, conn, creator, &[user]).await? {
        return Err(Error::invalid("user.id", too_crowded(context, id)));
    }
    if full(context, conn, &[user]).await?.is_empty() {
        return Ok(());
    }
    Err(Error::invalid("user.id", "has the most chats that a user may have"))
}

/// Checks that a user who wants to join a group can be in one more chat. `is_own`: they join by themselves.
pub(super) async fn require_room_of_guest(
    context: &AppContext,
    conn: &impl ConnectionTrait,
    user: UserId,
    is_own: bool,
) -> Result<()> {
    if full(context, conn, &[user]).await?.is_empty() {
        return Ok(());
    }
    let most = context.settings.contacts.max_chats;
    Err(if is_own {
        Error::invalid("invite.token", format!("you are in {most} chats, which is the limit"))
    } else {
        Error::invalid("user.id", format!("the user is in {most} chats, which is the limit"))
    })
}

fn too_crowded(context: &AppContext, user: UserId) -> String {
    let most = groups_of_a_stranger(context);
    format!("user {user} is in {most} groups of users they do not follow")
}

/// Checks that a user may create one more group, and returns how many they have created. The creator counts, not
/// the owner, so that no user can use up another user's limit by handing groups over.
async fn require_room_to_make(
    context: &AppContext,
    conn: &impl ConnectionTrait,
    user: UserId,
) -> Result<u64> {
    let most = context.settings.contacts.max_groups;
    let made = chat::Entity::present()
        .filter(chat::Column::CreatorId.eq(user.0))
        .filter(chat::Column::IsGroup.eq(true))
        .count(conn)
        .await?;
    if made < most as u64 {
        return Ok(made);
    }
    Err(Error::invalid("chat", format!("you have created {made} groups, which is the limit")))
}

/// Returns a user who does not follow the creator and is already in as many of the creator's groups as allowed.
async fn crowded(
    context: &AppContext,
    conn: &impl ConnectionTrait,
    creator: UserId,
    users: &[UserId],
) -> Result<Option<UserId>> {
    for some in users.chunks(1_000) {
        let found: Option<i64> = member::Entity::present()
            .select_only()
            .column(member::Column::UserId)
            .filter(member::Column::UserId.is_in(some.iter().map(|id| id.0).filter(|id| *id != creator.0)))
            .filter(member::Column::UserId.not_in_subquery(followers_of(creator)))
            .filter(member::Column::ChatId.in_subquery(groups_of(creator)))
            .group_by(member::Column::UserId)
            .having(member::Column::ChatId.count().gte(groups_of_a_stranger(context) as i64))
            .into_tuple()
            .one(conn)
            .await?;
        if let Some(id) = found {
            return Ok(Some(UserId(id)));
        }
    }
    Ok(None)
}

fn groups_of(creator: UserId) -> SelectStatement {
    Query::select()
        .column(chat::Column::Id)
        .from(chat::Entity)
        .and_where(chat::Column::CreatorId.eq(creator.0))
        .and_where(chat::Column::IsGroup.eq(true))
        .and_where(chat::Column::DeletedAt.is_null())
        .to_owned()
}

fn followers_of(user: UserId) -> SelectStatement {
    Query::select()
        .column(contact::Column::UserId)
        .from(contact::Entity)
        .and_where(contact::Column::OtherId.eq(user.0))
        .and_where(contact::Column::FollowedAt.is_not_null())
        .to_owned()
}

/// The condition for memberships in groups that another user created whom the member does not follow.
fn of_strangers() -> Condition {
    let member = |column| Expr::col((member::Entity, column));
    let chat = |column| Expr::col((chat::Entity, column));
    let follows = Query::select()
        .expr(Expr::val(1))
        .from(contact::Entity)
        .and_where(Expr::col((contact::Entity, contact::Column::UserId)).eq(member(member::Column::UserId)))
        .and_where(Expr::col((contact::Entity, contact::Column::OtherId)).eq(chat(chat::Column::CreatorId)))
        .and_where(contact::Column::FollowedAt.is_not_null())
        .to_owned();
    let strange = Query::select()
        .column((chat::Entity, chat::Column::Id))
        .from(chat::Entity)
        .and_where(chat(chat::Column::Id).eq(member(member::Column::ChatId)))
        .and_where(chat::Column::IsGroup.eq(true))
        .and_where(chat(chat::Column::CreatorId).ne(member(member::Column::UserId)))
        .and_where(Expr::exists(follows).not())
        .to_owned();
    Condition::all().add(Expr::exists(strange))
}

/// Returns the users who have reached the limit on chats, in the order of their ids. Groups of strangers do not
/// count, so that no user can use up another user's limit.
async fn full(context: &AppContext, conn: &impl ConnectionTrait, users: &[UserId]) -> Result<Vec<UserId>> {
    let most = context.settings.contacts.max_chats as i64;
    let many = in_many(conn, users, most, Condition::all()).await?;
    // Few users pass the first check: the expensive condition is evaluated only for them.
    in_many(conn, &many, most, of_strangers().not()).await
}

async fn in_many(
    conn: &impl ConnectionTrait,
    users: &[UserId],
    most: i64,
    which: Condition,
) -> Result<Vec<UserId>> {
    let mut found = Vec::new();
    for some in users.chunks(1_000) {
        let ids: Vec<i64> = member::Entity::present()
            .select_only()
            .column(member::Column::UserId)
            .filter(member::Column::UserId.is_in(some.iter().map(|id| id.0)))
            .filter(which.clone())
            .group_by(member::Column::UserId)
            .having(member::Column::ChatId.count().gte(most))
            .into_tuple()
            .all(conn)
            .await?;
        found.extend(ids.into_iter().map(UserId));
    }
    found.sort_unstable();
    Ok(found)
}
