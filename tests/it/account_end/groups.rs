//! A deleted user leaves groups, stays in direct chats, and cannot be added to either again.

use entity::{account_ending, user};
use mango_chat::domain::accounts::finish_all;
use reqwest::Method;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, EntityTrait};
use serde_json::{Value, json};

use super::{database_of, delete, delete_whole, settled};
use crate::support::{PASSWORD, Person, TestApp, Transport};

async fn members(app: &TestApp, chat: i64, person: &Person) -> Vec<(i64, String)> {
    let list = app.get(&format!("/chat/{chat}/members"), person).await;
    let mut members: Vec<(i64, String)> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| (it["user"]["id"].as_i64().expect("an id"), it["role"].as_str().expect("a role").into()))
        .collect();
    members.sort();
    members
}

#[harness::test]
async fn groups_continue_without_a_deleted_member_and_empty_groups_are_deleted() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let mut listener = app.connect(&bob, Transport::MAIN).await;
    let owned = app.group(&mut socket, &[&bob, &carol]).await;
    let role = json!({"chat": {"id": owned}, "user": {"id": carol.id}, "role": "admin"});
    assert_eq!(socket.call("set_member_role", role).await["ok"], json!(true));
    let alone = app.group(&mut socket, &[]).await;
    let joined = app.group(&mut listener, &[&alice]).await;
    // More groups than one page of the deletion reads.
    let mut many = Vec::new();
    for _ in 0..105 {
        many.push(app.group(&mut socket, &[&bob]).await);
    }
    listener.rest().await;
    delete_whole(&app, &alice).await;
    assert_eq!(members(&app, owned, &bob).await, [(bob.id, "member".into()), (carol.id, "owner".into())]);
    assert_eq!(members(&app, joined, &bob).await, [(bob.id, "owner".into())]);
    for chat in many {
        assert_eq!(members(&app, chat, &bob).await, [(bob.id, "owner".into())]);
    }
    let row = entity::chat::Entity::find_by_id(alone).one(app.server.context.db.read()).await;
    assert!(row.expect("read").expect("a row").deleted_at.is_some(), "the last one out deletes the group");
    // Events arrive in order: first the profile, then the new owner, then the departure.
    let events = listener.rest().await;
    assert_eq!(events[0].0, "user_updated");
    let of_owned: Vec<(&str, Value)> = events
        .iter()
        .filter(|(_, payload)| payload["chat"] == json!(owned))
        .map(|(name, payload)| (name.as_str(), payload["member"]["user"]["id"].clone()))
        .collect();
    assert_eq!(
        of_owned,
        [("member_role_changed", json!(carol.id)), ("member_removed", json!(alice.id))],
        "{events:?}"
    );
}

#[harness::test]
async fn a_deleted_user_cannot_be_added_to_a_chat() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut socket = app.connect(&bob, Transport::MAIN).await;
    let group = app.group(&mut socket, &[]).await;
    let direct_wish = |id: i64| json!({"chat": {"is_group": false, "members_array": [id]}});
    let direct = socket.call("create_chat", direct_wish(alice.id)).await["chat"]["id"].clone();
    delete_whole(&app, &alice).await;
    let add = json!({"chat": {"id": group}, "user": {"id": alice.id}});
    let refused = socket.call("add_member", add).await;
    assert_eq!(refused["error"]["code"], json!("not_found"), "{refused}");
    assert!(refused["error"]["errors"]["user.id"].is_array(), "{refused}");
    let payload = json!({"chat": {"name": "g", "is_group": true, "members_array": [alice.id, carol.id]}});
    let refused = socket.call("create_chat", payload).await;
    assert!(refused["error"]["errors"]["chat.members_array"].is_array(), "{refused}");
    let mut other = app.connect(&carol, Transport::MAIN).await;
    let refused = other.call("create_chat", direct_wish(alice.id)).await;
    assert!(refused["error"]["errors"]["chat.members_array"].is_array(), "{refused}");
    assert_eq!(app.get("/chat", &carol).await, json!([]), "nothing was made");
    // The existing direct chat stays readable and writable.
    assert_eq!(socket.call("create_chat", direct_wish(alice.id)).await["chat"]["id"], direct);
    let payload = json!({"message": {"chat_id": direct, "content": "still there?", "message_type": "text"}});
    assert_eq!(socket.call("send_message", payload).await["ok"], json!(true));
}

#[harness::test]
async fn a_user_who_is_added_to_groups_during_deletion_is_in_none_afterwards() {
    let app = TestApp::start().await;
    let bob = app.person("bob").await;
    let mut socket = app.connect(&bob, Transport::MAIN).await;
    let mut groups = Vec::new();
    for _ in 0..12 {
        groups.push(app.group(&mut socket, &[]).await);
    }
    for round in 0..4 {
        let alice = app.person(&format!("alice{round}")).await;
        let draw = groups.iter().map(|chat| {
            let add = json!({"chat": {"id": chat}, "user": {"id": alice.id}});
            app.send(Method::POST, "/events/add_member", Some(&bob.access), Some(add))
        });
        let found = (0..6).map(|_| {
            let payload = json!({"chat": {"name": "g", "is_group": true, "members_array": [alice.id]}});
            app.send(Method::POST, "/events/create_chat", Some(&bob.access), Some(payload))
        });
        let own = (0..6).map(|_| {
            let payload = json!({"chat": {"name": "own", "is_group": true, "members_array": []}});
            app.send(Method::POST, "/events/create_chat", Some(&alice.access), Some(payload))
        });
        let (drawn, made, _, (status, _)) = tokio::join!(
            futures_util::future::join_all(draw),
            futures_util::future::join_all(found),
            futures_util::future::join_all(own),
            delete(&app, &alice, PASSWORD),
        );
        assert_eq!(status, 204);
        for (status, body) in drawn.into_iter().chain(made) {
            assert!(matches!(status.as_u16(), 200 | 404 | 422), "{body}");
        }
        settled(&app).await;
        let left = entity::member::Entity::of_user(alice.id).all(app.server.context.db.read()).await;
        assert_eq!(left.expect("read"), [], "round {round}");
    }
}

#[harness::test]
async fn an_interrupted_deletion_is_completed_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = crate::support::fresh_database(&folder).await;
    let app = TestApp::on(folder, &url, &[]).await;
    let (alice, bob, carol) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let group = app.group(&mut socket, &[&bob, &carol]).await;
    // The state of the database if the process dies right after the first commit.
    let conn = app.server.context.db.read();
    let gone = user::ActiveModel { id: Set(alice.id), deleted_at: Set(Some(1)), ..Default::default() };
    gone.update(conn).await.expect("updated");
    let left = account_ending::ActiveModel {
        user_id: Set(alice.id),
        photo: Set("mango-01".into()),
        created_at: Set(1),
    };
    account_ending::Entity::insert(left).exec_without_returning(conn).await.expect("inserted");
    assert_eq!(members(&app, group, &bob).await.len(), 3);
    let second = TestApp::on(tempfile::tempdir().expect("a folder"), &database_of(&app), &[]).await;
    settled(&second).await;
    assert_eq!(members(&second, group, &bob).await, [(bob.id, "owner".into()), (carol.id, "member".into())]);
}

#[harness::test]
async fn adding_a_user_waits_for_a_deletion_of_that_user_in_progress() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut socket = app.connect(&bob, Transport::MAIN).await;
    let group = app.group(&mut socket, &[]).await;
    for (person, event, payload, code) in [
        (&alice, "add_member", json!({"chat": {"id": group}, "user": {"id": alice.id}}), "not_found"),
        (
            &carol,
            "create_chat",
            json!({"chat": {"name": "g", "is_group": true, "members_array": [carol.id]}}),
            "validation_failed",
        ),
    ] {
        let tx = app.server.context.db.begin().await.expect("begins");
        let gone = user::ActiveModel { id: Set(person.id), deleted_at: Set(Some(1)), ..Default::default() };
        gone.update(tx.conn()).await.expect("deleted");
        let commit = async {
            app.somebody_waits().await;
            tx.commit_silently().await.expect("commits");
        };
        let (ack, ()) = tokio::join!(socket.call(event, payload), commit);
        assert_eq!(ack["error"]["code"], json!(code), "{event}: {ack}");
        let left = entity::member::Entity::of_user(person.id).all(app.server.context.db.read()).await;
        assert_eq!(left.expect("read"), [], "{event}");
    }
}

#[harness::test]
async fn a_failed_removal_of_a_photo_is_retried() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let photo = json!({"photo": super::picture()});
    let (status, me) = app.send(Method::PUT, "/user/me/photo", Some(&alice.access), Some(photo)).await;
    assert_eq!(status, 200, "{me}");
    let name = me["photo"].as_str().expect("a name");
    let context = &app.server.context;
    let stuck = context.settings.data_dir.join("storage/photos").join(name).join("50x50.webp");
    assert!(stuck.is_file(), "{}", stuck.display());
    // A folder in place of the file makes its removal fail.
    std::fs::remove_file(&stuck).expect("removed");
    std::fs::create_dir(&stuck).expect("a folder");
    assert_eq!(delete(&app, &alice, PASSWORD).await.0, 204);
    finish_all(context).await.expect("runs");
    let left = account_ending::Entity::find().all(context.db.read()).await.expect("read");
    assert_eq!(left.len(), 1, "it is not forgotten");
    std::fs::remove_dir(&stuck).expect("out of the way");
    finish_all(context).await.expect("runs");
    settled(&app).await;
    let files = std::fs::read_dir(stuck.parent().expect("a folder"));
    assert_eq!(files.map_or(0, Iterator::count), 0, "all of it is gone");
}
