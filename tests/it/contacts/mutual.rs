//! `CONTACT_POLICY=mutual`: groups make contacts, many or few, and the demo landscape under every policy.

use reqwest::Method;
use serde_json::json;

use super::{done, ids, user};
use crate::support::{Door, Person, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_landscape_comes_up_whatever_the_policy() {
    for policy in ["approval", "mutual", "approval,mutual"] {
        let app =
            TestApp::with(&[("MANGO_ENV", "local"), ("CONTACT_POLICY", policy), ("LOBBY_CHAT", "Hall")])
                .await;
        let (status, tokens) = app
            .send(
                Method::POST,
                "/auth/login",
                None,
                Some(json!({"username": "alice", "password": "mango-demo"})),
            )
            .await;
        assert_eq!(status, 200, "{tokens}");
        let (_, chats) = app.send(Method::GET, "/chat", tokens["access_token"].as_str(), None).await;
        assert_eq!(chats.as_array().map(Vec::len), Some(3), "{chats}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_adds_and_who_creates_at_the_same_time_do_not_stand_in_each_others_way() {
    let app = TestApp::with(&[("CONTACT_POLICY", "mutual")]).await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Door::MAIN).await;
    let mut b = app.connect(&bob, Door::MAIN).await;
    let mut groups = Vec::new();
    for _ in 0..20 {
        groups.push(app.group(&mut a, &[]).await);
    }
    // Rows of people are locked in one order, whichever of them is named first.
    let adding = async {
        for group in &groups {
            let wish = json!({"chat": {"id": group}, "user": {"id": carol.id}});
            done(&mut a, "add_member", wish).await;
        }
    };
    let creating = async {
        for _ in 0..20 {
            let wish =
                json!({"chat": {"name": "g", "is_group": true, "members_array": [carol.id, alice.id]}});
            done(&mut b, "create_chat", wish).await;
        }
    };
    tokio::join!(adding, creating);
    assert_eq!(app.get("/chat?limit=200", &carol).await.as_array().map(Vec::len), Some(40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_contacts_are_fetched_rather_than_told() {
    let app = TestApp::with(&[("CONTACT_POLICY", "mutual")]).await;
    let alice = app.person("alice").await;
    let mut a = app.connect(&alice, Door::MAIN).await;
    // Registering hundreds over REST would take the time of all the other tests.
    let people = "INSERT INTO users (username, username_key, photo, password_hash, created_at)                   WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)                   SELECT 'p' || i, 'p' || i, 'x', 'x', 0 FROM n";
    sea_orm::ConnectionTrait::execute_unprepared(app.server.core.db.read(), people).await.expect("people");
    let others: Vec<i64> = (1..=600).map(|number| alice.id + number).collect();
    let before = done(&mut a, "sync", json!({})).await["user_rev"].clone();
    let wish = json!({"chat": {"name": "all", "is_group": true, "members_array": others}});
    done(&mut a, "create_chat", wish).await;
    let heard: Vec<String> = a.rest().await.into_iter().map(|(name, _)| name).collect();
    assert!(!heard.contains(&"followed".to_owned()), "{heard:?}");
    let synced = done(&mut a, "sync", json!({"user_rev": before})).await;
    assert_eq!((&synced["contacts"], &synced["contacts_truncated"]), (&json!([]), &json!(true)));
    assert_eq!(ids(&app, &alice, "following", 200).await, others);
    assert_eq!(ids(&app, &alice, "followers", 200).await, others);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_and_creator_of_a_group_follow_each_other_and_so_may_write() {
    let app = TestApp::with(&[("CONTACT_POLICY", "approval,mutual")]).await;
    let (alice, bob, carol) = app.three().await;
    let dave = app.person("dave").await;
    let mut a = app.connect(&alice, Door::MAIN).await;
    let mut b = app.connect(&bob, Door::MAIN).await;
    let mut d = app.connect(&dave, Door::MAIN).await;
    done(&mut d, "block", user(&carol)).await;
    let group = app.group(&mut a, &[&bob, &carol]).await;
    for _ in 0..2 {
        let told = b.next("followed").await;
        assert!(told["by"] == json!(alice.id) || told["by"] == json!(bob.id), "{told}");
    }
    assert_eq!(ids(&app, &alice, "following", 50).await, [bob.id, carol.id]);
    assert_eq!(ids(&app, &alice, "followers", 50).await, [bob.id, carol.id]);
    assert_eq!(ids(&app, &bob, "following", 50).await, [alice.id], "members do not follow each other");
    done(&mut a, "add_member", json!({"chat": {"id": group}, "user": {"id": dave.id}})).await;
    assert_eq!(ids(&app, &dave, "following", 50).await, [alice.id]);
    let wish = |with: &Person| json!({"chat": {"is_group": false, "members_array": [with.id]}});
    for (socket, other, approved) in [(&mut b, &alice, true), (&mut d, &alice, true)] {
        let ack = done(socket, "create_chat", wish(other)).await;
        assert_eq!(ack["chat"]["approved"], json!(approved), "{ack}");
    }
    let ack = done(&mut b, "create_chat", wish(&dave)).await;
    assert_eq!(ack["chat"]["approved"], json!(false), "{ack}");
    // It is a start, not a law.
    done(&mut b, "unfollow", user(&alice)).await;
    assert_eq!(ids(&app, &bob, "following", 50).await, Vec::<i64>::new());
}
