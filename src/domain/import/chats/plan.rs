//! Decides which chats of a batch are created and which are merged. It only uses data that was already read, and
//! accesses no database.

use std::collections::{BTreeSet, HashMap};

use entity::chat;

use super::super::report::{Kind, Tally};
use import::SourceChat;
use import::read_time;

/// A chat to be created.
pub struct New<'a> {
    /// The chat in Mango.
    pub from: &'a SourceChat,
    /// The members, by their ids here.
    pub members: BTreeSet<i64>,
    /// The members who pinned it.
    pub pinned: BTreeSet<i64>,
    /// The owner, one of the members.
    pub owner: i64,
    /// The key of the pair of users, if it is a direct chat.
    pub direct_key: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
}

/// What to do with the chats of a batch.
#[derive(Default)]
pub struct Plan<'a> {
    /// Chats to be created.
    pub new: Vec<New<'a>>,
    /// Indexes in `new` of the batch's direct chats, by key.
    by_key: HashMap<String, usize>,
    /// Chats of the source that are merged with the new chat at this index.
    pub twins: Vec<(i64, usize)>,
    /// Chats of the source that are merged with an existing chat: the source's id, the existing id, and the users
    /// who pinned it.
    pub here: Vec<(i64, i64, BTreeSet<i64>)>,
}

/// Returns the ids here of the members who were imported.
pub fn members_of(from: &SourceChat, people: &HashMap<i64, i64>) -> BTreeSet<i64> {
    from.members.iter().filter_map(|id| people.get(id).copied()).collect()
}

/// Returns the key of a direct chat; `None` if the chat is not a direct chat of two users.
pub fn direct_key(from: &SourceChat, members: &BTreeSet<i64>) -> Option<String> {
    let pair = (members.len() == 2 && !from.is_group).then(|| members.first().zip(members.last()))?;
    pair.map(|(one, other)| chat::Entity::direct_key(*one, *other))
}

impl<'a> Plan<'a> {
    /// Decides what to do with one chat.
    pub fn place(
        &mut self,
        from: &'a SourceChat,
        people: &HashMap<i64, i64>,
        here: &HashMap<String, i64>,
        tally: &mut Tally,
        now: i64,
    ) {
        let members = members_of(from, people);
        for _ in members.len()..from.members.len() {
            tally.skip(Kind::Member, from.id, "the user was not imported");
        }
        let Some(first) = members.first().copied() else {
            tally.skip(Kind::Chat, from.id, "it has no members");
            return;
        };
        let pinned: BTreeSet<i64> = from.pins.iter().filter_map(|id| people.get(id).copied()).collect();
        let pinned: BTreeSet<i64> = pinned.intersection(&members).copied().collect();
        for _ in pinned.len()..from.pins.len() {
            tally.skip(Kind::Pin, from.id, "the user who pinned the chat is not a member");
        }
        tally.taken(Kind::Member, members.len());
        tally.taken(Kind::Pin, pinned.len());
        tally.taken(Kind::Chat, 1);
        let key = direct_key(from, &members);
        if key.is_none() && !from.is_group {
            tally.change(Kind::Chat, from.id, "a direct chat without exactly two members became a group");
        }
        if let Some(place) = key.as_ref().and_then(|key| self.by_key.get(key)).copied() {
            tally.change(
                Kind::Chat,
                from.id,
                "a second direct chat of the same two users was merged with the first",
            );
            self.twins.push((from.id, place));
            self.new[place].pinned.extend(pinned);
            return;
        }
        if let Some(id) = key.as_ref().and_then(|key| here.get(key)).copied() {
            tally.change(
                Kind::Chat,
                from.id,
                "a direct chat was merged with the existing one of the same two users",
            );
            self.here.push((from.id, id, pinned));
            return;
        }
        let created_at = from.created_at.as_deref().and_then(read_time);
        if created_at.is_none() {
            tally.change(
                Kind::Chat,
                from.id,
                "its creation time could not be read; the current time is used",
            );
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
