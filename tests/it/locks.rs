//! While another transaction locks a row, or an insert fails, sends to other chats are not delayed, and no message is
//! lost, duplicated or reordered.
//!
//! SQLite locks the whole database, so the tests of row locks run on PostgreSQL only.

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

/// How long a request may take that waits for no lock.
const UNBLOCKED_TIMEOUT: Duration = Duration::from_millis(1_500);

/// A server, and a separate connection to its database.
struct Setup {
    app: TestApp,
    db: DatabaseConnection,
}

impl Setup {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = fresh_database(&folder).await;
        let app = TestApp::on(folder, &url, &[]).await;
        let db = Database::connect(&url).await.expect("connects");
        Self { app, db }
    }

    /// Returns `None` if the tests run on SQLite.
    async fn start_on_postgres() -> Option<Self> {
        let setup = Self::start().await;
        setup.is_postgres().then_some(setup)
    }

    fn is_postgres(&self) -> bool {
        self.db.get_database_backend() == DbBackend::Postgres
    }

    /// Returns alice, bob, and a connection of alice.
    async fn alice_and_bob(&self) -> (Person, Person, Socket) {
        let (alice, bob, _) = self.app.three().await;
        let owner = self.app.connect(&alice, Transport::MAIN).await;
        (alice, bob, owner)
    }

    /// Locks a row (on SQLite the whole database) until the returned transaction is dropped or rolled back.
    #[expect(clippy::disallowed_methods, reason = "a transaction outside the server publishes no events")]
    async fn lock_row(&self, table: &str, id: i64) -> DatabaseTransaction {
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

    async fn execute(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.expect("executed");
    }

    async fn query_number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let row = self.db.query_one_raw(statement).await.expect("read").expect("a row");
        row.try_get_by_index(0).expect("a number")
    }
}

fn message(chat: i64, content: &str) -> Value {
    json!({"message": {"chat_id": chat, "content": content, "message_type": "text", "client_id": content}})
}

/// Sends messages without waiting for their acks; returns the ids of the acks.
async fn send_all(socket: &mut Socket, chat: i64, contents: &[&str]) -> Vec<u64> {
    let mut acks = Vec::new();
    for content in contents {
        acks.push(socket.feed("send_message", message(chat, content)).await);
    }
    socket.flush().await;
    acks
}

/// Waits for acks in the order of the requests, checks that every message was stored, and returns the `rev`s.
async fn stored_revs(socket: &mut Socket, acks: Vec<u64>) -> Vec<i64> {
    let mut revs = Vec::new();
    for ack in acks {
        let ack = socket.ack(ack).await;
        assert_eq!((&ack["ok"], &ack["duplicate"]), (&json!(true), &json!(false)), "{ack}");
        revs.push(ack["rev"].as_i64().expect("a rev"));
    }
    revs
}

/// Like `stored_revs`, and checks that the acks arrive without waiting for a lock.
async fn stored_revs_without_delay(socket: &mut Socket, acks: Vec<u64>) -> Vec<i64> {
    timeout(UNBLOCKED_TIMEOUT, stored_revs(socket, acks)).await.expect("no send waits for a lock")
}

#[harness::test]
async fn a_locked_chat_does_not_delay_sends_to_other_chats() {
    let Some(setup) = Setup::start_on_postgres().await else { return };
    let app = &setup.app;
    let (alice, bob, mut owner) = setup.alice_and_bob().await;
    let (locked, open) = (app.group(&mut owner, &[&bob]).await, app.group(&mut owner, &[&bob]).await);
    let (mut sender, mut other) =
        (app.connect(&bob, Transport::MAIN).await, app.connect(&alice, Transport::ALL[3]).await);

    let lock = setup.lock_row("chats", locked).await;
    let locked_first = send_all(&mut sender, locked, &["1", "2"]).await;
    let open_first = send_all(&mut sender, open, &["a", "b"]).await;
    assert_eq!(stored_revs_without_delay(&mut sender, open_first).await, [2, 3]);
    let from_other = send_all(&mut other, open, &["c"]).await;
    assert_eq!(stored_revs_without_delay(&mut other, from_other).await, [4]);
    let locked_second = send_all(&mut sender, locked, &["3", "4"]).await;
    let open_second = send_all(&mut sender, open, &["d"]).await;
    assert_eq!(stored_revs_without_delay(&mut sender, open_second).await, [5]);
    assert_eq!(app.contents(locked, &alice).await, [""; 0]);

    lock.rollback().await.expect("released");
    let locked_acks = locked_first.into_iter().chain(locked_second).collect();
    assert_eq!(stored_revs_without_delay(&mut sender, locked_acks).await, [2, 3, 4, 5]);
    let events = owner.rest().await;
    let received: Vec<&Value> =
        events.iter().filter(|(_, it)| it["chat"] == json!(locked)).map(|(_, it)| &it["content"]).collect();
    assert_eq!(received[received.len() - 4..], [&json!("1"), &json!("2"), &json!("3"), &json!("4")]);
    assert_eq!(app.contents(locked, &alice).await, ["1", "2", "3", "4"]);

    // From here on the chat uses the normal path again.
    let after = send_all(&mut sender, locked, &["5"]).await;
    assert_eq!(stored_revs_without_delay(&mut sender, after).await, [6]);
}

#[harness::test]
async fn sends_to_many_locked_chats_are_all_stored_after_the_locks_are_released() {
    let Some(setup) = Setup::start_on_postgres().await else { return };
    let app = &setup.app;
    let alice = app.person("alice").await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    // More chats than the server waits for at a time.
    let mut chats = Vec::new();
    for _ in 0..12 {
        chats.push(app.group(&mut owner, &[]).await);
    }

    let lock = setup.lock_row("chats", chats[0]).await;
    lock.execute_unprepared("SELECT id FROM chats FOR UPDATE").await.expect("locked");
    let mut acks = Vec::new();
    for chat in &chats {
        acks.extend(send_all(&mut owner, *chat, &[&format!("{chat}-1"), &format!("{chat}-2")]).await);
    }
    sleep(Duration::from_millis(600)).await;
    lock.rollback().await.expect("released");

    assert_eq!(stored_revs_without_delay(&mut owner, acks).await, [2, 3].repeat(12));
}

#[harness::test]
async fn a_locked_user_delays_no_message() {
    let Some(setup) = Setup::start_on_postgres().await else { return };
    let app = &setup.app;
    let (alice, bob, mut owner) = setup.alice_and_bob().await;
    let (shared, open) = (app.group(&mut owner, &[&bob]).await, app.group(&mut owner, &[]).await);
    let mut sender = app.connect(&bob, Transport::MAIN).await;

    let lock = setup.lock_row("users", bob.id).await;
    let own = send_all(&mut sender, shared, &["1", "2", "3"]).await;
    assert_eq!(stored_revs_without_delay(&mut sender, own).await, [2, 3, 4]);
    let in_open_chat = send_all(&mut owner, open, &["a"]).await;
    stored_revs_without_delay(&mut owner, in_open_chat).await;
    // The locked user's own counter has to wait; that of another reader does not.
    let mark = json!({"chat": {"id": shared}});
    let waiting = sender.begin("mark_read", mark.clone()).await;
    let ack = timeout(UNBLOCKED_TIMEOUT, owner.call("mark_read", mark)).await.expect("waits for no lock");
    assert_eq!(ack["unread"], json!(0), "{ack}");
    assert!(timeout(Duration::from_millis(200), sender.ack(waiting)).await.is_err());
    lock.rollback().await.expect("released");
    assert_eq!(sender.ack(waiting).await["seq"], json!(4));
    assert_eq!(app.contents(shared, &alice).await, ["1", "2", "3"]);
}

#[harness::test]
async fn a_send_that_times_out_on_a_lock_is_unavailable_and_not_stored_later() {
    let setup = Setup::start().await;
    let app = &setup.app;
    let (_, bob, mut owner) = setup.alice_and_bob().await;
    let chat = app.group(&mut owner, &[&bob]).await;

    let lock = setup.lock_row("chats", chat).await;
    let started = Instant::now();
    let acks = send_all(&mut owner, chat, &["one", "two"]).await;
    for ack in acks {
        let ack = owner.ack(ack).await;
        assert_eq!(ack["error"]["code"], json!("unavailable"), "{ack}");
    }
    let elapsed = started.elapsed();
    assert!(elapsed > Duration::from_secs(4) && elapsed < Duration::from_secs(11), "{elapsed:?}");

    lock.rollback().await.expect("released");
    sleep(Duration::from_millis(300)).await;
    assert_eq!(app.contents(chat, &bob).await, [""; 0]);

    let retries = send_all(&mut owner, chat, &["two", "one"]).await;
    assert_eq!(stored_revs_without_delay(&mut owner, retries).await, [2, 3]);
    assert_eq!(app.contents(chat, &bob).await, ["two", "one"]);
}

#[harness::test]
async fn many_requests_that_wait_for_one_locked_chat_leave_database_connections_for_others() {
    let Some(setup) = Setup::start_on_postgres().await else { return };
    let app = &setup.app;
    let (alice, bob, mut owner) = setup.alice_and_bob().await;
    let (locked, open) = (app.group(&mut owner, &[&bob]).await, app.group(&mut owner, &[&bob]).await);
    let sent = owner.call("send_message", message(locked, "like me")).await;
    let like = json!({"message": {"id": sent["message"]["id"], "liked": true}});
    let mut sockets: Vec<Socket> = Vec::new();
    for index in 0..24 {
        sockets.push(app.connect([&alice, &bob][index % 2], Transport::ALL[index % 4]).await);
    }

    let lock = setup.lock_row("chats", locked).await;
    let mut like_acks = Vec::new();
    for socket in &mut sockets {
        like_acks.push(socket.begin("toggle_like_message", like.clone()).await);
    }
    app.somebody_waits().await;
    sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    let acks = send_all(&mut owner, open, &["a"]).await;
    stored_revs_without_delay(&mut owner, acks).await;
    let renamed = owner.call("update_chat", json!({"chat": {"id": open, "name": "free"}})).await;
    assert_eq!(renamed["ok"], json!(true), "{renamed}");
    assert!(started.elapsed() < UNBLOCKED_TIMEOUT, "{:?}", started.elapsed());

    lock.rollback().await.expect("released");
    for (socket, ack) in sockets.iter_mut().zip(like_acks) {
        let ack = socket.ack(ack).await;
        assert_eq!((&ack["ok"], &ack["liked"]), (&json!(true), &json!(true)), "{ack}");
    }
    let page = app.get(&format!("/chat/{locked}/messages"), &alice).await;
    assert_eq!(page[0]["likes"], json!(2));
}

/// Makes the database reject messages with the content `poison`. On PostgreSQL, the sequence `inserts` counts the
/// statements that insert messages.
async fn reject_poison(setup: &Setup) {
    let sql = if setup.is_postgres() {
        // A sequence keeps its value after a rollback.
        "CREATE SEQUENCE inserts;
         CREATE FUNCTION count_insert() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM nextval('inserts'); RETURN NULL; END $$;
         CREATE TRIGGER inserts BEFORE INSERT ON messages
           FOR EACH STATEMENT EXECUTE FUNCTION count_insert();
         CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN IF NEW.content = 'poison' THEN RAISE 'no'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER reject BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION reject();"
    } else {
        "CREATE TRIGGER reject BEFORE INSERT ON messages WHEN NEW.content = 'poison'
         BEGIN SELECT RAISE(ABORT, 'no'); END;"
    };
    setup.execute(sql).await;
}

#[harness::test]
async fn a_message_that_fails_to_insert_costs_few_transactions_and_fails_no_other_message() {
    // The message that fails: its sender, and its number there.
    const POISON: (usize, usize) = (2, 33);
    let setup = Setup::start().await;
    let app = &setup.app;
    let (alice, bob, mut owner) = setup.alice_and_bob().await;
    let chat = app.group(&mut owner, &[&bob]).await;
    reject_poison(&setup).await;
    let mut senders: Vec<Socket> = Vec::new();
    for _ in 0..4 {
        senders.push(app.connect(&bob, Transport::MAIN).await);
    }
    // The messages queue up while the row is locked.
    let lock = setup.lock_row("chats", chat).await;
    let mut acks = Vec::new();
    for (sender, socket) in senders.iter_mut().enumerate() {
        let content = |number: usize| -> String {
            if (sender, number) == POISON { "poison".into() } else { format!("{sender}-{number}") }
        };
        let contents: Vec<String> = (0..60).map(content).collect();
        let contents: Vec<&str> = contents.iter().map(String::as_str).collect();
        acks.push(send_all(socket, chat, &contents).await);
    }
    sleep(Duration::from_millis(500)).await;
    let inserts = async || {
        if setup.is_postgres() { setup.query_number("SELECT last_value FROM inserts").await } else { 0 }
    };
    let inserts_before = inserts().await;

    lock.rollback().await.expect("released");

    for (sender, (socket, acks)) in senders.iter_mut().zip(acks).enumerate() {
        let mut last_rev = 0;
        for (number, ack) in acks.into_iter().enumerate() {
            let ack = socket.ack(ack).await;
            if (sender, number) == POISON {
                assert_eq!(ack["error"]["code"], json!("internal"), "{ack}");
                continue;
            }
            let rev = ack["rev"].as_i64().unwrap_or_else(|| panic!("the message was not stored: {ack}"));
            assert!(rev > last_rev, "rev {rev} follows {last_rev}");
            last_rev = rev;
        }
    }
    let contents = app.contents(chat, &alice).await;
    assert_eq!(contents.len(), 239);
    for sender in 0..4 {
        let own: Vec<i64> =
            contents.iter().filter_map(|it| it.strip_prefix(&format!("{sender}-"))?.parse().ok()).collect();
        assert!(own.is_sorted() && own.len() >= 59, "{own:?}");
    }
    // The server halves a group that fails. 240 messages need eight halvings that fail and as many that succeed, and
    // a few inserts for messages that arrived before the rest queued up.
    let inserts = inserts().await - inserts_before;
    assert!(inserts <= 24, "{inserts} transactions");
}

#[harness::test]
async fn messages_sent_while_chats_are_locked_at_random_are_stored_once_and_in_order() {
    let setup = Setup::start().await;
    let app = &setup.app;
    let (alice, bob, carol) = app.three().await;
    let users: [&Person; 3] = [&alice, &bob, &carol];
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let mut chats = Vec::new();
    for _ in 0..3 {
        chats.push(app.group(&mut owner, &[&bob, &carol]).await);
    }
    let mut listener = app.connect(&carol, Transport::ALL[3]).await;
    let mut senders: Vec<Socket> = Vec::new();
    for index in 0..6 {
        senders.push(app.connect(users[index % 3], Transport::ALL[index % 4]).await);
    }

    let sending = join_all(senders.iter_mut().enumerate().map(async |(index, socket)| {
        let mut last_revs: HashMap<i64, i64> = HashMap::new();
        for round in 0..12 {
            let mut acks = Vec::new();
            for number in 0..10 {
                let chat = chats[number % 3];
                let content = format!("{index}-{}", round * 10 + number);
                acks.push((chat, socket.feed("send_message", message(chat, &content)).await));
            }
            socket.flush().await;
            for (chat, ack) in acks {
                let rev = stored_revs(socket, vec![ack]).await[0];
                let last_rev = last_revs.insert(chat, rev).unwrap_or(0);
                assert!(rev > last_rev, "rev {rev} follows {last_rev}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }));
    let locking = async {
        for round in 0..40_u64 {
            let lock = setup.lock_row("chats", chats[usize::from(round % 3 == 0)]).await;
            sleep(Duration::from_millis(round * 7 % 31)).await;
            lock.rollback().await.expect("released");
            sleep(Duration::from_millis(round * 5 % 11)).await;
        }
    };
    tokio::join!(sending, locking);

    let mut last_revs = HashMap::new();
    for _ in 0..720 {
        let event = listener.next("new_message").await;
        let last_rev = last_revs.insert(event["chat"].as_i64().expect("a chat"), event["rev"].clone());
        assert_eq!(event["prev"], last_rev.unwrap_or_else(|| json!(1)), "an event is missing or repeated");
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
    let contents = join_all(chats.iter().map(|chat| app.contents(*chat, &bob))).await;
    assert_eq!(contents.iter().map(Vec::len).sum::<usize>(), 720);
}

#[harness::test]
async fn deleting_a_group_updates_all_its_members_in_one_statement() {
    let setup = Setup::start().await;
    let app = &setup.app;
    let (alice, bob, carol) = app.three().await;
    let dave = app.person("dave").await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob, &carol, &dave]).await;
    let member = json!({"chat": {"id": chat}, "user": {"id": dave.id}});
    assert_eq!(owner.call("remove_member", member).await["ok"], json!(true));
    let user_rev_of_dave =
        format!("SELECT user_rev FROM members WHERE chat_id = {chat} AND user_id = {}", dave.id);
    let before = setup.query_number(&user_rev_of_dave).await;
    if setup.is_postgres() {
        setup
            .execute(
                "CREATE SEQUENCE updates;
                 CREATE FUNCTION count_update() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN PERFORM nextval('updates'); RETURN NULL; END $$;
                 CREATE TRIGGER updates AFTER UPDATE ON members
                   FOR EACH STATEMENT EXECUTE FUNCTION count_update();",
            )
            .await;
    }

    let ack = owner.call("delete_chat", json!({"chat": {"id": chat}})).await;

    assert_eq!(ack["ok"], json!(true), "{ack}");
    if setup.is_postgres() {
        assert_eq!(setup.query_number("SELECT last_value FROM updates").await, 1, "statements");
    }
    let ended = format!(
        "SELECT count(*) FROM members m JOIN users u ON u.id = m.user_id WHERE m.chat_id = {chat}
         AND m.left_reason = 'deleted' AND m.left_at IS NOT NULL AND m.user_rev = u.user_rev AND m.user_rev > 1
         AND m.rev = (SELECT rev FROM chats WHERE id = {chat})"
    );
    assert_eq!(setup.query_number(&ended).await, 3, "every membership ends at its user's new counter value");
    assert_eq!(setup.query_number(&user_rev_of_dave).await, before, "an earlier leave is not changed");
}

#[harness::test]
async fn a_chat_whose_row_is_locked_most_of_the_time_still_accepts_messages() {
    let setup = Setup::start().await;
    let app = &setup.app;
    let (_, bob, mut owner) = setup.alice_and_bob().await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let sent = owner.call("send_message", message(chat, "like me")).await;
    let like = json!({"message": {"id": sent["message"]["id"]}});
    let mut sockets: Vec<Socket> = Vec::new();
    for index in 0..16 {
        sockets.push(app.connect(&bob, Transport::ALL[index % 4]).await);
    }

    let finished = AtomicBool::new(false);
    let liking = join_all(sockets.iter_mut().map(async |socket| {
        while !finished.load(Ordering::Relaxed) {
            let ack = socket.call("toggle_like_message", like.clone()).await;
            assert_eq!(ack["ok"], json!(true), "{ack}");
        }
    }));
    let sending = async {
        let mut longest = Duration::ZERO;
        for number in 0..30 {
            let started = Instant::now();
            let acks = send_all(&mut owner, chat, &[&number.to_string()]).await;
            stored_revs(&mut owner, acks).await;
            longest = longest.max(started.elapsed());
        }
        finished.store(true, Ordering::Relaxed);
        longest
    };
    let (_, longest) = tokio::join!(liking, sending);

    println!("longest wait: {longest:?}");
    assert!(longest < Duration::from_secs(3), "{longest:?}");
}
