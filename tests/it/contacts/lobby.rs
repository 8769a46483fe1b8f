//! The lobby: every user is a member from registration on, no matter when the lobby was configured.

use serde_json::json;

use super::{code, done, message};
use crate::support::{TestApp, Transport};

#[harness::test]
async fn every_user_is_in_the_lobby_and_is_notified_of_new_members() {
    let app = TestApp::with(&[("LOBBY_CHAT", "Hall")]).await;
    let alice = app.person("alice").await;
    let chats = app.get("/chat", &alice).await;
    let hall = chats[0]["id"].as_i64().expect("the lobby");
    assert_eq!(
        (&chats[0]["name"], &chats[0]["member_count"], &chats[0]["my"]["role"]),
        (&json!("Hall"), &json!(1), &json!("member"))
    );
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let bob = app.person("bob").await;
    let told = a.next("member_added").await;
    assert_eq!((&told["chat"], &told["member"]["user"]["id"]), (&json!(hall), &json!(bob.id)), "{told}");
    assert_eq!(told["member_count"], json!(2));
    let mut b = app.connect(&bob, Transport::MAIN).await;
    done(&mut b, "send_message", message(hall, "good morning")).await;
    assert_eq!(a.next("new_message").await["content"], json!("good morning"));
    // Users cannot leave, manage or delete it.
    for (command, payload) in [
        ("leave_chat", json!({"chat": {"id": hall}})),
        ("delete_chat", json!({"chat": {"id": hall}})),
        ("update_chat", json!({"chat": {"id": hall, "name": "Mine"}})),
        ("remove_member", json!({"chat": {"id": hall}, "user": {"id": bob.id}})),
        ("remove_member", json!({"chat": {"id": hall}, "user": {"id": alice.id}})),
        ("set_member_role", json!({"chat": {"id": hall}, "user": {"id": bob.id}, "role": "admin"})),
    ] {
        let refused = a.call(command, payload).await;
        assert_eq!(code(&refused), "forbidden", "{command}: {refused}");
    }
    assert_eq!(app.get(&format!("/chat/{hall}"), &alice).await["member_count"], json!(2));
}

#[harness::test]
async fn concurrent_first_registrations_create_one_lobby() {
    let app = TestApp::with(&[("LOBBY_CHAT", "Hall")]).await;
    let names: Vec<String> = (0..12).map(|number| format!("person{number}")).collect();
    let people = futures_util::future::join_all(names.iter().map(|name| app.person(name))).await;
    let mut halls = Vec::new();
    for person in &people {
        let chats = app.get("/chat", person).await;
        assert_eq!(chats.as_array().map(Vec::len), Some(1), "{chats}");
        assert_eq!(chats[0]["member_count"], json!(12), "{chats}");
        halls.push(chats[0]["id"].clone());
    }
    halls.dedup();
    assert_eq!(halls.len(), 1);
}

#[harness::test]
async fn a_lobby_configured_later_includes_existing_users_and_can_be_renamed() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let url = app.server.context.settings.database.url.clone();
    let TestApp { server, folder, .. } = app;
    server.shutdown().await;
    let app = TestApp::on(folder, &url, &[("LOBBY_CHAT", "Hall")]).await;
    let chats = app.get("/chat", &bob).await;
    assert_eq!((&chats[0]["name"], &chats[0]["member_count"]), (&json!("Hall"), &json!(3)), "{chats}");
    let hall = chats[0]["id"].clone();
    let TestApp { server, folder, .. } = app;
    server.shutdown().await;
    let app = TestApp::on(folder, &url, &[("LOBBY_CHAT", "Atrium")]).await;
    app.person("dave").await;
    let chats = app.get("/chat", &alice).await;
    assert_eq!(
        (&chats[0]["id"], &chats[0]["name"], &chats[0]["member_count"]),
        (&hall, &json!("Atrium"), &json!(4)),
        "{chats}"
    );
    let TestApp { server, folder, .. } = app;
    server.shutdown().await;
    // Without the setting it is a group that users can leave.
    let app = TestApp::on(folder, &url, &[]).await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    done(&mut a, "leave_chat", json!({"chat": {"id": hall}})).await;
    assert_eq!(app.get("/chat", &bob).await[0]["member_count"], json!(3));
}
