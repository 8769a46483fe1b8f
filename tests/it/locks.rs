//! Rows that another transaction locks, and rows on which a statement fails: other chats do not wait, and no message is
//! lost, duplicated or reordered.
//!
//! SQLite has one lock for everything. The effect of a lock on one row can only be tested on PostgreSQL.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Person, Socket, TestApp, Transport, fresh_database};

/// The longest wait of a request that is not blocked.
const SOON: Duration = Duration::from_millis(1_500);

/// A server, and a separate connection to its database.
struct Outside {
    app: TestApp,
    db: DatabaseConnection,
}

impl Outside {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = fresh_database(&folder).await;
        let app = TestApp::on(folder, &url, &[]).await;
        let db = Database::connect(&url).await.expect("connects");
        Self { app, db }
    }

    fn is_postgres(&self) -> bool {
        self.db.get_database_backend() == DbBackend::Postgres
    }

    /// Locks a row (on SQLite the whole database) until the returned transaction is dropped or rolled back.
    #[expect(clippy::disallowed_methods, reason = "this is somebody else's transaction")]
    async fn hold(&self, table: &str, id: i64) -> DatabaseTransaction {
        let options = TransactionOptions {
            sqlite_transaction_mode: (!self.is_postgres()).then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let tx = self.db.begin_with_options(options).await.expect("begins");
        if self.is_postgres() {
            let sql = format!("SELECT id FROM {table} WHERE id = {id} FOR UPDATE");
            tx.execute_unprepared(&sql).await.expect("locked");
        }
        tx
    }

    async fn run(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.expect("done");
    }

    async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let row = self.db.query_one_raw(statement).await.expect("read").expect("a row");
        row.try_get_by_index(0).expect("a number")
    }
}

fn message(chat: i64, content: &str) -> Value {
    json!({"message": {"chat_id": chat, "content": content, "message_type": "text", "client_id": content}})
}

async fn feed(socket: &mut Socket, chat: i64, contents: &[&str]) -> Vec<u64> {
    let mut acks = Vec::new();
    for content in contents {
        acks.push(socket.feed("send_message", message(chat, content)).await);
    }
    socket.flush().await;
    acks
}

/// Waits for acks in the order of the requests, checks that all say `ok`, and returns their `rev`s.
async fn stored(socket: &mut Socket, acks: Vec<u64>) -> Vec<i64> {
    let mut revs = Vec::new();
    for ack in acks {
        let ack = socket.ack(ack).await;
        assert_eq!((&ack["ok"], &ack["duplicate"]), (&json!(true), &json!(false)), "{ack}");
        revs.push(ack["rev"].as_i64().expect("a rev"));
    }
    revs
}

async fn stored_soon(socket: &mut Socket, acks: Vec<u64>) -> Vec<i64> {
    timeout(SOON, stored(socket, acks)).await.expect("nobody waits for another chat's row")
}

#[harness::test]
async fn a_chat_whose_row_is_locked_keeps_no_other_chat_waiting() {
    let outside = Outside::start().await;
    if !outside.is_postgres() {
        return;
    }
    let app = &outside.app;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let (locked, open) = (app.group(&mut owner, &[&bob]).await, app.group(&mut owner, &[&bob]).await);
    let (mut sender, mut other) =
        (app.connect(&bob, Transport::MAIN).await, app.connect(&alice, Transport::ALL[3]).await);
    let lock = outside.hold("chats", locked).await;
    let early = feed(&mut sender, locked, &["1", "2"]).await;
    let beside = feed(&mut sender, open, &["a", "b"]).await;
    assert_eq!(stored_soon(&mut sender, beside).await, [2, 3]);
    let others = feed(&mut other, open, &["c"]).await;
    assert_eq!(stored_soon(&mut other, others).await, [4]);
    let late = feed(&mut sender, locked, &["3", "4"]).await;
    let again = feed(&mut sender, open, &["d"]).await;
    assert_eq!(stored_soon(&mut sender, again).await, [5]);
    assert_eq!(app.contents(locked, &alice).await, [""; 0]);
    lock.rollback().await.expect("released");
    let all = early.into_iter().chain(late).collect();
    assert_eq!(stored_soon(&mut sender, all).await, [2, 3, 4, 5]);
    let told = owner.rest().await;
    let told: Vec<&Value> =
        told.iter().filter(|(_, it)| it["chat"] == json!(locked)).map(|(_, it)| &it["content"]).collect();
    assert_eq!(told[told.len() - 4..], [&json!("1"), &json!("2"), &json!("3"), &json!("4")]);
    assert_eq!(app.contents(locked, &alice).await, ["1", "2", "3", "4"]);
    // From here on the chat uses the normal path again.
    let usual = feed(&mut sender, locked, &["5"]).await;
    assert_eq!(stored_soon(&mut sender, usual).await, [6]);
}

#[harness::test]
async fn more_locked_chats_than_are_waited_for_at_a_time_are_all_stored_when_they_are_free() {
    let outside = Outside::start().await;
    if !outside.is_postgres() {
        return;
    }
    let app = &outside.app;
    let alice = app.person("alice").await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let mut chats = Vec::new();
    for _ in 0..12 {
        chats.push(app.group(&mut owner, &[]).await);
    }
    let lock = outside.hold("chats", chats[0]).await;
    lock.execute_unprepared("SELECT id FROM chats FOR UPDATE").await.expect("locked");
    let mut acks = Vec::new();
    for chat in &chats {
        acks.extend(feed(&mut owner, *chat, &[&format!("{chat}-1"), &format!("{chat}-2")]).await);
    }
    sleep(Duration::from_millis(600)).await;
    lock.rollback().await.expect("released");
    assert_eq!(stored_soon(&mut owner, acks).await, [2, 3].repeat(12));
}

#[harness::test]
async fn a_sender_whose_row_is_locked_keeps_nobody_else_waiting() {
    let outside = Outside::start().await;
    if !outside.is_postgres() {
        return;
    }
    let app = &outside.app;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let (shared, open) = (app.group(&mut owner, &[&bob]).await, app.group(&mut owner, &[]).await);
    let mut sender = app.connect(&bob, Transport::MAIN).await;
    let lock = outside.hold("users", bob.id).await;
    let stuck = feed(&mut sender, shared, &["1", "2", "3"]).await;
    let free = feed(&mut owner, open, &["a"]).await;
    stored_soon(&mut owner, free).await;
    let beside = feed(&mut owner, shared, &["b"]).await;
    stored_soon(&mut owner, beside).await;
    lock.rollback().await.expect("released");
    assert_eq!(stored_soon(&mut sender, stuck).await, [3, 4, 5]);
    assert_eq!(app.contents(shared, &alice).await, ["b", "1", "2", "3"]);
}

#[harness::test]
async fn a_message_that_a_lock_kept_too_long_is_unavailable_and_not_stored_later() {
    let outside = Outside::start().await;
    let app = &outside.app;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let lock = outside.hold("chats", chat).await;
    let began = Instant::now();
    let acks = feed(&mut owner, chat, &["one", "two"]).await;
    for ack in acks {
        let ack = owner.ack(ack).await;
        assert_eq!(ack["error"]["code"], json!("unavailable"), "{ack}");
    }
    let took = began.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(11), "{took:?}");
    lock.rollback().await.expect("released");
    sleep(Duration::from_millis(300)).await;
    assert_eq!(app.contents(chat, &bob).await, [""; 0]);
    let again = feed(&mut owner, chat, &["two", "one"]).await;
    assert_eq!(stored_soon(&mut owner, again).await, [2, 3]);
    assert_eq!(app.contents(chat, &bob).await, ["two", "one"]);
}

#[harness::test]
async fn many_who_wait_for_one_chat_leave_connections_to_the_others() {
    let outside = Outside::start().await;
    if !outside.is_postgres() {
        return;
    }
    let app = &outside.app;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let (locked, open) = (app.group(&mut owner, &[&bob]).await, app.group(&mut owner, &[&bob]).await);
    let told = owner.call("send_message", message(locked, "like me")).await;
    let like = json!({"message": {"id": told["message"]["id"], "liked": true}});
    let mut crowd: Vec<Socket> = Vec::new();
    for index in 0..24 {
        crowd.push(app.connect([&alice, &bob][index % 2], Transport::ALL[index % 4]).await);
    }
    let lock = outside.hold("chats", locked).await;
    let mut acks = Vec::new();
    for socket in &mut crowd {
        acks.push(socket.begin("toggle_like_message", like.clone()).await);
    }
    app.somebody_waits().await;
    sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    let sent = feed(&mut owner, open, &["a"]).await;
    stored_soon(&mut owner, sent).await;
    let renamed = owner.call("update_chat", json!({"chat": {"id": open, "name": "free"}})).await;
    assert_eq!(renamed["ok"], json!(true), "{renamed}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    lock.rollback().await.expect("released");
    for (socket, ack) in crowd.iter_mut().zip(acks) {
        let ack = socket.ack(ack).await;
        assert_eq!((&ack["ok"], &ack["liked"]), (&json!(true), &json!(true)), "{ack}");
    }
    let page = app.get(&format!("/chat/{locked}/messages"), &alice).await;
    assert_eq!(page[0]["likes"], json!(2));
}

#[harness::test]
async fn one_message_that_a_statement_fails_on_costs_the_others_few_transactions() {
    let outside = Outside::start().await;
    let app = &outside.app;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    if outside.is_postgres() {
        // A sequence keeps its value after a rollback.
        outside
            .run(
                "CREATE SEQUENCE tries;
                 CREATE FUNCTION count_try() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN PERFORM nextval('tries'); RETURN NULL; END $$;
                 CREATE TRIGGER tries BEFORE INSERT ON messages
                   FOR EACH STATEMENT EXECUTE FUNCTION count_try();
                 CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN IF NEW.content = 'poison' THEN RAISE 'no'; END IF; RETURN NEW; END $$;
                 CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION refuse();",
            )
            .await;
    } else {
        outside
            .run(
                "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.content = 'poison'
                 BEGIN SELECT RAISE(ABORT, 'no'); END;",
            )
            .await;
    }
    let mut senders: Vec<Socket> = Vec::new();
    for _ in 0..4 {
        senders.push(app.connect(&bob, Transport::MAIN).await);
    }
    // The messages queue up while the row is locked.
    let lock = outside.hold("chats", chat).await;
    let mut acks = Vec::new();
    for (sender, socket) in senders.iter_mut().enumerate() {
        let contents: Vec<String> = (0..60)
            .map(
                |number| {
                    if (sender, number) == (2, 33) { "poison".into() } else { format!("{sender}-{number}") }
                },
            )
            .collect();
        let contents: Vec<&str> = contents.iter().map(String::as_str).collect();
        acks.push(feed(socket, chat, &contents).await);
    }
    sleep(Duration::from_millis(500)).await;
    let tries =
        async || if outside.is_postgres() { outside.number("SELECT last_value FROM tries").await } else { 0 };
    let before = tries().await;
    lock.rollback().await.expect("released");
    for (sender, (socket, acks)) in senders.iter_mut().zip(acks).enumerate() {
        let mut last = 0;
        for (number, ack) in acks.into_iter().enumerate() {
            let ack = socket.ack(ack).await;
            if (sender, number) == (2, 33) {
                assert_eq!(ack["error"]["code"], json!("internal"), "{ack}");
                continue;
            }
            let rev = ack["rev"].as_i64().unwrap_or_else(|| panic!("stored: {ack}"));
            assert!(rev > last, "in order");
            last = rev;
        }
    }
    let contents = app.contents(chat, &alice).await;
    assert_eq!(contents.len(), 239);
    for sender in 0..4 {
        let own: Vec<i64> =
            contents.iter().filter_map(|it| it.strip_prefix(&format!("{sender}-"))?.parse().ok()).collect();
        assert!(own.is_sorted() && own.len() >= 59, "{own:?}");
    }
    // 240 messages: eight halvings that fail and as many that succeed, and the messages that arrived before the rest
    // queued up.
    let tries = tries().await - before;
    assert!(tries <= 24, "{tries} transactions");
}

#[harness::test]
async fn what_is_sent_while_a_chat_is_locked_and_unlocked_at_random_is_stored_once_and_in_order() {
    let outside = Outside::start().await;
    let app = &outside.app;
    let (alice, bob, carol) = app.three().await;
    let people: [&Person; 3] = [&alice, &bob, &carol];
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let mut chats = Vec::new();
    for _ in 0..3 {
        chats.push(app.group(&mut owner, &[&bob, &carol]).await);
    }
    let mut listener = app.connect(&carol, Transport::ALL[3]).await;
    let mut senders: Vec<Socket> = Vec::new();
    for index in 0..6 {
        senders.push(app.connect(people[index % 3], Transport::ALL[index % 4]).await);
    }
    let sending = join_all(senders.iter_mut().enumerate().map(async |(index, socket)| {
        let mut last: HashMap<i64, i64> = HashMap::new();
        for round in 0..12 {
            let mut acks = Vec::new();
            for number in 0..10 {
                let chat = chats[number % 3];
                let content = format!("{index}-{}", round * 10 + number);
                acks.push((chat, socket.feed("send_message", message(chat, &content)).await));
            }
            socket.flush().await;
            for (chat, ack) in acks {
                let rev = stored(socket, vec![ack]).await[0];
                let before = last.insert(chat, rev).unwrap_or(0);
                assert!(rev > before, "{rev} after {before}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }));
    let locking = async {
        for number in 0..40_u64 {
            let lock = outside.hold("chats", chats[usize::from(number % 3 == 0)]).await;
            sleep(Duration::from_millis(number * 7 % 31)).await;
            lock.rollback().await.expect("released");
            sleep(Duration::from_millis(number * 5 % 11)).await;
        }
    };
    tokio::join!(sending, locking);
    let mut last = HashMap::new();
    for _ in 0..720 {
        let event = listener.next("new_message").await;
        let before = last.insert(event["chat"].as_i64().expect("a chat"), event["rev"].clone());
        assert_eq!(event["prev"], before.unwrap_or_else(|| json!(1)), "no hole, no repetition");
    }
    for chat in &chats {
        let contents = app.contents(*chat, &bob).await;
        for index in 0..6 {
            let prefix = format!("{index}-");
            let own: Vec<i64> =
                contents.iter().filter_map(|it| it.strip_prefix(&prefix)?.parse().ok()).collect();
            assert!(own.is_sorted_by(|one, next| one < next), "{own:?}");
        }
    }
    let all = join_all(chats.iter().map(|chat| app.contents(*chat, &bob))).await;
    assert_eq!(all.iter().map(Vec::len).sum::<usize>(), 720);
}

#[harness::test]
async fn deleting_a_group_takes_one_statement_for_all_of_its_members() {
    let outside = Outside::start().await;
    let app = &outside.app;
    let (alice, bob, carol) = app.three().await;
    let dave = app.person("dave").await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob, &carol, &dave]).await;
    let gone = json!({"chat": {"id": chat}, "user": {"id": dave.id}});
    assert_eq!(owner.call("remove_member", gone).await["ok"], json!(true));
    let of_dave = format!("SELECT user_rev FROM members WHERE chat_id = {chat} AND user_id = {}", dave.id);
    let before = outside.number(&of_dave).await;
    if outside.is_postgres() {
        outside
            .run(
                "CREATE SEQUENCE updates;
                 CREATE FUNCTION count_update() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN PERFORM nextval('updates'); RETURN NULL; END $$;
                 CREATE TRIGGER updates AFTER UPDATE ON members
                   FOR EACH STATEMENT EXECUTE FUNCTION count_update();",
            )
            .await;
    }
    let done = owner.call("delete_chat", json!({"chat": {"id": chat}})).await;
    assert_eq!(done["ok"], json!(true), "{done}");
    if outside.is_postgres() {
        assert_eq!(outside.number("SELECT last_value FROM updates").await, 1, "statements");
    }
    let ended = format!(
        "SELECT count(*) FROM members m JOIN users u ON u.id = m.user_id WHERE m.chat_id = {chat}
         AND m.left_reason = 'deleted' AND m.left_at IS NOT NULL AND m.user_rev = u.user_rev AND m.user_rev > 1
         AND m.rev = (SELECT rev FROM chats WHERE id = {chat})"
    );
    assert_eq!(
        outside.number(&ended).await,
        3,
        "those who were in it, each at their own counter's new value"
    );
    assert_eq!(outside.number(&of_dave).await, before, "who had left before is not touched");
}

#[harness::test]
async fn a_chat_whose_row_is_never_free_for_long_still_takes_messages() {
    let outside = Outside::start().await;
    let app = &outside.app;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let told = owner.call("send_message", message(chat, "like me")).await;
    let like = json!({"message": {"id": told["message"]["id"]}});
    let mut crowd: Vec<Socket> = Vec::new();
    for index in 0..16 {
        crowd.push(app.connect(&bob, Transport::ALL[index % 4]).await);
    }
    let over = AtomicBool::new(false);
    let liking = join_all(crowd.iter_mut().map(async |socket| {
        while !over.load(Ordering::Relaxed) {
            let ack = socket.call("toggle_like_message", like.clone()).await;
            assert_eq!(ack["ok"], json!(true), "{ack}");
        }
    }));
    let sending = async {
        let mut longest = Duration::ZERO;
        for number in 0..30 {
            let began = Instant::now();
            let acks = feed(&mut owner, chat, &[&number.to_string()]).await;
            stored(&mut owner, acks).await;
            longest = longest.max(began.elapsed());
        }
        over.store(true, Ordering::Relaxed);
        longest
    };
    let (_, longest) = tokio::join!(liking, sending);
    println!("longest wait: {longest:?}");
    assert!(longest < Duration::from_secs(3), "{longest:?}");
}
