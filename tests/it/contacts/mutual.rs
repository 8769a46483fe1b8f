//! `CONTACT_POLICY=mutual`: groups require that people follow each other. Also the demo data under every policy.

use reqwest::Method;
use serde_json::json;

use super::{done, ids, user};
use crate::support::{Person, TestApp, Transport};

#[harness::test]
async fn the_demo_data_is_created_under_every_policy() {
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

#[harness::test]
async fn concurrent_group_creations_and_additions_do_not_deadlock() {
    let app = TestApp::with(&[("CONTACT_POLICY", "mutual")]).await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    let mut c = app.connect(&carol, Transport::MAIN).await;
    for (socket, others) in [(&mut a, [&bob, &carol]), (&mut b, [&alice, &carol]), (&mut c, [&alice, &bob])] {
        for other in others {
            done(socket, "follow", user(other)).await;
        }
    }
    let mut groups = Vec::new();
    for _ in 0..20 {
        groups.push(app.group(&mut a, &[]).await);
    }
    // Users' rows are locked in one order, no matter which user is named first.
    let adding = async {
        for group in &groups {
            let payload = json!({"chat": {"id": group}, "user": {"id": carol.id}});
            done(&mut a, "add_member", payload).await;
        }
    };
    let creating = async {
        for _ in 0..20 {
            let payload =
                json!({"chat": {"name": "g", "is_group": true, "members_array": [carol.id, alice.id]}});
            done(&mut b, "create_chat", payload).await;
        }
    };
    tokio::join!(adding, creating);
    assert_eq!(app.get("/chat?limit=200", &carol).await.as_array().map(Vec::len), Some(40));
}

#[harness::test]
async fn a_group_requires_mutual_follows_and_creates_none() {
    let app = TestApp::with(&[("CONTACT_POLICY", "mutual"), ("LOBBY_CHAT", "Hall")]).await;
    let (alice, bob, carol) = app.three().await;
    let dave = app.person("dave").await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::ALL[1]).await;
    let mut c = app.connect(&carol, Transport::MAIN).await;
    done(&mut a, "follow", user(&bob)).await;
    done(&mut b, "follow", user(&alice)).await;
    // Following in one direction is not enough, whichever it is.
    done(&mut a, "follow", user(&carol)).await;
    let chats = app.get("/chat", &alice).await;
    let payload =
        json!({"chat": {"name": "g", "is_group": true, "members_array": [bob.id, carol.id, dave.id]}});
    let refused = a.call("create_chat", payload).await["error"].clone();
    assert_eq!(refused["code"], json!("contact_required"), "{refused}");
    let named = |it: &Person, name: &str| format!("you and user {} ({name}) do not follow each other", it.id);
    let problems = json!([named(&carol, "carol"), named(&dave, "dave")]);
    assert_eq!(refused["errors"]["chat.members_array"], problems);
    assert_eq!(app.get("/chat", &alice).await, chats, "nothing was created");

    let group = app.group(&mut a, &[&bob]).await;
    let add = |it: &Person| json!({"chat": {"id": group}, "user": {"id": it.id}});
    let refused = a.call("add_member", add(&carol)).await["error"].clone();
    assert_eq!(
        (&refused["code"], &refused["errors"]["user.id"]),
        (&json!("contact_required"), &json!([named(&carol, "carol")]))
    );
    done(&mut c, "follow", user(&alice)).await;
    done(&mut a, "add_member", add(&carol)).await;
    assert_eq!(ids(&app, &alice, "following", 50).await, [bob.id, carol.id]);
    assert_eq!(ids(&app, &bob, "following", 50).await, [alice.id], "members do not follow each other");
    // Direct chats do not require it.
    let payload = json!({"chat": {"is_group": false, "members_array": [dave.id]}});
    done(&mut a, "create_chat", payload).await;
}
