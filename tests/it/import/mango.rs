//! A Mango database to import from, and comparisons of the imported data.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use mango_chat::domain::AppContext;
use mango_chat::domain::import::report::Report;
use mango_chat::domain::import::{self, Options};
use mango_chat::error::Result;
use mango_chat::platform::progress::Progress;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement};
use serde_json::{Value, json};

/// Mango's tables.
pub const SCHEMA: &str = include_str!("../../../bench/mango_schema.sql");

/// Fills the tables; `SET` statements before it define the numbers of rows.
pub const GENERATED: &str = include_str!("../../../bench/mango_source.sql");

/// passlib's `pbkdf2_sha256.hash("mango salad")`, as Mango stores passwords.
pub const SALAD: &str =
    "$pbkdf2-sha256$29000$MDEyMzQ1Njc4OWFiY2RlZg$QyrhjO.vckJBYsEx8fCojgl76exb4b7xSLFZWStlieM";

/// Django's hash of the same password.
pub const DJANGO_SALAD: &str = "pbkdf2_sha256$1000$seasalt$QwfbI3Ys+dgF4pzWrxJwpixSXUFO+eQCNztJBClIjHI=";

/// bcrypt's hash of the same password.
pub const BCRYPT_SALAD: &str = "$2b$04$abcdefghijklmnopqrstuuZPBl7KurXUR3rASMqtUnACaMYOarB0m";

/// A PostgreSQL database of a Mango server.
pub struct Mango {
    pub url: String,
    pub db: DatabaseConnection,
}

impl Mango {
    /// Creates an empty database; `None` if there is no PostgreSQL for it (`scripts/test --fast`).
    pub async fn empty() -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let variable = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
        let Some(base) = variable("TEST_DATABASE_URL_PG") else {
            let why = "continuous integration imports from PostgreSQL: TEST_DATABASE_URL_PG is missing";
            assert!(variable("CI").is_none(), "{why}");
            return None;
        };
        let name = format!("mango_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let server = Database::connect(&base).await.expect("PostgreSQL answers");
        server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a fresh database");
        server.close().await.expect("closed");
        let (front, _) = base.rsplit_once('/').expect("the URL names a database");
        let url = format!("{front}/{name}");
        let db = Database::connect(&url).await.expect("connects");
        Some(Self { url, db })
    }

    /// Creates a database with Mango's tables and runs these statements in it.
    pub async fn with(fill: &str) -> Option<Self> {
        let mango = Self::empty().await?;
        mango.run(SCHEMA).await;
        mango.run(fill).await;
        Some(mango)
    }

    /// Creates a database with this many generated rows.
    pub async fn generated(users: usize, chats: usize, messages: usize) -> Option<Self> {
        let numbers = format!(
            "SET mango.users = {users}; SET mango.chats = {chats}; SET mango.messages = {messages}; {GENERATED}"
        );
        Self::with(&numbers).await
    }

    /// Runs statements.
    pub async fn run(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// Returns the default options of an import.
    pub fn options(&self) -> Options {
        Options {
            from: self.url.clone(),
            photos: None,
            dry_run: false,
            batch: 1_000,
            name: "mango".into(),
            report: None,
        }
    }

    /// Imports it.
    pub async fn import(&self, context: &AppContext) -> Report {
        import::run(context, &self.options(), &Progress::Silent).await.expect("the import goes through")
    }
}

/// Imports with other options.
pub async fn import_with(context: &AppContext, options: Options) -> Result<Report> {
    import::run(context, &options, &Progress::Silent).await
}

/// Returns the rows of a statement, each as an object.
pub async fn rows(db: &impl ConnectionTrait, sql: &str) -> Vec<Value> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let found = db.query_all_raw(statement).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    let object =
        |row: &QueryResult| row.column_names().iter().map(|it| (it.clone(), value(row, it))).collect();
    found.iter().map(object).map(Value::Object).collect()
}

/// Reads a value of any type; the two databases report different types for expressions.
fn value(row: &QueryResult, column: &str) -> Value {
    let number = row.try_get::<Option<i64>>("", column).map(|it| json!(it));
    let number = number.or_else(|_| row.try_get::<Option<i32>>("", column).map(|it| json!(it)));
    let number = number.or_else(|_| row.try_get::<Option<i16>>("", column).map(|it| json!(it)));
    let other = number.or_else(|_| row.try_get::<Option<bool>>("", column).map(|it| json!(it)));
    let other = other.or_else(|_| row.try_get::<Option<String>>("", column).map(|it| json!(it)));
    other.unwrap_or_else(|error| panic!("{column}: {error}"))
}

/// Returns the rows of every table that an import writes.
pub async fn dump(db: &impl ConnectionTrait) -> BTreeMap<&'static str, Vec<Value>> {
    let mut tables = BTreeMap::new();
    for (table, order) in [
        ("users", "id"),
        ("chats", "id"),
        ("members", "chat_id, user_id"),
        ("messages", "id"),
        ("likes", "message_id, user_id"),
        ("imports", "source, kind, old_id"),
    ] {
        tables.insert(table, rows(db, &format!("SELECT * FROM {table} ORDER BY {order}")).await);
    }
    tables
}

/// Returns all imported data, identified by its ids in Mango. Two imports of one Mango have the same result here,
/// whatever ids they assigned and however often they were interrupted.
pub async fn by_old_ids(db: &impl ConnectionTrait) -> BTreeMap<&'static str, Vec<Value>> {
    let of = |kind: &str, alias: &str, column: &str| {
        format!("JOIN imports {alias} ON {alias}.kind = '{kind}' AND {alias}.new_id = {column}")
    };
    // If several chats became one, the first represents all.
    let chat = |column: &str| {
        format!("(SELECT MIN(c.old_id) FROM imports c WHERE c.kind = 'chat' AND c.new_id = {column})")
    };
    let mut found = BTreeMap::new();
    let sql = format!(
        "SELECT i.old_id, u.username, u.phone, u.email, u.name, u.name_key, u.description, u.role, \
         u.password_hash, u.created_at FROM users u {} ORDER BY i.old_id",
        of("user", "i", "u.id")
    );
    found.insert("users", rows(db, &sql).await);
    let sql = format!(
        "SELECT {} AS old, h.is_group, h.name, o.old_id AS owner, h.approved, h.visible, h.rev, h.meta_rev, \
         h.last_seq, h.member_count, h.last_activity_at, h.created_at FROM chats h {} ORDER BY old",
        chat("h.id"),
        of("user", "o", "h.owner_id")
    );
    found.insert("chats", rows(db, &sql).await);
    let sql = format!(
        "SELECT {} AS old, i.old_id, m.role, m.joined_at, m.rev, m.last_read_seq, m.pinned_at, m.left_at, \
         m.left_reason FROM members m {} ORDER BY old, i.old_id",
        chat("m.chat_id"),
        of("user", "i", "m.user_id")
    );
    found.insert("members", rows(db, &sql).await);
    let sql = format!(
        "SELECT i.old_id, {} AS old, u.old_id AS author, m.seq, m.rev, m.message_type, m.content, m.likes, \
         m.created_at FROM messages m {} {} ORDER BY i.old_id",
        chat("m.chat_id"),
        of("message", "i", "m.id"),
        of("user", "u", "m.user_id")
    );
    found.insert("messages", rows(db, &sql).await);
    let sql = format!(
        "SELECT i.old_id, u.old_id AS liker, l.created_at FROM likes l {} {} ORDER BY i.old_id, u.old_id",
        of("message", "i", "l.message_id"),
        of("user", "u", "l.user_id")
    );
    found.insert("likes", rows(db, &sql).await);
    let noted = "SELECT kind, COUNT(*) AS number FROM imports GROUP BY kind ORDER BY kind";
    found.insert("imports", rows(db, noted).await);
    found
}

/// Checks invariants that hold in every database, however it was filled.
pub async fn expect_sound(db: &impl ConnectionTrait) {
    for (what, sql) in [
        (
            "a chat's end is its newest message",
            "SELECT h.id FROM chats h WHERE h.last_seq <> COALESCE((SELECT MAX(m.seq) FROM messages m WHERE m.chat_id = h.id), 0)",
        ),
        (
            "nothing is above a chat's counter",
            "SELECT h.id FROM chats h WHERE h.rev < h.last_seq OR h.rev < h.meta_rev OR h.rev < (SELECT MAX(m.rev) FROM messages m WHERE m.chat_id = h.id) OR h.rev < (SELECT MAX(m.rev) FROM members m WHERE m.chat_id = h.id)",
        ),
        (
            "members are counted",
            "SELECT h.id FROM chats h WHERE h.member_count <> (SELECT COUNT(*) FROM members m WHERE m.chat_id = h.id AND m.left_at IS NULL)",
        ),
        (
            "likes are counted",
            "SELECT m.id FROM messages m WHERE m.likes <> (SELECT COUNT(*) FROM likes l WHERE l.message_id = m.id)",
        ),
        (
            "an author is or was a member",
            "SELECT m.id FROM messages m WHERE NOT EXISTS (SELECT 1 FROM members x WHERE x.chat_id = m.chat_id AND x.user_id = m.user_id)",
        ),
        (
            "a direct chat has two members and a key",
            "SELECT h.id FROM chats h WHERE NOT h.is_group AND (h.member_count <> 2 OR h.direct_key IS NULL)",
        ),
        (
            "a group has one owner",
            "SELECT h.id FROM chats h WHERE h.is_group AND h.deleted_at IS NULL AND 1 <> (SELECT COUNT(*) FROM members m WHERE m.chat_id = h.id AND m.role = 'owner' AND m.user_id = h.owner_id AND m.left_at IS NULL)",
        ),
        (
            "own state is below one's own counter",
            "SELECT m.chat_id FROM members m JOIN users u ON u.id = m.user_id WHERE m.user_rev > u.user_rev",
        ),
        (
            "no mark is beyond its chat",
            "SELECT m.chat_id FROM members m JOIN chats h ON h.id = m.chat_id WHERE m.last_read_seq > h.last_seq",
        ),
        (
            "every note leads somewhere",
            "SELECT i.old_id FROM imports i WHERE (i.kind IN ('user', 'photo') AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = i.new_id)) OR (i.kind = 'chat' AND NOT EXISTS (SELECT 1 FROM chats u WHERE u.id = i.new_id)) OR (i.kind = 'message' AND NOT EXISTS (SELECT 1 FROM messages u WHERE u.id = i.new_id))",
        ),
    ] {
        assert_eq!(rows(db, sql).await, Vec::<Value>::new(), "{what}");
    }
}
