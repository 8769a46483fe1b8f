//! Imports messages with their likes, ordered by time; each takes the next value of its chat's counter.
//!
//! A later run appends the messages that Mango has gained meanwhile, with new values, so that clients which already
//! have the chat receive them.

use crate::protocol::members::ChatRole;
use entity::enums::LeftReason;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use entity::{chat, like, member, message};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, QueryFilter, QueryOrder, QuerySelect, Statement};

use super::marks;
use super::report::{Kind, Report, Tally};
use super::target::{LIST, Noted, Target, Writing};
use crate::domain::message_view::kind;
use crate::domain::messages::index;
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::platform::progress::Progress;
use crate::protocol::message_type::MessageType;
use import::read_time;
use import::{Source, SourceMessage, read_message};

/// Imports all messages.
pub async fn bring(
    source: &Source,
    target: &mut Target<'_>,
    report: &mut Report,
    progress: &Progress,
) -> Result<()> {
    let counts = &source.schema.counts;
    super::begin(progress, Kind::Message, source.number(&counts.messages).await?);
    let mut loose = Tally::default();
    if let Some(sql) = &counts.loose_likes {
        loose.skip_many(Kind::Like, source.number(sql).await?, "the row has no message or no user");
    }
    report.add(loose)?;
    source.declare("messages", &source.schema.messages).await?;
    loop {
        let page = source.fetch("messages", read_message).await?;
        if page.is_empty() {
            return marks::bring(target).await;
        }
        report.add(target.batch(async |to| write(to, &page).await).await?)?;
        progress.advance(page.len());
    }
}

/// A chat to which messages are being added.
struct ChatEnd {
    row: chat::Model,
    /// The last `seq` of the chat before this batch.
    end: i64,
}

/// A message whose chat and author exist here, with their ids here.
struct Fitting<'a> {
    from: &'a SourceMessage,
    chat: i64,
    author: i64,
}

async fn write(to: &Writing<'_>, page: &[SourceMessage]) -> Result<Tally> {
    let mut tally = Tally::default();
    let known = to.known(Noted::Message, page.iter().map(|it| it.id)).await?;
    tally.known(Kind::Message, known.len());
    let fresh: Vec<&SourceMessage> = page.iter().filter(|it| !known.contains_key(&it.id)).collect();
    let chats = to.known(Noted::Chat, fresh.iter().filter_map(|it| it.chat)).await?;
    let people = fresh.iter().flat_map(|it| it.likes.iter().chain(&it.author)).copied();
    let people = to.known(Noted::User, people).await?;
    let mut ends = lock(to, &chats).await?;
    let mut fitting = Vec::with_capacity(fresh.len());
    for from in fresh {
        let chat = from.chat.and_then(|id| chats.get(&id)).filter(|id| ends.contains_key(id));
        let author = from.author.and_then(|id| people.get(&id));
        if from.content.as_ref().is_some_and(|it| it.len() > to.longest) {
            tally.skip(Kind::Message, from.id, "it is longer than 900,000 bytes");
            continue;
        }
        match (chat, author) {
            (Some(chat), Some(author)) => fitting.push(Fitting { from, chat: *chat, author: *author }),
            (None, _) => tally.skip(Kind::Message, from.id, "its chat was not imported, or is deleted here"),
            (_, None) => tally.skip(Kind::Message, from.id, "its author was not imported"),
        }
    }
    add_former_members(to, &fitting, &ends).await?;
    let ids = to.new_ids("messages", fitting.len()).await?;
    let mut rows = Vec::with_capacity(fitting.len());
    let mut likes = Vec::new();
    for (message, id) in fitting.iter().zip(&ids) {
        let Some(end) = ends.get_mut(&message.chat) else { continue };
        let row = row(message, *id, end, &mut tally);
        let fans = likers(message.from, &people, &mut tally);
        likes.extend(fans.iter().map(|user| like::ActiveModel {
            message_id: Set(*id),
            user_id: Set(*user),
            // Mango does not store the time of a like.
            created_at: row.created_at.clone(),
        }));
        rows.push(message::ActiveModel { likes: Set(fans.len() as i32), ..row });
    }
    tally.taken(Kind::Message, rows.len());
    tally.taken(Kind::Like, likes.len());
    let entries = rows.iter().filter_map(index_entry).collect();
    to.insert::<message::Entity, _>(rows).await?;
    index::put(to.conn, entries).await?;
    to.insert::<like::Entity, _>(likes).await?;
    move_ends(to, &ends).await?;
    let pairs: Vec<(i64, i64)> = fitting.iter().map(|it| it.from.id).zip(ids).collect();
    to.note(Noted::Message, &pairs).await?;
    Ok(tally)
}

/// Returns what an imported message is found by.
fn index_entry(row: &message::ActiveModel) -> Option<(i64, String)> {
    let kind = kind(*row.message_type.try_as_ref()?);
    let words = index::terms_of(row.content.try_as_ref()?, kind, &[]);
    let (chat, author) = (ChatId(*row.chat_id.try_as_ref()?), UserId(*row.user_id.try_as_ref()?));
    Some((*row.id.try_as_ref()?, index::entry(&words, chat, author, kind)))
}

/// Locks the chats of a batch in the order of their ids: a server that runs at the same time waits.
async fn lock(to: &Writing<'_>, chats: &HashMap<i64, i64>) -> Result<HashMap<i64, ChatEnd>> {
    let ids: BTreeSet<i64> = chats.values().copied().collect();
    let ids: Vec<i64> = ids.into_iter().collect();
    let mut ends = HashMap::with_capacity(ids.len());
    for some in ids.chunks(LIST) {
        let rows = chat::Entity::present()
            .filter(chat::Column::Id.is_in(some.iter().copied()))
            .order_by_asc(chat::Column::Id)
            .lock_exclusive()
            .all(to.conn)
            .await?;
        ends.extend(rows.into_iter().map(|row| (row.id, ChatEnd { end: row.last_seq, row })));
    }
    Ok(ends)
}

fn row(message: &Fitting<'_>, id: i64, end: &mut ChatEnd, tally: &mut Tally) -> message::ActiveModel {
    let from = message.from;
    let created_at = from.created_at.as_deref().and_then(read_time);
    if created_at.is_none() {
        tally.change(Kind::Message, from.id, "its time could not be read; that of its chat is used");
    }
    let created_at = created_at.unwrap_or(end.row.created_at);
    let kind = from.kind.as_deref().and_then(message_type);
    if kind.is_none() {
        tally.change(Kind::Message, from.id, "a message of an unknown type became text");
    }
    if from.content.is_none() {
        tally.change(Kind::Message, from.id, "a message without content is empty");
    }
    end.row.rev += 1;
    end.row.last_seq = end.row.rev;
    end.row.last_activity_at = end.row.last_activity_at.max(created_at);
    message::ActiveModel {
        id: Set(id),
        chat_id: Set(message.chat),
        seq: Set(end.row.rev),
        rev: Set(end.row.rev),
        user_id: Set(message.author),
        message_type: Set(kind.or_else(|| MessageType::from_name("text")).map_or(1, MessageType::id)),
        content: Set(from.content.clone().unwrap_or_default()),
        created_at: Set(created_at),
        ..Default::default()
    }
}

/// Returns a message type by its name, or by Mango's number for it.
fn message_type(text: &str) -> Option<MessageType> {
    MessageType::from_name(text).or_else(|| MessageType::from_id(text.parse().ok()?))
}

fn likers(from: &SourceMessage, people: &HashMap<i64, i64>, tally: &mut Tally) -> BTreeSet<i64> {
    let likers: BTreeSet<i64> = from.likes.iter().filter_map(|id| people.get(id).copied()).collect();
    for _ in likers.len()..from.likes.len() {
        tally.skip(Kind::Like, from.id, "the user who likes it was not imported");
    }
    likers
}

/// Adds authors who are not members of their message's chat as former members.
async fn add_former_members(
    to: &Writing<'_>,
    messages: &[Fitting<'_>],
    ends: &HashMap<i64, ChatEnd>,
) -> Result<()> {
    let mut there = ever_members(to, messages).await?;
    let mut former = Vec::new();
    for message in messages {
        let Some(end) = ends.get(&message.chat) else { continue };
        if !there.insert((message.chat, message.author)) {
            continue;
        }
        let last = message.from.created_at.as_deref().and_then(read_time).unwrap_or(end.row.created_at);
        former.push(member::ActiveModel {
            chat_id: Set(message.chat),
            user_id: Set(message.author),
            role: Set(ChatRole::Member),
            joined_at: Set(end.row.created_at),
            // The current members do not see a change.
            rev: Set(1),
            last_read_seq: Set(0),
            archived: Set(false),
            user_rev: Set(0),
            left_at: Set(Some(last)),
            left_reason: Set(Some(LeftReason::Left)),
            ..Default::default()
        });
    }
    to.insert::<member::Entity, _>(former).await
}

/// Returns which authors are or were members of their message's chat. The query uses pairs: with two lists SQLite
/// would look for every author in every chat.
async fn ever_members(to: &Writing<'_>, messages: &[Fitting<'_>]) -> Result<HashSet<(i64, i64)>> {
    let pairs: BTreeSet<(i64, i64)> = messages.iter().map(|it| (it.chat, it.author)).collect();
    let pairs = pairs.iter().map(|(chat, user)| format!("[{chat},{user}]")).collect::<Vec<_>>().join(",");
    let backend = to.conn.get_database_backend();
    let list = match backend {
        DbBackend::Postgres => {
            "SELECT (e->>0)::bigint AS chat_id, (e->>1)::bigint AS user_id FROM json_array_elements($1::json) AS e"
        }
        _ => {
            "SELECT json_extract(value, '$[0]') AS chat_id, json_extract(value, '$[1]') AS user_id \
             FROM json_each($1)"
        }
    };
    let sql = format!(
        "SELECT m.chat_id AS chat_id, m.user_id AS user_id FROM ({list}) AS p \
         JOIN members m ON m.chat_id = p.chat_id AND m.user_id = p.user_id"
    );
    let values = [format!("[{pairs}]").into()];
    let rows = to.conn.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    rows.iter().map(|row| Ok((row.try_get("", "chat_id")?, row.try_get("", "user_id")?))).collect()
}

/// Advances the counters of all chats with one statement, and stores the previous ends of chats that start to grow.
async fn move_ends(to: &Writing<'_>, ends: &HashMap<i64, ChatEnd>) -> Result<()> {
    let moved: BTreeMap<i64, &ChatEnd> =
        ends.iter().filter(|(_, it)| it.row.last_seq > it.end).map(|(id, it)| (*id, it)).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let ends: Vec<(i64, i64)> = moved.iter().map(|(id, it)| (*id, it.end)).collect();
    to.note_first(Noted::End, &ends).await?;
    let values = moved.iter().map(|(id, it)| format!("({id}, {}, {})", it.row.rev, it.row.last_activity_at));
    let values = values.collect::<Vec<_>>().join(", ");
    let sql = format!(
        "UPDATE chats SET rev = v.column2, last_seq = v.column2, visible = TRUE, last_activity_at = v.column3 \
         FROM (VALUES {values}) AS v WHERE chats.id = v.column1"
    );
    to.conn.execute_unprepared(&sql).await?;
    Ok(())
}
