//! Chats with their members and pins. A chat begins as one that is made here does: its counter stands at 1,
//! and so does everybody's membership; messages take what follows.
//!
//! Mango lets a chat that is no group have any number of members, and several for the same two people. Here a
//! direct chat has two and exists once: the others become groups, or one with the first.

use std::collections::{BTreeSet, HashMap};

use entity::{chat, contact, member, session, user};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::report::{Kind, Report, Tally};
use super::source::{Source, SourceChat, read_chat};
use super::target::{LIST, Noted, Target, Writing};
use super::times;
use crate::domain::users;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::progress::Progress;

/// Memberships of one transaction, about: chats of a page are split where they have more.
const MEMBERS: usize = 20_000;

/// Brings all chats over.
pub async fn bring(
    source: &Source,
    target: &mut Target<'_>,
    report: &mut Report,
    progress: &Progress,
) -> Result<()> {
    let counts = &source.schema.counts;
    super::begin(progress, Kind::Chat, source.number(&counts.chats).await?);
    let mut loose = Tally::default();
    for (kind, sql) in [(Kind::Member, Some(&counts.loose_members)), (Kind::Pin, counts.loose_pins.as_ref())]
    {
        let Some(sql) = sql else { continue };
        for _ in 0..source.number(sql).await? {
            loose.skip(kind, None, "the row names no chat or no user");
        }
    }
    report.add(loose)?;
    source.declare("chats", &source.schema.chats).await?;
    loop {
        let page = source.fetch("chats", read_chat).await?;
        if page.is_empty() {
            return Ok(());
        }
        let mut rest = page.as_slice();
        while !rest.is_empty() {
            let mut members = 0;
            let more = rest.iter().skip(1).take_while(|it| {
                members += it.members.len();
                members <= MEMBERS
            });
            let (some, after) = rest.split_at(1 + more.count());
            let now = target.now();
            report.add(target.batch(async |to| write(to, some, now).await).await?)?;
            progress.advance(some.len());
            rest = after;
        }
    }
}

/// A chat that is about to be made.
struct New<'a> {
    from: &'a SourceChat,
    members: BTreeSet<i64>,
    pinned: BTreeSet<i64>,
    owner: i64,
    direct_key: Option<String>,
    created_at: i64,
}

/// What a batch of chats comes to.
#[derive(Default)]
struct Plan<'a> {
    new: Vec<New<'a>>,
    /// Direct chats of the batch by their key.
    by_key: HashMap<String, usize>,
    /// A chat of the source that is one with the new chat at this place.
    twins: Vec<(i64, usize)>,
    /// A chat of the source that is one with a chat that is here: its id, and who has pinned it.
    here: Vec<(i64, i64, BTreeSet<i64>)>,
}

async fn write(to: &Writing<'_>, page: &[SourceChat], now: i64) -> Result<Tally> {
    let mut tally = Tally::default();
    let known = to.known(Noted::Chat, page.iter().map(|it| it.id)).await?;
    tally.known(Kind::Chat, known.len());
    tell_changed_members(to, page, &known, &mut tally).await?;
    let fresh: Vec<&SourceChat> = page.iter().filter(|it| !known.contains_key(&it.id)).collect();
    let people = fresh
        .iter()
        .flat_map(|it| it.members.iter().chain(&it.pins).chain(&it.first_author).chain(&it.owner));
    let people = to.known(Noted::User, people.copied()).await?;
    let people = still_here(to, people).await?;
    let here = direct_chats_here(to, &fresh, &people).await?;
    let mut plan = Plan::default();
    for from in fresh {
        plan.place(from, &people, &here, &mut tally, now);
    }
    store(to, &plan, now).await?;
    Ok(tally)
}

/// Chats that came over before are not changed; who came and who went there since is reported, so that
/// somebody can do here what was done there.
async fn tell_changed_members(
    to: &Writing<'_>,
    page: &[SourceChat],
    known: &HashMap<i64, i64>,
    tally: &mut Tally,
) -> Result<()> {
    let theirs = page.iter().filter(|it| known.contains_key(&it.id));
    let people = to.known(Noted::User, theirs.clone().flat_map(|it| it.members.iter()).copied()).await?;
    let chats: Vec<i64> = known.values().copied().collect();
    let mut ours: HashMap<i64, HashMap<i64, bool>> = HashMap::new();
    for some in chats.chunks(LIST) {
        let rows: Vec<(i64, i64, Option<i64>)> = member::Entity::find()
            .select_only()
            .columns([member::Column::ChatId, member::Column::UserId, member::Column::LeftAt])
            .filter(member::Column::ChatId.is_in(some.iter().copied()))
            .into_tuple()
            .all(to.conn)
            .await?;
        for (chat, user, left) in rows {
            ours.entry(chat).or_default().insert(user, left.is_none());
        }
    }
    for from in theirs {
        let Some(here) = known.get(&from.id).and_then(|id| ours.get(id)) else { continue };
        let there = members_of(from, &people);
        // Authors who were no members have a row as well: they have left.
        if there.iter().any(|id| here.get(id) != Some(&true)) {
            tally.skip(Kind::Member, from.id, "somebody came into a chat after it had come over");
        }
        let gone = here.iter().any(|(id, present)| *present && !there.contains(id));
        if gone && from.members.iter().all(|id| people.contains_key(id)) {
            tally.leave_out(Kind::Chat, from.id, "has members here that it does not have there");
        }
    }
    Ok(())
}

/// Those whose account here was not deleted since it came over: nobody draws them into a chat any more.
async fn still_here(to: &Writing<'_>, people: HashMap<i64, i64>) -> Result<HashMap<i64, i64>> {
    let present = present(to, people.values().copied().collect()).await?;
    Ok(people.into_iter().filter(|(_, id)| present.contains(id)).collect())
}

/// Those of these accounts that are not deleted.
async fn present(to: &Writing<'_>, ids: Vec<i64>) -> Result<BTreeSet<i64>> {
    let mut present: BTreeSet<i64> = BTreeSet::new();
    for some in ids.chunks(LIST) {
        let found: Vec<i64> = user::Entity::present()
            .select_only()
            .column(user::Column::Id)
            .filter(user::Column::Id.is_in(some.iter().copied()))
            .into_tuple()
            .all(to.conn)
            .await?;
        present.extend(found);
    }
    Ok(present)
}

/// Keys of those new direct chats whose two have blocked one another here already.
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

/// Members as they are known here.
fn members_of(from: &SourceChat, people: &HashMap<i64, i64>) -> BTreeSet<i64> {
    from.members.iter().filter_map(|id| people.get(id).copied()).collect()
}

fn direct_key(from: &SourceChat, members: &BTreeSet<i64>) -> Option<String> {
    let pair = (members.len() == 2 && !from.is_group).then(|| members.first().zip(members.last()))?;
    pair.map(|(one, other)| chat::Entity::direct_key(*one, *other))
}

async fn direct_chats_here(
    to: &Writing<'_>,
    fresh: &[&SourceChat],
    people: &HashMap<i64, i64>,
) -> Result<HashMap<String, i64>> {
    let keys: Vec<String> =
        fresh.iter().filter_map(|from| direct_key(from, &members_of(from, people))).collect();
    let mut here = HashMap::new();
    for some in keys.chunks(LIST) {
        let rows = chat::Entity::find().filter(chat::Column::DirectKey.is_in(some)).all(to.conn).await?;
        here.extend(rows.into_iter().filter_map(|row| Some((row.direct_key?, row.id))));
    }
    Ok(here)
}

impl<'a> Plan<'a> {
    /// Decides what becomes of one chat.
    fn place(
        &mut self,
        from: &'a SourceChat,
        people: &HashMap<i64, i64>,
        here: &HashMap<String, i64>,
        tally: &mut Tally,
        now: i64,
    ) {
        let members = members_of(from, people);
        for _ in members.len()..from.members.len() {
            tally.skip(Kind::Member, from.id, "the user did not come over");
        }
        let Some(first) = members.first().copied() else {
            tally.skip(Kind::Chat, from.id, "nobody is in it");
            return;
        };
        let pinned: BTreeSet<i64> = from.pins.iter().filter_map(|id| people.get(id).copied()).collect();
        let pinned: BTreeSet<i64> = pinned.intersection(&members).copied().collect();
        for _ in pinned.len()..from.pins.len() {
            tally.skip(Kind::Pin, from.id, "who pinned the chat is not in it");
        }
        tally.taken(Kind::Member, members.len());
        tally.taken(Kind::Pin, pinned.len());
        tally.taken(Kind::Chat, 1);
        let key = direct_key(from, &members);
        if key.is_none() && !from.is_group {
            tally.change(Kind::Chat, from.id, "a direct chat that has not two members became a group");
        }
        if let Some(place) = key.as_ref().and_then(|key| self.by_key.get(key)).copied() {
            tally.change(
                Kind::Chat,
                from.id,
                "a second direct chat of the same two became one with the first",
            );
            self.twins.push((from.id, place));
            self.new[place].pinned.extend(pinned);
            return;
        }
        if let Some(id) = key.as_ref().and_then(|key| here.get(key)).copied() {
            tally.change(
                Kind::Chat,
                from.id,
                "a direct chat became one with that of the same two that was here",
            );
            self.here.push((from.id, id, pinned));
            return;
        }
        let created_at = from.created_at.as_deref().and_then(times::read);
        if created_at.is_none() {
            tally.change(Kind::Chat, from.id, "the time of its making could not be read, it is now");
        }
        let wanted = [from.owner, from.first_author].into_iter().flatten();
        let owner = wanted.filter_map(|id| people.get(&id).copied()).find(|id| members.contains(id));
        if let Some(key) = &key {
            self.by_key.insert(key.clone(), self.new.len());
        }
        let (owner, created_at) = (owner.unwrap_or(first), created_at.unwrap_or(now));
        self.new.push(New { from, members, pinned, owner, direct_key: key, created_at });
    }
}

async fn store(to: &Writing<'_>, plan: &Plan<'_>, now: i64) -> Result<()> {
    // People are locked, in the order of their ids, before anything refers to them.
    let pinned_here = plan.here.iter().flat_map(|(_, _, pinned)| pinned);
    let everybody: BTreeSet<i64> =
        plan.new.iter().flat_map(|it| &it.members).chain(pinned_here).copied().collect();
    let everybody: Vec<UserId> = everybody.into_iter().map(UserId).collect();
    let mut user_revs: HashMap<i64, i64> = HashMap::with_capacity(everybody.len());
    for some in everybody.chunks(LIST) {
        user_revs.extend(users::advance(to.conn, some).await?.into_iter().map(|(id, rev)| (id.0, rev)));
    }
    // Looked at before the lock, and gone since: the end of an account has looked for its chats without these.
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

/// Those who are logged in here. A server that runs beside it looks for who has joined lately, and so puts whoever
/// is connected into the chat's room: for them the joining is now.
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
    chat::ActiveModel {
        id: Set(id),
        is_group: Set(is_group),
        name: Set(text(&new.from.name).filter(|_| is_group)),
        description: Set(text(&new.from.description).filter(|_| is_group)),
        creator_id: Set(new.owner),
        owner_id: Set(new.owner),
        direct_key: Set(new.direct_key.clone()),
        approved: Set(true),
        blocked: Set(blocked),
        // In Mango both saw it, also without a message.
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
        role: Set(if is_group && *user == new.owner { "owner" } else { "member" }.into()),
        joined_at: Set(joined(new, *user)),
        rev: Set(1),
        last_read_seq: Set(0),
        // Mango does not note since when.
        pinned_at: Set(new.pinned.contains(user).then_some(new.created_at)),
        archived: Set(false),
        user_rev: Set(user_revs.get(user).copied().unwrap_or_default()),
        ..Default::default()
    };
    new.members.iter().map(row).collect()
}

/// Pins a chat that was here before.
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
