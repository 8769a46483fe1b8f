//! No message is lost, duplicated or reordered, whatever fails: at least ten faults in every test run. For runs of
//! hours: `cargo run --release -p mango-bench --bin faults`.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use serde_json::json;
use tokio::time::sleep;

use crate::checker::client::{Client, Part, Stage};
use crate::checker::database::Store;
use crate::checker::node::Node;
use crate::checker::random::Random;
use crate::checker::verdict::verdict;
use crate::checker::{Cast, Plan, run};
use crate::support::{database_kind, fresh_database};

#[harness::test]
async fn what_was_acked_is_stored_once_and_in_order_whatever_breaks() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = seed();
    let plan = Plan {
        binary: env!("CARGO_BIN_EXE_mango-chat").into(),
        folder: folder.path().to_owned(),
        store: Store::Given(fresh_database(&folder).await),
        faults: 10,
        acked: 500,
        senders: 6,
        listeners: 3,
        chats: 4,
        pace: Duration::from_millis(15),
        calm: Duration::from_millis(1_800),
        longest_stop: Duration::ZERO,
        seed,
    };
    let report = run(&plan).await.unwrap_or_else(|error| panic!("{error}; FAULTS_SEED={seed}"));
    assert!(report.verdict.is_good(), "{report:#?}; again with FAULTS_SEED={seed}");
    assert!(report.faults.values().sum::<u64>() >= 10, "{report:?}");
}

#[harness::test]
async fn what_was_acked_is_stored_once_and_in_order_whatever_the_database_suffers() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = seed();
    let store = if database_kind() == "postgres" { Store::Postgres } else { Store::Sqlite { disk: false } };
    let plan = Plan {
        binary: env!("CARGO_BIN_EXE_mango-chat").into(),
        folder: folder.path().to_owned(),
        store,
        // The whole deck once.
        faults: 14,
        acked: 300,
        senders: 4,
        listeners: 2,
        chats: 3,
        pace: Duration::from_millis(20),
        calm: Duration::from_millis(500),
        longest_stop: Duration::from_secs(3),
        seed,
    };
    let report = run(&plan).await.unwrap_or_else(|error| panic!("{error}; FAULTS_SEED={seed}"));
    assert!(report.verdict.is_good(), "{report:#?}; again with FAULTS_SEED={seed}");
    let wait = report.longest_wait_of_others_ms.expect("a row was locked");
    assert!(database_kind() != "postgres" || wait < 1_500, "{report:#?}; again with FAULTS_SEED={seed}");
}

/// Returns the random seed: `FAULTS_SEED`, or a different one every time.
fn seed() -> u64 {
    match std::env::var("FAULTS_SEED") {
        Ok(text) => text.parse().expect("FAULTS_SEED is a number"),
        Err(_) => RandomState::new().build_hasher().finish(),
    }
}

#[harness::test]
async fn the_verdict_finds_what_is_lost_strange_out_of_order_and_unequal() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let mut node = Node::new(env!("CARGO_BIN_EXE_mango-chat").as_ref(), folder.path(), &url).expect("a port");
    node.start().await.expect("starts");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let person = node.person(&http, "alice").await.expect("registers");
    let wish = json!({"chat": {"name": "g", "is_group": true, "members_array": []}});
    let made = node.post(&http, "/events/create_chat", Some(&person.token), &wish).await.expect("made");
    let chat = made["chat"]["id"].as_i64().expect("an id");
    let part = Part {
        name: "s".into(),
        chats: vec![chat],
        window: 1,
        pace: Duration::from_millis(5),
        visitor: None,
        person: person.clone(),
    };
    let stage = Arc::new(Stage::default());
    let seen = Client::start(node.host(), part.clone(), stage.clone(), Random::new(1));
    while stage.acked.load(Ordering::Relaxed) < 20 {
        sleep(Duration::from_millis(10)).await;
    }
    stage.closing.store(true, Ordering::Relaxed);
    while !seen.lock().expect("a lock").idle {
        sleep(Duration::from_millis(10)).await;
    }
    let cast = Cast { chats: vec![(chat, person.token)], clients: vec![(part, seen)] };
    let address = format!("http://{}", node.host());
    let good = verdict(&address, &cast, Duration::from_secs(5)).await.expect("judged");
    assert!(good.is_good() && good.acked >= 20, "{good:?}");

    // One message is deleted, one gets another `client_id`, and two change places.
    let database = Database::connect(&url).await.expect("connects");
    for (number, change) in [
        (3, "DELETE FROM messages"),
        (5, "UPDATE messages SET client_id = 'strange'"),
        (7, "UPDATE messages SET seq = 100000"),
    ] {
        let statement = format!("{change} WHERE client_id = 's-{number}'");
        database.execute_unprepared(&statement).await.expect("changed");
    }
    let bad = verdict(&address, &cast, Duration::ZERO).await;
    // A chat whose newest message is not at the position that the chat reports cannot be compared at all.
    assert!(bad.is_err_and(|it| it.contains("newest message")), "a fetch sees it too");
    let statement = "UPDATE messages SET seq = 1 WHERE client_id = 's-7'";
    database.execute_unprepared(statement).await.expect("changed");
    cast.clients[0].1.lock().expect("a lock").acked[6].seq = 1;
    let bad = verdict(&address, &cast, Duration::ZERO).await.expect("judged");
    assert_eq!((bad.lost, bad.doubled, bad.models_unequal), (2, 1, 1), "{bad:?}");
    assert_eq!(bad.order_broken, 1, "number 7 stands before number 6: {bad:?}");
}
