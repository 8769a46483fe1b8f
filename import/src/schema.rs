//! Finds the tables and columns of the source, and builds the statements that read them.
//!
//! Mango's own names come first, then those of its older versions and forks. An error names each required table or
//! column that is missing, so that a wrong database is recognized at once.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// The columns of every table in the source's schema, with their types.
pub type Catalogue = HashMap<String, HashMap<String, String>>;

/// The statements that read the source, and the tables that are missing.
pub struct Schema {
    /// Selects users, ordered by id.
    pub users: String,
    /// Selects chats with their members and pins, ordered by id.
    pub chats: String,
    /// Selects messages with their likes, ordered by time.
    pub messages: String,
    /// Count rows, and rows with missing references.
    pub counts: Counts,
    missing: Vec<&'static str>,
}

/// Statements that return one number.
pub struct Counts {
    /// Users.
    pub users: String,
    /// Chats.
    pub chats: String,
    /// Messages.
    pub messages: String,
    /// Members without a chat or a user.
    pub loose_members: String,
    /// Likes without a message or a user.
    pub loose_likes: Option<String>,
    /// Pins without a chat or a user.
    pub loose_pins: Option<String>,
}

/// A table of the source, with its name there.
struct Table<'a> {
    name: String,
    columns: &'a HashMap<String, String>,
}

impl Schema {
    /// Finds Mango's tables in a catalogue. Returns an error if a required table or column is missing.
    pub fn find(catalogue: &Catalogue) -> Result<Self> {
        let users = need(catalogue, &["user_table", "user", "users"])?;
        let chats = need(catalogue, &["chat", "chats"])?;
        let members = need(catalogue, &["chat_user", "chat_users", "chat_member", "chat_members"])?;
        let messages = need(catalogue, &["message", "messages"])?;
        let likes = find(catalogue, &["message_likes", "message_like", "likes"]);
        let pins = find(catalogue, &["pinned_chat", "pinned_chats"])
            .zip(find(catalogue, &["pinned_chat_chats", "pinned_chats_chats"]));
        let types = find(catalogue, &["message_type", "message_types"]);
        let mut missing = Vec::new();
        missing.extend(likes.is_none().then_some("likes"));
        missing.extend(pins.is_none().then_some("pins"));
        let loose = |table: &Table<'_>, one: &str, other: &str| {
            format!("SELECT count(*) FROM {} WHERE {one} IS NULL OR {other} IS NULL", table.name)
        };
        let (member_chat, member_user) = (members.need(&["chat_id"])?, members.need(&["user_id"])?);
        let likes = likes
            .map(|table| Ok::<_, Error>((table.need(&["message_id"])?, table.need(&["user_id"])?, table)))
            .transpose()?;
        let pins = pins
            .map(|(list, rows)| {
                let (owner, of) = (list.need(&["user", "user_id"])?, rows.need(&["pinned_chat_id"])?);
                Ok::<_, Error>((list.need(&["id"])?, owner, of, rows.need(&["chat_id"])?, list, rows))
            })
            .transpose()?;
        let counts = Counts {
            users: format!("SELECT count(*) FROM {}", users.name),
            chats: format!("SELECT count(*) FROM {}", chats.name),
            messages: format!("SELECT count(*) FROM {}", messages.name),
            loose_members: loose(&members, &member_chat, &member_user),
            loose_likes: likes.as_ref().map(|(message, user, table)| loose(table, message, user)),
            loose_pins: pins.as_ref().map(|(id, owner, of, chat, list, rows)| {
                format!(
                    "SELECT count(*) FROM {} r LEFT JOIN {} l ON l.{id} = r.{of} \
                     WHERE r.{chat} IS NULL OR l.{owner} IS NULL",
                    rows.name, list.name
                )
            }),
        };
        let pinned = pins.map_or_else(
            || "SELECT NULL::bigint AS chat, NULL::text AS users WHERE false".to_owned(),
            |(id, owner, of, chat, list, rows)| {
                format!(
                    "SELECT r.{chat} AS chat, string_agg(DISTINCT l.{owner}::text, ',') AS users \
                     FROM {} r JOIN {} l ON l.{id} = r.{of} GROUP BY r.{chat}",
                    rows.name, list.name
                )
            },
        );
        let fans = likes.map_or_else(
            || "SELECT NULL::bigint AS message, NULL::text AS users WHERE false".to_owned(),
            |(message, user, table)| {
                format!(
                    "SELECT {message} AS message, string_agg(DISTINCT {user}::text, ',') AS users \
                     FROM {} GROUP BY {message}",
                    table.name
                )
            },
        );
        let present = format!(
            "SELECT {member_chat} AS chat, string_agg(DISTINCT {member_user}::text, ',') AS users \
             FROM {} GROUP BY {member_chat}",
            members.name
        );
        Ok(Self {
            users: select_users(&users)?,
            chats: select_chats(&chats, &messages, &present, &pinned)?,
            messages: select_messages(&messages, types.as_ref(), &fans)?,
            counts,
            missing,
        })
    }

    /// Returns the optional data for which this database has no table.
    pub fn missing_tables(&self) -> &[&'static str] {
        &self.missing
    }
}

fn select_users(users: &Table<'_>) -> Result<String> {
    Ok(format!(
        "SELECT {id}::bigint AS id, {phone}::text AS phone, {password}::text AS password, {name} AS name, \
         {photo} AS photo, {description} AS description, {created} AS created_at, {username} AS username, \
         {email} AS email FROM {table} ORDER BY {id}",
        table = users.name,
        id = users.need(&["id"])?,
        phone = users.need(&["phone", "phone_number"])?,
        password = users.need(&["hashed_password", "password_hash", "password"])?,
        name = users.text(&["name"]),
        photo = users.text(&["photo"]),
        description = users.text(&["description"]),
        created = users.text(&["created_at"]),
        username = users.text(&["username"]),
        email = users.text(&["email"]),
    ))
}

/// Builds the statement for chats. Mango does not store who created a chat: the author of its first message is the
/// best guess.
fn select_chats(chats: &Table<'_>, messages: &Table<'_>, present: &str, pinned: &str) -> Result<String> {
    let id = chats.need(&["id"])?;
    let owner = chats.column(&["owner_id", "created_by", "creator_id"]);
    let owner = owner.map_or("NULL::bigint".to_owned(), |it| format!("c.{it}::bigint"));
    Ok(format!(
        "SELECT c.{id}::bigint AS id, {name} AS name, COALESCE(c.{is_group}, false) AS is_group, \
         {created} AS created_at, {description} AS description, {owner} AS owner, m.users AS members, \
         p.users AS pins, f.author::bigint AS first_author FROM {table} c \
         LEFT JOIN ({present}) m ON m.chat = c.{id} LEFT JOIN ({pinned}) p ON p.chat = c.{id} \
         LEFT JOIN (SELECT x.{chat} AS chat, x.{author} AS author FROM {messages} x \
         JOIN (SELECT min({message}) AS first FROM {messages} GROUP BY {chat}) y ON y.first = x.{message}) f \
         ON f.chat = c.{id} ORDER BY c.{id}",
        table = chats.name,
        name = chats.text_of("c", &["name"]),
        is_group = chats.need(&["is_group"])?,
        created = chats.text_of("c", &["created_at"]),
        description = chats.text_of("c", &["description"]),
        messages = messages.name,
        message = messages.need(&["id"])?,
        chat = messages.need(&["chat_id"])?,
        author = messages.need(&["user_id", "sender_id", "author_id"])?,
    ))
}

fn select_messages(messages: &Table<'_>, types: Option<&Table<'_>>, liked: &str) -> Result<String> {
    let id = messages.need(&["id"])?;
    let kind = messages.column(&["message_type", "message_type_id", "type"]);
    let (named, join) = match (&kind, types) {
        (Some(kind), _) if messages.is_text(kind) => (format!("m.{kind}::text"), String::new()),
        (Some(kind), Some(types)) => (
            format!("t.{}::text", types.need(&["name"])?),
            format!("LEFT JOIN {} t ON t.{} = m.{kind}", types.name, types.need(&["id"])?),
        ),
        (Some(kind), None) => (format!("m.{kind}::text"), String::new()),
        (None, _) => ("'text'".to_owned(), String::new()),
    };
    let created = messages.column(&["created_at"]);
    // Text is compared byte by byte, so that the source's locale does not affect the order.
    let order = created.as_ref().map_or(String::new(), |it| {
        let bytes = if messages.is_text(it) { " COLLATE \"C\"" } else { "" };
        format!("m.{it}{bytes} NULLS FIRST, ")
    });
    Ok(format!(
        "SELECT m.{id}::bigint AS id, m.{chat}::bigint AS chat, m.{author}::bigint AS author, \
         {named} AS kind, m.{content}::text AS content, {created} AS created_at, l.users AS likes \
         FROM {table} m {join} LEFT JOIN ({liked}) l ON l.message = m.{id} ORDER BY {order}m.{id}",
        table = messages.name,
        chat = messages.need(&["chat_id"])?,
        author = messages.need(&["user_id", "sender_id", "author_id"])?,
        content = messages.need(&["content"])?,
        created = messages.text_of("m", &["created_at"]),
    ))
}

fn find<'a>(catalogue: &'a Catalogue, names: &[&str]) -> Option<Table<'a>> {
    names.iter().find_map(|name| {
        let columns = catalogue.get(*name)?;
        Some(Table { name: quoted(name), columns })
    })
}

fn need<'a>(catalogue: &'a Catalogue, names: &[&str]) -> Result<Table<'a>> {
    find(catalogue, names).ok_or_else(|| {
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
        no_mango(&format!("it has no table {}", names.join(" or ")))
    })
}

fn no_mango(problem: &str) -> Error {
    Error::Invalid(format!("this is not a Mango database: {problem}"))
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

impl Table<'_> {
    fn column(&self, names: &[&str]) -> Option<String> {
        names.iter().find(|name| self.columns.contains_key(**name)).map(|name| quoted(name))
    }

    fn need(&self, names: &[&str]) -> Result<String> {
        self.column(names).ok_or_else(|| {
            let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
            let table = self.name.replace('"', "`");
            no_mango(&format!("its table {table} has no column {}", names.join(" or ")))
        })
    }

    /// Returns the expression for an optional column, as text.
    fn text(&self, names: &[&str]) -> String {
        self.column(names).map_or("NULL::text".to_owned(), |it| format!("{it}::text"))
    }

    fn text_of(&self, alias: &str, names: &[&str]) -> String {
        self.column(names).map_or("NULL::text".to_owned(), |it| format!("{alias}.{it}::text"))
    }

    fn is_text(&self, column: &str) -> bool {
        let kind = self.columns.get(column.trim_matches('"')).map(String::as_str);
        matches!(kind, Some("text" | "character varying" | "character"))
    }
}
