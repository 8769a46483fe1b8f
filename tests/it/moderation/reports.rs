//! Reports, from the users who make them to the moderators who close them.

use mango_chat::domain::users;
use mango_chat::ids::UserId;
use reqwest::Method;
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;
use serde_json::{Value, json};

use super::Fixture;
use crate::support::{Person, Transport};

/// Creates a chat of the user and the moderator with a message by the user.
async fn chat_with_message(fixture: &Fixture, content: &str) -> (i64, i64) {
    let mut owner = fixture.app.connect(&fixture.user, Transport::MAIN).await;
    let chat = fixture.app.group(&mut owner, &[&fixture.moderator]).await;
    let payload = json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}});
    let sent = owner.call("send_message", payload).await;
    (chat, sent["message"]["id"].as_i64().expect("an id"))
}

async fn report(fixture: &Fixture, by: &Person, payload: Value) -> (u16, Value) {
    fixture.post(by, "/report", payload).await
}

#[harness::test]
async fn a_report_stores_the_reported_message_and_is_resolved_once() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let (chat, message) = chat_with_message(&fixture, "buy my pills").await;
    let payload = json!({"message_id": message, "reason": " spam "});
    let (status, made) = report(&fixture, &fixture.moderator, payload.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!((&made["user_id"], &made["chat_id"]), (&json!(fixture.user.id), &json!(chat)));
    assert_eq!((&made["state"], &made["reason"]), (&json!("open"), &json!("spam")));
    let edit = json!({"message": {"id": message, "content": "innocent"}});
    assert_eq!(fixture.post(&fixture.user, "/events/edit_message", edit).await.0, 200);
    let (status, again) = report(&fixture, &fixture.moderator, payload.clone()).await;
    assert_eq!((status, &again), (200, &made), "the same again answers the one that is open");
    let event = json!({"message": {"id": message}, "reason": "spam"});
    let (status, ack) = fixture.post(&fixture.moderator, "/events/report", event).await;
    assert_eq!((status, &ack["report"], &ack["duplicate"]), (200, &made, &json!(true)), "{ack}");
    for (payload, field) in [
        (json!({"reason": "x"}), "message"),
        (json!({"message": {"id": message}, "user": {"id": fixture.user.id}, "reason": "x"}), "message"),
        (json!({"message": {"id": message}, "reason": " "}), "reason"),
        (json!({"message": {"id": 999_999}, "reason": "x"}), "message.id"),
        (json!({"user": {"id": fixture.moderator.id}, "reason": "x"}), "user.id"),
    ] {
        let (_, problem) = fixture.post(&fixture.moderator, "/events/report", payload).await;
        assert!(problem["errors"][field].is_array(), "{field}: {problem}");
    }
    let listed = app.get("/admin/report", &fixture.moderator).await;
    assert_eq!(listed.as_array().expect("a list").len(), 1);
    assert_eq!(listed[0]["content"], json!("buy my pills"));
    assert_eq!(listed[0]["reporter"]["username"], json!("mod"));
    assert_eq!(listed[0]["user"]["username"], json!("user"));
    let details = app.get(&format!("/admin/user/{}", fixture.user.id), &fixture.moderator).await;
    assert_eq!((&details["open_reports"], &details["reports"]), (&json!(1), &json!(1)));
    let path = format!("/admin/report/{}/resolve", made["id"]);
    for payload in [json!({}), json!({"resolution": ""}), json!({"resolution": "x".repeat(1_001)})] {
        assert_eq!(fixture.post(&fixture.admin, &path, payload).await.0, 422);
    }
    let (status, resolved) = fixture.post(&fixture.admin, &path, json!({"resolution": "warned"})).await;
    assert_eq!((status, &resolved["state"]), (200, &json!("resolved")), "{resolved}");
    assert_eq!(resolved["resolved_by"], json!(fixture.admin.id));
    let (status, later) = fixture.post(&fixture.moderator, &path, json!({"resolution": "no, banned"})).await;
    assert_eq!((status, &later), (200, &resolved), "the first word stands");
    assert_eq!(app.get("/admin/report", &fixture.moderator).await, json!([]));
    assert_eq!(app.get("/admin/report?state=resolved", &fixture.moderator).await[0], resolved);
    let acts = fixture.audit().await;
    assert_eq!((&acts[0]["action"], &acts[0]["target_id"]), (&json!("report.resolve"), &made["id"]));
    assert_eq!(acts[0]["details"], json!({"resolution": "warned"}));
    let (status, anew) = report(&fixture, &fixture.moderator, payload).await;
    assert_eq!(status, 201, "resolved and again: a new one");
    assert_ne!(anew["id"], made["id"]);
    assert_eq!(
        fixture.post(&fixture.admin, "/admin/report/999999/resolve", json!({"resolution": "x"})).await.0,
        404
    );
}

#[harness::test]
async fn a_report_reveals_nothing_to_a_stranger() {
    let fixture = Fixture::start().await;
    let (_, message) = chat_with_message(&fixture, "private").await;
    let stranger = fixture.app.person("stranger").await;
    let (status, there) = report(&fixture, &stranger, json!({"message_id": message, "reason": "x"})).await;
    let (_, absent) = report(&fixture, &stranger, json!({"message_id": 999_999, "reason": "x"})).await;
    assert_eq!((status, &there["code"]), (404, &json!("not_found")));
    assert_eq!((&there["detail"], &there["errors"]), (&absent["detail"], &absent["errors"]));
    // An admin has no access either until a member reports the message.
    assert_eq!(report(&fixture, &fixture.admin, json!({"message_id": message, "reason": "x"})).await.0, 404);
    assert_eq!(fixture.app.get("/admin/report", &fixture.admin).await, json!([]));
}

#[harness::test]
async fn an_invalid_report_names_the_invalid_field() {
    let fixture = Fixture::start().await;
    let (_, message) = chat_with_message(&fixture, "mine").await;
    for (payload, status, field) in [
        (json!({"reason": "x"}), 422, "message_id"),
        (json!({"reason": "x", "message_id": 1, "user_id": 1}), 422, "message_id"),
        (json!({"reason": "x", "message_id": message}), 422, "message_id"),
        (json!({"reason": "x", "user_id": fixture.user.id}), 422, "user_id"),
        (json!({"reason": "x", "user_id": 999_999}), 404, "user_id"),
        (json!({"reason": "x", "user_id": "1x"}), 422, "user_id"),
        (json!({"reason": "", "user_id": 1}), 422, "reason"),
        (json!({"reason": "x".repeat(1_001), "user_id": 1}), 422, "reason"),
        (json!({"user_id": 1}), 422, "reason"),
    ] {
        let (got, body) = report(&fixture, &fixture.user, payload.clone()).await;
        assert_eq!(got, status, "{payload}: {body}");
        assert!(body["errors"].get(field).is_some(), "{payload}: {body}");
    }
    assert_eq!(fixture.app.get("/admin/report", &fixture.admin).await, json!([]));
    let (status, _) =
        fixture.app.send(Method::POST, "/report", None, Some(json!({"reason": "x", "user_id": 1}))).await;
    assert_eq!(status, 401);
}

#[harness::test]
async fn concurrent_identical_reports_create_one() {
    let fixture = Fixture::start().await;
    let payload = json!({"user_id": fixture.user.id, "reason": "rude"});
    let made =
        futures_util::future::join_all((0..8).map(|_| report(&fixture, &fixture.moderator, payload.clone())))
            .await;
    assert_eq!(made.iter().filter(|(status, _)| *status == 201).count(), 1, "{made:?}");
    assert!(made.iter().all(|(_, body)| body["id"] == made[0].1["id"]), "{made:?}");
    assert_eq!(fixture.app.get("/admin/report", &fixture.admin).await.as_array().expect("a list").len(), 1);
}

#[harness::test]
async fn a_report_waits_for_an_identical_one_in_progress() {
    let fixture = Fixture::start().await;
    let tx = fixture.app.server.context.db.begin().await.expect("begins");
    users::lock(tx.conn(), UserId(fixture.moderator.id)).await.expect("locked");
    let first = entity::report::ActiveModel {
        reporter_id: Set(Some(fixture.moderator.id)),
        user_id: Set(fixture.user.id),
        reason: Set("rude".into()),
        state: Set(entity::enums::ReportState::Open),
        created_at: Set(1),
        ..Default::default()
    };
    let first = first.insert(tx.conn()).await.expect("inserted");
    let commit = async {
        fixture.app.somebody_waits().await;
        tx.commit_silently().await.expect("commits");
    };
    let payload = json!({"user_id": fixture.user.id, "reason": "rude"});
    let ((status, body), ()) = tokio::join!(report(&fixture, &fixture.moderator, payload), commit);
    assert_eq!((status, &body["id"]), (200, &json!(first.id)), "{body}");
}

#[harness::test]
async fn moderators_share_the_queue_by_claims_and_notes() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let other = app.person("mod2").await;
    fixture.give(&other, "moderator").await;
    let mut ids = Vec::new();
    for reason in ["rude", "spam"] {
        let by = if reason == "rude" { &fixture.moderator } else { &other };
        let (_, made) = report(&fixture, by, json!({"user_id": fixture.user.id, "reason": reason})).await;
        ids.push(made["id"].as_i64().expect("an id"));
    }
    let claim = format!("/admin/report/{}/claim", ids[0]);
    let note = format!("/admin/report/{}/note", ids[0]);
    let (status, claimed) = fixture.post(&fixture.moderator, &claim, json!({})).await;
    assert_eq!((status, &claimed["claimed_by"]["username"]), (200, &json!("mod")), "{claimed}");
    assert!(claimed["claimed_at"].is_string());
    let (_, again) = fixture.post(&fixture.moderator, &claim, json!({"claimed": true})).await;
    assert_eq!(again, claimed, "a repeated claim changes nothing");
    for body in [json!({}), json!({"claimed": false})] {
        let (status, problem) = fixture.post(&other, &claim, body).await;
        assert_eq!((status, &problem["code"]), (403, &json!("forbidden")), "{problem}");
    }
    let list = async |query: &str, by: &Person| {
        let listed = app.get(&format!("/admin/report?{query}"), by).await;
        let ids = listed.as_array().expect("a list").iter().map(|it| it["id"].as_i64().expect("an id"));
        ids.collect::<Vec<_>>()
    };
    assert_eq!(list("claimed=nobody", &other).await, [ids[1]]);
    assert_eq!(list("claimed=me", &other).await, [0; 0]);
    assert_eq!(list("claimed=me", &fixture.moderator).await, [ids[0]]);
    assert_eq!(list("", &other).await, [ids[1], ids[0]]);
    let (status, noted) = fixture.put(&other, &note, json!({"note": " asked the user "})).await;
    assert_eq!((status, &noted["note"]), (200, &json!("asked the user")), "{noted}");
    let (_, taken) = fixture.post(&other, &claim, json!({"take_over": true})).await;
    assert_eq!(taken["claimed_by"]["username"], json!("mod2"));
    let (_, released) = fixture.post(&other, &claim, json!({"claimed": false})).await;
    assert_eq!((&released["claimed_by"], &released["claimed_at"]), (&Value::Null, &Value::Null));
    let (_, emptied) = fixture.put(&other, &note, json!({"note": ""})).await;
    assert_eq!(emptied["note"], Value::Null);
    let acts = fixture.audit().await;
    let acts: Vec<&str> = acts.iter().take(5).filter_map(|it| it["action"].as_str()).collect();
    let wanted = ["report.note", "report.release", "report.claim", "report.note", "report.claim"];
    assert_eq!(acts, wanted, "only changes are recorded, newest first");
    for (path, body) in [(&claim, json!({"claimed": "yes"})), (&note, json!({"note": "x".repeat(2_001)}))] {
        let by = &fixture.moderator;
        let (status, problem) = if path == &note {
            fixture.put(by, path, body).await
        } else {
            fixture.post(by, path, body).await
        };
        assert_eq!(status, 422, "{problem}");
    }
    let listed = fixture.app.send(Method::GET, "/admin/report?claimed=all", Some(&other.access), None).await;
    assert!(listed.0 == 422 && listed.1["errors"]["claimed"].is_array(), "{}", listed.1);
    // A report about a moderator is for the others.
    let (_, about) =
        report(&fixture, &other, json!({"user_id": fixture.moderator.id, "reason": "unfair"})).await;
    let id = about["id"].as_i64().expect("an id");
    assert!(!list("", &fixture.moderator).await.contains(&id));
    assert!(list("", &other).await.contains(&id));
    for path in [format!("/admin/report/{id}/claim"), format!("/admin/report/{id}/resolve")] {
        let (status, _) = fixture.post(&fixture.moderator, &path, json!({"resolution": "nothing"})).await;
        assert_eq!(status, 404, "{path}");
    }
    assert_eq!(fixture.post(&other, &format!("/admin/report/{id}/claim"), json!({})).await.0, 200);
    // Its reporter sees neither who works on it nor the note.
    let (_, own) = report(&fixture, &other, json!({"user_id": fixture.user.id, "reason": "spam"})).await;
    assert!(own.get("note").is_none() && own.get("claimed_by").is_none(), "{own}");
    for path in [claim, note, format!("/admin/report/{}/resolve", ids[0])] {
        let method = if path.ends_with("note") { Method::PUT } else { Method::POST };
        let body = json!({"note": "x", "resolution": "x"});
        let (status, _) = app.send(method, &path, Some(&fixture.user.access), Some(body)).await;
        assert_eq!(status, 403, "{path}");
    }
}
