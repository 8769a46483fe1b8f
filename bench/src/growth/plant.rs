//! Writes users, sessions, chats, members and messages into the database of a stopped server, with the
//! numbers that the server itself would have given them: creating a chat is its change 1, and its messages
//! are the changes after that.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, TransactionTrait};
use time::OffsetDateTime;

use super::site::Site;
use crate::Result;

/// Messages of one statement.
const AT_ONCE: u64 = 100_000;

/// How long the planted sessions are valid, in milliseconds.
const SESSION_MS: i128 = 24 * 3_600 * 1_000;

/// The rows of a database.
pub struct Plan {
    /// Users with ids from 1 on, each with a session of the same id.
    pub users: u64,
    /// Groups with ids from 1 on. The owner is the member with the lowest id.
    pub chats: u64,
    /// Rows of `members`.
    pub memberships: u64,
    /// The chat of membership `i`, counted from 1: an SQL expression.
    pub chat: String,
    /// The user of membership `i`: an SQL expression.
    pub user: String,
    /// Messages of each chat, all read by all members.
    pub messages_per_chat: u64,
}

impl Plan {
    /// Returns the counter of each chat, which is the `seq` of its newest message.
    pub fn last_seq(&self) -> u64 {
        1 + self.messages_per_chat
    }
}

/// Writes all rows.
pub async fn fill(site: &Site, plan: &Plan) -> Result<()> {
    let db = site.connect().await?;
    let result = write(&db, plan).await;
    db.close().await?;
    result?;
    site.sync()
}

#[expect(clippy::disallowed_methods, reason = "the data is planted while no server runs")]
async fn write(db: &DatabaseConnection, plan: &Plan) -> Result<()> {
    let postgres = db.get_database_backend() == DbBackend::Postgres;
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    let transaction = db.begin().await?;
    for statement in statements(plan, now, postgres) {
        transaction.execute_unprepared(&statement).await?;
    }
    transaction.commit().await?;
    // What PostgreSQL does by itself within minutes, and what would otherwise run during the measurements.
    let after: &[&str] = if postgres {
        &["VACUUM ANALYZE users, sessions, chats, members, messages", "CHECKPOINT"]
    } else {
        &["PRAGMA wal_checkpoint(TRUNCATE)"]
    };
    for statement in after {
        db.execute_unprepared(statement).await?;
    }
    Ok(())
}

fn statements(plan: &Plan, now: i128, postgres: bool) -> Vec<String> {
    let numbers = |first: u64, last: u64| {
        if postgres {
            format!("WITH n(i) AS (SELECT generate_series({first}::bigint, {last}::bigint))")
        } else {
            format!("WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})")
        }
    };
    let Plan { users, chats, memberships, chat, user, messages_per_chat } = plan;
    let (last, until) = (plan.last_seq(), now + SESSION_MS);
    let mut statements = vec![
        format!(
            "INSERT INTO users (id, username, username_key, photo, password_hash, created_at, language) {} \
             SELECT i, 'user_' || i, 'user_' || i, 'mango-01', 'none', {now}, 'en' FROM n",
            numbers(1, *users)
        ),
        format!(
            "INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at) {} \
             SELECT i, i, {now}, {now}, {until} FROM n",
            numbers(1, *users)
        ),
        "CREATE TEMPORARY TABLE planned (chat_id bigint, user_id bigint)".to_owned(),
        format!("INSERT INTO planned {} SELECT {chat}, {user} FROM n", numbers(1, *memberships)),
        format!(
            "INSERT INTO chats (id, is_group, name, creator_id, owner_id, approved, visible, rev, meta_rev, \
             last_seq, member_count, last_activity_at, created_at) \
             SELECT chat_id, true, 'chat ' || chat_id, min(user_id), min(user_id), true, true, {last}, 1, \
             {}, count(*), {now} + chat_id, {now} FROM planned GROUP BY chat_id",
            if *messages_per_chat == 0 { 0 } else { last }
        ),
        format!(
            "INSERT INTO members (chat_id, user_id, role, joined_at, rev, last_read_seq) \
             SELECT p.chat_id, p.user_id, \
             CASE WHEN p.user_id = chats.owner_id THEN 'owner' ELSE 'member' END, \
             {now}, 1, chats.last_seq \
             FROM planned AS p JOIN chats ON chats.id = p.chat_id"
        ),
        "DROP TABLE planned".to_owned(),
    ];
    let messages = chats * messages_per_chat;
    for first in (1..=messages).step_by(AT_ONCE as usize) {
        statements.push(format!(
            "INSERT INTO messages (chat_id, seq, rev, user_id, message_type, content, created_at) {} \
             SELECT chats.id, 2 + (i - 1) % {messages_per_chat}, 2 + (i - 1) % {messages_per_chat}, \
             owner_id, 1, 'message ' || i || ', about as long as a usual chat message', {now} \
             FROM n JOIN chats ON chats.id = 1 + (i - 1) / {messages_per_chat} ORDER BY i",
            numbers(first, messages.min(first + AT_ONCE - 1))
        ));
    }
    if postgres {
        // The next row gets the next id. SQLite remembers the highest one by itself.
        for table in ["users", "sessions", "chats"] {
            statements.push(format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
            ));
        }
    }
    statements
}
