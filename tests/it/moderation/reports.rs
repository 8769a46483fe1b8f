//! Reports, from whoever makes them to whoever works them off.

use mango_chat::domain::users;
use mango_chat::ids::UserId;
use reqwest::Method;
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;
use serde_json::{Value, json};

use super::Ground;
use crate::support::{Door, Person};

/// A chat of the user and the moderator, with a message of the user.
async fn chat_with_message(ground: &Ground, content: &str) -> (i64, i64) {
    let mut owner = ground.app.connect(&ground.user, Door::MAIN).await;
    let chat = ground.app.group(&mut owner, &[&ground.moderator]).await;
    let wish = json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}});
    let sent = owner.call("send_message", wish).await;
    (chat, sent["message"]["id"].as_i64().expect("an id"))
}

async fn report(ground: &Ground, by: &Person, wish: Value) -> (u16, Value) {
    ground.post(by, "/report", wish).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_keeps_the_message_as_it_was_and_is_resolved_once() {
    let ground = Ground::start().await;
    let app = &ground.app;
    let (chat, message) = chat_with_message(&ground, "buy my pills").await;
    let wish = json!({"message_id": message, "reason": " spam "});
    let (status, made) = report(&ground, &ground.moderator, wish.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!((&made["user_id"], &made["chat_id"]), (&json!(ground.user.id), &json!(chat)));
    assert_eq!((&made["state"], &made["reason"]), (&json!("open"), &json!("spam")));
    let edit = json!({"message": {"id": message, "content": "innocent"}});
    assert_eq!(ground.post(&ground.user, "/events/edit_message", edit).await.0, 200);
    let (status, again) = report(&ground, &ground.moderator, wish.clone()).await;
    assert_eq!((status, &again), (200, &made), "the same again answers the one that is open");
    let listed = app.get("/admin/report", &ground.moderator).await;
    assert_eq!(listed.as_array().expect("a list").len(), 1);
    assert_eq!(listed[0]["content"], json!("buy my pills"));
    assert_eq!(listed[0]["reporter"]["username"], json!("mod"));
    assert_eq!(listed[0]["user"]["username"], json!("user"));
    let details = app.get(&format!("/admin/user/{}", ground.user.id), &ground.moderator).await;
    assert_eq!((&details["open_reports"], &details["reports"]), (&json!(1), &json!(1)));
    let path = format!("/admin/report/{}/resolve", made["id"]);
    for wish in [json!({}), json!({"resolution": ""}), json!({"resolution": "x".repeat(1_001)})] {
        assert_eq!(ground.post(&ground.admin, &path, wish).await.0, 422);
    }
    let (status, resolved) = ground.post(&ground.admin, &path, json!({"resolution": "warned"})).await;
    assert_eq!((status, &resolved["state"]), (200, &json!("resolved")), "{resolved}");
    assert_eq!(resolved["resolved_by"], json!(ground.admin.id));
    let (status, later) = ground.post(&ground.moderator, &path, json!({"resolution": "no, banned"})).await;
    assert_eq!((status, &later), (200, &resolved), "the first word stands");
    assert_eq!(app.get("/admin/report", &ground.moderator).await, json!([]));
    assert_eq!(app.get("/admin/report?state=resolved", &ground.moderator).await[0], resolved);
    let acts = ground.audit().await;
    assert_eq!((&acts[0]["action"], &acts[0]["target_id"]), (&json!("report.resolve"), &made["id"]));
    assert_eq!(acts[0]["details"], json!({"resolution": "warned"}));
    let (status, anew) = report(&ground, &ground.moderator, wish).await;
    assert_eq!(status, 201, "resolved and again: a new one");
    assert_ne!(anew["id"], made["id"]);
    assert_eq!(
        ground.post(&ground.admin, "/admin/report/999999/resolve", json!({"resolution": "x"})).await.0,
        404
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_learns_nothing_by_reporting() {
    let ground = Ground::start().await;
    let (_, message) = chat_with_message(&ground, "private").await;
    let stranger = ground.app.person("stranger").await;
    let (status, there) = report(&ground, &stranger, json!({"message_id": message, "reason": "x"})).await;
    let (_, absent) = report(&ground, &stranger, json!({"message_id": 999_999, "reason": "x"})).await;
    assert_eq!((status, &there["code"]), (404, &json!("not_found")));
    assert_eq!((&there["detail"], &there["errors"]), (&absent["detail"], &absent["errors"]));
    // An admin is a stranger too, as long as nobody has reported.
    assert_eq!(report(&ground, &ground.admin, json!({"message_id": message, "reason": "x"})).await.0, 404);
    assert_eq!(ground.app.get("/admin/report", &ground.admin).await, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_does_not_fit_names_its_field() {
    let ground = Ground::start().await;
    let (_, message) = chat_with_message(&ground, "mine").await;
    for (wish, status, field) in [
        (json!({"reason": "x"}), 422, "message_id"),
        (json!({"reason": "x", "message_id": 1, "user_id": 1}), 422, "message_id"),
        (json!({"reason": "x", "message_id": message}), 422, "message_id"),
        (json!({"reason": "x", "user_id": ground.user.id}), 422, "user_id"),
        (json!({"reason": "x", "user_id": 999_999}), 404, "user_id"),
        (json!({"reason": "x", "user_id": "1x"}), 422, "user_id"),
        (json!({"reason": "", "user_id": 1}), 422, "reason"),
        (json!({"reason": "x".repeat(1_001), "user_id": 1}), 422, "reason"),
        (json!({"user_id": 1}), 422, "reason"),
    ] {
        let (got, body) = report(&ground, &ground.user, wish.clone()).await;
        assert_eq!(got, status, "{wish}: {body}");
        assert!(body["errors"].get(field).is_some(), "{wish}: {body}");
    }
    assert_eq!(ground.app.get("/admin/report", &ground.admin).await, json!([]));
    let (status, _) =
        ground.app.send(Method::POST, "/report", None, Some(json!({"reason": "x", "user_id": 1}))).await;
    assert_eq!(status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_report_comes_of_many_at_the_same_instant() {
    let ground = Ground::start().await;
    let wish = json!({"user_id": ground.user.id, "reason": "rude"});
    let made =
        futures_util::future::join_all((0..8).map(|_| report(&ground, &ground.moderator, wish.clone())))
            .await;
    assert_eq!(made.iter().filter(|(status, _)| *status == 201).count(), 1, "{made:?}");
    assert!(made.iter().all(|(_, body)| body["id"] == made[0].1["id"]), "{made:?}");
    assert_eq!(ground.app.get("/admin/report", &ground.admin).await.as_array().expect("a list").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_waits_for_the_same_one_that_is_just_being_stored() {
    let ground = Ground::start().await;
    let tx = ground.app.server.core.db.begin().await.expect("begins");
    users::lock(tx.conn(), UserId(ground.moderator.id)).await.expect("locked");
    let first = entity::report::ActiveModel {
        reporter_id: Set(ground.moderator.id),
        user_id: Set(ground.user.id),
        reason: Set("rude".into()),
        state: Set("open".into()),
        created_at: Set(1),
        ..Default::default()
    };
    let first = first.insert(tx.conn()).await.expect("inserted");
    let commit = async {
        ground.app.somebody_waits().await;
        tx.commit(()).await.expect("commits");
    };
    let wish = json!({"user_id": ground.user.id, "reason": "rude"});
    let ((status, body), ()) = tokio::join!(report(&ground, &ground.moderator, wish), commit);
    assert_eq!((status, &body["id"]), (200, &json!(first.id)), "{body}");
}
