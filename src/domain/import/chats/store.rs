//! Writes the chats of a plan with their members and pins, in the batch's transaction.

use crate::protocol::members::ChatRole;
use std::collections::{BTreeSet, HashMap};

use entity::{chat, contact, member, session};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::super::target::{LIST, Noted, Writing};
use super::plan::{New, Plan};
use super::present;
use crate::domain::users;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::text::{fold, presentable};

/// Writes the chats of the plan. Users are locked first, in the order of their ids.
pub async fn store(to: &Writing<'_>, plan: &Plan<'_>, now: i64) -> Result<()> {
    let pinned_here = plan.here.iter().flat_map(|(_, _, pinned)| pinned);
    let everybody: BTreeSet<i64> =
        plan.new.iter().flat_map(|it| &it.members).chain(pinned_here).copied().collect();
    let everybody: Vec<UserId> = everybody.into_iter().map(UserId).collect();
    let mut user_revs: HashMap<i64, i64> = HashMap::with_capacity(everybody.len());
    for some in everybody.chunks(LIST) {
        user_revs.extend(users::advance(to.conn, some).await?.into_iter().map(|(id, rev)| (id.0, rev)));
    }
    // The accounts were checked before they were locked; one that was deleted since cannot leave these chats.
    if present(to, user_revs.keys().copied().collect()).await?.len() < user_revs.len() {
        return Err(Error::again("an account was deleted in this very moment"));
    }
    let ids = to.new_ids("chats", plan.new.len()).await?;
    let blocked = blocked_keys(to, plan).await?;
    let is_blocked = |new: &New<'_>| new.direct_key.as_ref().is_some_and(|key| blocked.contains(key));
    let chats = plan.new.iter().zip(&ids).map(|(new, id)| chat_row(new, *id, is_blocked(new)));
    to.insert::<chat::Entity, _>(chats.collect()).await?;
    let logged_in = logged_in(to, &everybody, now).await?;
    let joined = |new: &New<'_>, user: i64| if logged_in.contains(&user) { now } else { new.created_at };
    let members = plan.new.iter().zip(&ids).flat_map(|(new, id)| member_rows(new, *id, &user_revs, &joined));
    to.insert::<member::Entity, _>(members.collect()).await?;
    for (_, chat, pinned) in &plan.here {
        for user in pinned {
            pin_here(to, *chat, *user, user_revs.get(user).copied().unwrap_or_default()).await?;
        }
    }
    let mut pairs: Vec<(i64, i64)> = plan.new.iter().map(|it| it.from.id).zip(ids.iter().copied()).collect();
    pairs.extend(plan.twins.iter().filter_map(|(old, place)| Some((*old, *ids.get(*place)?))));
    pairs.extend(plan.here.iter().map(|(old, new, _)| (*old, *new)));
    to.note(Noted::Chat, &pairs).await
}

/// Returns the direct-chat keys of pairs in which one user has already blocked the other here.
async fn blocked_keys(to: &Writing<'_>, plan: &Plan<'_>) -> Result<BTreeSet<String>> {
    let pairs: Vec<&New<'_>> = plan.new.iter().filter(|it| it.direct_key.is_some()).collect();
    let people: BTreeSet<i64> = pairs.iter().flat_map(|it| it.members.iter().copied()).collect();
    let people: Vec<i64> = people.into_iter().collect();
    let mut keys = BTreeSet::new();
    for some in people.chunks(LIST) {
        let rows: Vec<(i64, i64)> = contact::Entity::find()
            .select_only()
            .columns([contact::Column::UserId, contact::Column::OtherId])
            .filter(contact::Column::BlockedAt.is_not_null())
            .filter(contact::Column::UserId.is_in(some.iter().copied()))
            .into_tuple()
            .all(to.conn)
            .await?;
        keys.extend(rows.into_iter().map(|(one, other)| chat::Entity::direct_key(one, other)));
    }
    Ok(keys)
}

/// Returns the users who are logged in here. A running server finds recent joins and puts connected users into the
/// chat's room, so these users join now.
async fn logged_in(to: &Writing<'_>, people: &[UserId], now: i64) -> Result<BTreeSet<i64>> {
    let mut found = BTreeSet::new();
    for some in people.chunks(LIST) {
        let ids: Vec<i64> = session::Entity::find()
            .select_only()
            .column(session::Column::UserId)
            .distinct()
            .filter(session::Column::UserId.is_in(some.iter().map(|id| id.0)))
            .filter(session::Column::EndedAt.is_null())
            .filter(session::Column::ExpiresAt.gt(now))
            .into_tuple()
            .all(to.conn)
            .await?;
        found.extend(ids);
    }
    Ok(found)
}

fn chat_row(new: &New<'_>, id: i64, blocked: bool) -> chat::ActiveModel {
    let text = |text: &Option<String>| text.clone().filter(|it| !it.trim().is_empty());
    let is_group = new.direct_key.is_none();
    let name = text(&new.from.name).map(|it| presentable(&it)).filter(|it| !it.is_empty());
    chat::ActiveModel {
        id: Set(id),
        is_group: Set(is_group),
        name_key: Set(name.as_deref().filter(|_| is_group).map(fold)),
        name: Set(name.filter(|_| is_group)),
        description: Set(text(&new.from.description).filter(|_| is_group)),
        creator_id: Set(new.owner),
        owner_id: Set(new.owner),
        direct_key: Set(new.direct_key.clone()),
        approved: Set(true),
        blocked: Set(blocked),
        // In Mango both users saw the chat, even without a message.
        visible: Set(true),
        rev: Set(1),
        meta_rev: Set(1),
        last_seq: Set(0),
        member_count: Set(new.members.len() as i32),
        last_activity_at: Set(new.created_at),
        created_at: Set(new.created_at),
        ..Default::default()
    }
}

fn member_rows(
    new: &New<'_>,
    chat: i64,
    user_revs: &HashMap<i64, i64>,
    joined: &impl Fn(&New<'_>, i64) -> i64,
) -> Vec<member::ActiveModel> {
    let is_group = new.direct_key.is_none();
    let row = |user: &i64| member::ActiveModel {
        chat_id: Set(chat),
        user_id: Set(*user),
        role: Set(if is_group && *user == new.owner { ChatRole::Owner } else { ChatRole::Member }),
        joined_at: Set(joined(new, *user)),
        rev: Set(1),
        last_read_seq: Set(0),
        // Mango does not store when a chat was pinned.
        pinned_at: Set(new.pinned.contains(user).then_some(new.created_at)),
        archived: Set(false),
        user_rev: Set(user_revs.get(user).copied().unwrap_or_default()),
        ..Default::default()
    };
    new.members.iter().map(row).collect()
}

/// Pins a chat that existed here before the import.
async fn pin_here(to: &Writing<'_>, chat: i64, user: i64, user_rev: i64) -> Result<()> {
    let since = entity::chat::Entity::find_by_id(chat).one(to.conn).await?.map(|row| row.created_at);
    member::Entity::update_many()
        .col_expr(member::Column::PinnedAt, Expr::value(since))
        .col_expr(member::Column::UserRev, Expr::value(user_rev))
        .filter(member::Column::ChatId.eq(chat))
        .filter(member::Column::UserId.eq(user))
        .filter(member::Column::LeftAt.is_null())
        .filter(member::Column::PinnedAt.is_null())
        .exec(to.conn)
        .await?;
    Ok(())
}
