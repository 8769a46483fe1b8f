//! No acknowledged message is lost, duplicated or reordered by faults of the server, the network or the database. Every
//! test run injects at least ten faults; for runs of hours: `cargo run --release -p mango-bench --bin faults`.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use serde_json::json;
use tokio::time::sleep;

use crate::checker::client::{Client, ClientConfig, RunState};
use crate::checker::database::Store;
use crate::checker::node::Node;
use crate::checker::random::Random;
use crate::checker::verdict::verdict;
use crate::checker::{Participants, RunConfig, run};
use crate::support::{database_kind, fresh_database};

#[harness::test]
async fn acknowledged_messages_are_stored_once_and_in_order_despite_server_and_network_faults() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = seed();
    let config = RunConfig {
        binary: env!("CARGO_BIN_EXE_mango-chat").into(),
        folder: folder.path().to_owned(),
        store: Store::Given(fresh_database(&folder).await),
        min_faults: 10,
        min_acked: 500,
        senders: 6,
        listeners: 3,
        chats: 4,
        send_interval: Duration::from_millis(15),
        max_pause: Duration::from_millis(1_800),
        max_outage: Duration::ZERO,
        seed,
    };
    let report = run(&config).await.unwrap_or_else(|error| panic!("{error}; FAULTS_SEED={seed}"));
    assert!(report.verdict.is_good(), "{report:#?}; repeat with FAULTS_SEED={seed}");
    assert!(report.faults.values().sum::<u64>() >= 10, "{report:?}");
}

#[harness::test]
async fn acknowledged_messages_are_stored_once_and_in_order_despite_database_faults() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = seed();
    let store = if database_kind() == "postgres" { Store::Postgres } else { Store::Sqlite { disk: false } };
    let config = RunConfig {
        binary: env!("CARGO_BIN_EXE_mango-chat").into(),
        folder: folder.path().to_owned(),
        store,
        // One complete round.
        min_faults: 14,
        min_acked: 300,
        senders: 4,
        listeners: 2,
        chats: 3,
        send_interval: Duration::from_millis(20),
        max_pause: Duration::from_millis(500),
        max_outage: Duration::from_secs(3),
        seed,
    };
    let report = run(&config).await.unwrap_or_else(|error| panic!("{error}; FAULTS_SEED={seed}"));
    assert!(report.verdict.is_good(), "{report:#?}; repeat with FAULTS_SEED={seed}");
    let wait = report.longest_wait_of_others_ms.expect("a row was locked");
    assert!(database_kind() != "postgres" || wait < 1_500, "{report:#?}; repeat with FAULTS_SEED={seed}");
}

/// Returns the random seed: `FAULTS_SEED`, or a different one every time.
fn seed() -> u64 {
    match std::env::var("FAULTS_SEED") {
        Ok(text) => text.parse().expect("FAULTS_SEED is a number"),
        Err(_) => RandomState::new().build_hasher().finish(),
    }
}

#[harness::test]
async fn the_verdict_detects_lost_unexpected_and_misordered_messages_and_wrong_client_states() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let mut node = Node::new(env!("CARGO_BIN_EXE_mango-chat").as_ref(), folder.path(), &url).expect("a port");
    node.start().await.expect("starts");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let user = node.person(&http, "alice").await.expect("registers");
    let request = json!({"chat": {"name": "g", "is_group": true, "members_array": []}});
    let created =
        node.post(&http, "/events/create_chat", Some(&user.token), &request).await.expect("created");
    let chat = created["chat"]["id"].as_i64().expect("an id");
    let client_config = ClientConfig {
        name: "s".into(),
        chats: vec![chat],
        max_unacked: 1,
        send_interval: Duration::from_millis(5),
        temporary_member: None,
        user: user.clone(),
    };
    let run_state = Arc::new(RunState::default());
    let state = Client::start(node.host(), client_config.clone(), run_state.clone(), Random::new(1));
    while run_state.acked.load(Ordering::Relaxed) < 20 {
        sleep(Duration::from_millis(10)).await;
    }
    run_state.closing.store(true, Ordering::Relaxed);
    while !state.lock().expect("a lock").idle {
        sleep(Duration::from_millis(10)).await;
    }
    let participants =
        Participants { chats: vec![(chat, user.token)], clients: vec![(client_config, state)] };
    let address = format!("http://{}", node.host());
    let good = verdict(&address, &participants, Duration::from_secs(5)).await.expect("a verdict");
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
    let bad = verdict(&address, &participants, Duration::ZERO).await;
    // A chat whose newest message is not at the position that the chat reports cannot be compared at all.
    assert!(bad.is_err_and(|it| it.contains("newest message")), "the fetch detects it");
    let statement = "UPDATE messages SET seq = 1 WHERE client_id = 's-7'";
    database.execute_unprepared(statement).await.expect("changed");
    participants.clients[0].1.lock().expect("a lock").acked[6].seq = 1;
    let bad = verdict(&address, &participants, Duration::ZERO).await.expect("a verdict");
    assert_eq!((bad.lost, bad.doubled, bad.models_unequal), (2, 1, 1), "{bad:?}");
    assert_eq!(bad.order_broken, 1, "number 7 is stored before number 6: {bad:?}");
}
