//! Imports chats with their members and pins. A chat starts like one that is created here: its counter and the
//! revision of all memberships are 1; messages take the following values.
//!
//! In Mango a chat that is not a group can have any number of members, and two users can have several. Here a
//! direct chat has two members and exists once: other chats become groups, or are merged with the first.

mod plan;
mod store;

use std::collections::{BTreeSet, HashMap};

use entity::{chat, member, user};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use plan::{Plan, direct_key, members_of};
use store::store;

use super::report::{Kind, Report, Tally};
use super::target::{LIST, Noted, Target, Writing};
use crate::error::Result;
use crate::platform::progress::Progress;
use import::{Source, SourceChat, read_chat};

/// Approximate number of memberships per transaction: pages with more are split.
const MEMBERS: usize = 20_000;

/// Imports all chats.
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
        loose.skip_many(kind, source.number(sql).await?, "the row has no chat or no user");
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

/// Reports members who joined or left in the source since a chat was imported. Chats that were imported before are
/// not changed, so an operator can make these changes by hand.
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
        // Authors who were not members have a row too: it says that they have left.
        if there.iter().any(|id| here.get(id) != Some(&true)) {
            tally.skip(Kind::Member, from.id, "a user joined a chat after it was imported");
        }
        let gone = here.iter().any(|(id, present)| *present && !there.contains(id));
        if gone && from.members.iter().all(|id| people.contains_key(id)) {
            tally.leave_out(Kind::Chat, from.id, "has members here that it does not have there");
        }
    }
    Ok(())
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

/// Returns the users whose imported account has not been deleted here since: deleted accounts are not added to
/// chats.
async fn still_here(to: &Writing<'_>, people: HashMap<i64, i64>) -> Result<HashMap<i64, i64>> {
    let present = present(to, people.values().copied().collect()).await?;
    Ok(people.into_iter().filter(|(_, id)| present.contains(id)).collect())
}

/// Returns those of these accounts that are not deleted.
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
