//! Filling a hole: the events that bring a node's clients from one value of a chat's counter to another,
//! made from the present state. Several changes may come as one event.

use std::collections::HashMap;

use entity::{chat, member, message};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};

use crate::domain::Core;
use crate::domain::chats::{change_at, load, show_members};
use crate::domain::messages::show;
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::platform::bus::{Delivery, Place, RoomChange};
use crate::protocol::events::{ChatChanged, MemberChange, MessageChanged, NewMessage};

/// Changes that one filling reads; beyond it clients are told to `sync`.
const MOST: i64 = 1_000;

/// What happened in a chat after `given`, up to `upto`, as events in order; none where it is too much to be
/// told this way, or the chat is gone.
///
/// What changed again beyond `upto` is left to the event of that change, but for new messages: they are
/// given at their place, in their present form, for nobody can apply a change to what they do not have.
pub async fn fill(core: &Core, chat_id: ChatId, given: i64, upto: i64) -> Result<Option<Vec<Delivery>>> {
    let conn = core.db.read();
    let Some(chat) = chat::Entity::present().filter(chat::Column::Id.eq(chat_id.0)).one(conn).await? else {
        return Ok(None);
    };
    if upto - given > MOST {
        return Ok(None);
    }
    let mut found: Vec<(i64, Told)> = Vec::new();
    let between = |column: message::Column| column.gt(given).and(column.lte(upto));
    let rows = message::Entity::of_chat(chat_id.0)
        .filter(Condition::any().add(between(message::Column::Rev)).add(between(message::Column::Seq)))
        .all(conn)
        .await?;
    for message in show(conn, rows, None).await? {
        if message.seq > given {
            found.push((message.seq, Told::New(Box::new(message))));
        } else {
            found.push((message.rev, Told::Changed(Box::new(message))));
        }
    }
    let rows = member::Entity::find()
        .filter(member::Column::ChatId.eq(chat_id.0))
        .filter(member::Column::Rev.gt(given).and(member::Column::Rev.lte(upto)))
        .all(conn)
        .await?;
    let state: HashMap<i64, (i64, bool)> =
        rows.iter().map(|row| (row.user_id, (row.rev, row.left_at.is_some()))).collect();
    for shown in show_members(conn, rows).await? {
        if let Some((rev, gone)) = state.get(&shown.user.id.0).copied() {
            found.push((rev, Told::Member(Box::new(shown), gone)));
        }
    }
    if chat.meta_rev > given
        && chat.meta_rev <= upto
        && let Some(details) = load(conn, &[chat_id], None).await?.pop()
    {
        found.push((chat.meta_rev, Told::Chat(Box::new(details))));
    }
    found.sort_by_key(|(rev, _)| *rev);
    let mut events = Vec::with_capacity(found.len());
    let mut prev = given;
    for (rev, told) in found {
        let place = Place { chat_id, rev, prev };
        events.push(told.into_delivery(place, &chat, core.clock.now())?);
        prev = rev;
    }
    Ok(Some(events))
}

/// The present counters of these chats.
pub async fn heads(core: &Core, chats: &[ChatId]) -> Result<Vec<(ChatId, i64)>> {
    let mut heads = Vec::with_capacity(chats.len());
    for ids in chats.chunks(2_000) {
        let rows: Vec<(i64, i64)> = chat::Entity::find()
            .select_only()
            .columns([chat::Column::Id, chat::Column::Rev])
            .filter(chat::Column::Id.is_in(ids.iter().map(|id| id.0)))
            .into_tuple()
            .all(core.db.read())
            .await?;
        heads.extend(rows.into_iter().map(|(id, rev)| (ChatId(id), rev)));
    }
    Ok(heads)
}

/// One change as it is told.
enum Told {
    New(Box<crate::protocol::objects::Message>),
    Changed(Box<crate::protocol::objects::Message>),
    Member(Box<crate::protocol::objects::Member>, bool),
    Chat(Box<crate::protocol::objects::Chat>),
}

impl Told {
    fn into_delivery(self, place: Place, chat: &chat::Model, now: i64) -> Result<Delivery> {
        let by_owner = change_at(place, UserId(chat.owner_id), now);
        match self {
            Self::New(message) => {
                let event = NewMessage {
                    message: &message,
                    prev: place.prev,
                    by: message.user.id,
                    at: message.created_at,
                };
                Delivery::of_change(place, "new_message", &event)
            }
            Self::Changed(message) => {
                let name = if message.deleted_at.is_some() { "message_deleted" } else { "message_edited" };
                let change = change_at(place, message.user.id, now);
                Delivery::of_change(place, name, &MessageChanged { change, message: &message })
            }
            Self::Member(member, gone) => {
                let user = member.user.id;
                let event =
                    MemberChange { change: by_owner, member: *member, member_count: chat.member_count };
                let name = if gone { "member_removed" } else { "member_added" };
                let mut delivery = Delivery::of_change(place, name, &event)?;
                delivery.rooms =
                    if gone { RoomChange::Leave(vec![user]) } else { RoomChange::Join(vec![user]) };
                Ok(delivery)
            }
            Self::Chat(details) => Delivery::of_change(
                place,
                "chat_updated",
                &ChatChanged { change: by_owner, details: *details },
            ),
        }
    }
}
