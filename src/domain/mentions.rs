//! Mentions: which members a text names as `@username`, or all of them as `@all`. They are resolved when the text is stored
//! and kept as ids, so renaming a user does not break them.

use std::collections::{BTreeSet, HashMap, HashSet};

use entity::{contact, member, mention, message, user};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QuerySelect};

use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::protocol::members::ChatRole;
use crate::protocol::message_type::MessageType;

/// Names of one message that are looked up.
const MAX_NAMES: usize = 100;

/// The name that stands for all members.
const ALL: &str = "all";

/// The names in a text, before it is known whether they belong to members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Usernames in lower case.
    users: BTreeSet<String>,
    /// Whether `@all` is among them.
    all: bool,
}

impl Names {
    /// Finds the names in content that is shown as text.
    pub fn of(content: &str, message_type: MessageType) -> Self {
        let is_text = matches!(message_type.name(), "text" | "markdown");
        if is_text && content.contains('@') { Self::find(content) } else { Self::default() }
    }

    /// A name begins after `@`, which must not follow a letter, a digit or another `@`, as in an e-mail address.
    fn find(content: &str) -> Self {
        let is_part = |sign: char| sign.is_alphanumeric() || sign == '_';
        let mut names = Self::default();
        for (at, _) in content.match_indices('@') {
            let before = content[..at].chars().next_back();
            if before.is_some_and(|sign| is_part(sign) || sign == '@') {
                continue;
            }
            let rest = &content[at + 1..];
            let name = &rest[..rest.find(|sign| !is_part(sign)).unwrap_or(rest.len())];
            if !name.is_ascii() || !(3..=32).contains(&name.len()) {
                continue;
            }
            if name.eq_ignore_ascii_case(ALL) {
                names.all = true;
            } else if names.users.len() < MAX_NAMES {
                names.users.insert(name.to_ascii_lowercase());
            }
        }
        names
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && !self.all
    }
}

/// The members whom a message mentions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Members who are mentioned by name, in ascending order.
    pub users: Vec<UserId>,
    /// Whether all members are mentioned.
    pub all: bool,
}

impl Mentions {
    /// Reads the mentions of a stored message.
    pub fn of_row(row: &message::Model) -> Self {
        let mut mentions = Self::default();
        for part in row.mentions.iter().flat_map(|text| text.split(',')) {
            match part.parse() {
                Ok(id) => mentions.users.push(UserId(id)),
                Err(_) => mentions.all |= part == "*",
            }
        }
        mentions
    }

    /// Returns the value of the message's column.
    pub fn to_column(&self) -> Option<String> {
        let ids = self.users.iter().map(|id| id.0.to_string());
        let parts: Vec<String> = self.all.then(|| "*".to_owned()).into_iter().chain(ids).collect();
        (!parts.is_empty()).then(|| parts.join(","))
    }

    /// Whether a message of this author mentions the user.
    pub fn concern(&self, user: UserId, author: UserId) -> bool {
        user != author && (self.all || self.users.contains(&user))
    }

    /// Returns the rows for the number of unread mentions.
    pub fn rows(&self, chat_id: i64, seq: i64, message_id: i64, author_id: i64) -> Vec<mention::Model> {
        let row = |user_id| mention::Model { user_id, chat_id, seq, message_id, author_id };
        // A mention of all members includes those by name: it must not count twice.
        if self.all {
            return vec![row(mention::ALL_MEMBERS)];
        }
        self.users.iter().map(|id| row(id.0)).collect()
    }
}

/// A text whose names are to be resolved.
pub struct Naming<'a> {
    /// The chat.
    pub chat_id: ChatId,
    /// The author.
    pub author: UserId,
    /// The names.
    pub names: &'a Names,
}

/// What names of texts are resolved by.
#[derive(Default)]
pub struct Resolver {
    members: HashMap<(i64, String), i64>,
    /// Users who block an author.
    blocks: HashSet<(i64, i64)>,
    /// Owners and admins of groups, who may mention all members.
    managers: HashSet<(i64, i64)>,
}

impl Resolver {
    /// Reads the members with these names, and who of them blocks an author.
    pub async fn read(conn: &impl ConnectionTrait, texts: &[Naming<'_>]) -> Result<Self> {
        let mut resolver = Self::default();
        let texts: Vec<&Naming<'_>> = texts.iter().filter(|text| !text.names.is_empty()).collect();
        if texts.is_empty() {
            return Ok(resolver);
        }
        let chats: BTreeSet<i64> = texts.iter().map(|text| text.chat_id.0).collect();
        let authors: BTreeSet<i64> = texts.iter().map(|text| text.author.0).collect();
        let names: BTreeSet<&String> = texts.iter().flat_map(|text| &text.names.users).collect();
        let of_chats =
            || member::Entity::present().filter(member::Column::ChatId.is_in(chats.iter().copied()));
        if !names.is_empty() {
            let of_user =
                member::Entity::belongs_to(user::Entity).from(member::Column::UserId).to(user::Column::Id);
            let rows: Vec<(i64, i64, Option<String>)> = of_chats()
                .select_only()
                .columns([member::Column::ChatId, member::Column::UserId])
                .column(user::Column::UsernameKey)
                .join(JoinType::InnerJoin, of_user.into())
                .filter(user::Column::DeletedAt.is_null())
                .filter(user::Column::UsernameKey.is_in(names.into_iter().cloned()))
                .into_tuple()
                .all(conn)
                .await?;
            let users: BTreeSet<i64> = rows.iter().map(|(_, user, _)| *user).collect();
            resolver.members =
                rows.into_iter().filter_map(|(chat, user, name)| Some(((chat, name?), user))).collect();
            let blocks: Vec<(i64, i64)> = contact::Entity::find()
                .select_only()
                .columns([contact::Column::UserId, contact::Column::OtherId])
                .filter(contact::Column::UserId.is_in(users))
                .filter(contact::Column::OtherId.is_in(authors.iter().copied()))
                .filter(contact::Column::BlockedAt.is_not_null())
                .into_tuple()
                .all(conn)
                .await?;
            resolver.blocks.extend(blocks);
        }
        if texts.iter().any(|text| text.names.all) {
            let managers: Vec<(i64, i64)> = of_chats()
                .select_only()
                .columns([member::Column::ChatId, member::Column::UserId])
                .filter(member::Column::UserId.is_in(authors))
                .filter(member::Column::Role.eq(ChatRole::Owner).or(member::Column::Role.eq(ChatRole::Admin)))
                .into_tuple()
                .all(conn)
                .await?;
            resolver.managers.extend(managers);
        }
        Ok(resolver)
    }

    /// Returns whom a text mentions. Names of others than members, of the author, and of users who block the author
    /// mention nobody.
    pub fn resolve(&self, text: &Naming<'_>) -> Mentions {
        let (chat, author) = (text.chat_id.0, text.author.0);
        let found = text.names.users.iter().filter_map(|name| self.members.get(&(chat, name.clone())));
        let users: BTreeSet<UserId> = found
            .copied()
            .filter(|user| *user != author && !self.blocks.contains(&(*user, author)))
            .map(UserId)
            .collect();
        let all = text.names.all && self.managers.contains(&(chat, author));
        Mentions { users: users.into_iter().collect(), all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_a_reader_sees_them() {
        let names = |content: &str| {
            let Names { users, all } = Names::find(content);
            (users.into_iter().collect::<Vec<String>>().join(" "), all)
        };
        for (content, users, all) in [
            ("@alice", "alice", false),
            ("hi @Alice, @bob_2!", "alice bob_2", false),
            ("(@alice)@bob", "alice bob", false),
            ("привет,@alice", "alice", false),
            ("@all and @ALL", "", true),
            ("@allies", "allies", false),
            ("mail a@alice.org", "", false),
            ("@@alice", "", false),
            ("@al", "", false),
            ("@алиса @alicя", "", false),
            ("@alice's @alice", "alice", false),
            ("@", "", false),
        ] {
            assert_eq!(names(content), (users.to_owned(), all), "{content}");
        }
        let many = (0..500).map(|number| format!("@user{number}")).collect::<Vec<String>>().join(" ");
        assert_eq!(Names::find(&many).users.len(), MAX_NAMES);
        let html = MessageType::from_name("html").expect("a type");
        assert!(Names::of("@alice", html).is_empty());
    }

    #[test]
    fn mentions_are_stored_and_read() {
        let row = |mentions: &Mentions| message::Model {
            id: 1,
            chat_id: 2,
            seq: 3,
            rev: 3,
            user_id: 4,
            message_type: 1,
            content: String::new(),
            client_id: None,
            fingerprint: None,
            reply_to: None,
            likes: 0,
            mentions: mentions.to_column(),
            reactions: None,
            forwarded_user_id: None,
            forwarded_at: None,
            attachment_count: 0,
            pinned_at: None,
            edited_at: None,
            deleted_at: None,
            created_at: 0,
        };
        for (users, all) in [(vec![], false), (vec![7], false), (vec![7, 12], true), (vec![], true)] {
            let mentions = Mentions { users: users.into_iter().map(UserId).collect(), all };
            assert_eq!(Mentions::of_row(&row(&mentions)), mentions);
            assert!(!mentions.concern(UserId(4), UserId(4)));
            assert_eq!(mentions.concern(UserId(5), UserId(4)), all);
        }
    }
}
