//! Lists for moderators and admins: users, the audit log, mails, statistics.

use entity::enums::MailState;
use entity::mail;
use reqwest::Method;
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use super::Fixture;
use crate::support::{PASSWORD, Person, TestApp, Transport};

/// Returns all items of a list, page by page, following its `Link` headers, and the number of pages.
async fn all_pages(app: &TestApp, person: &Person, path: &str) -> (Vec<Value>, usize) {
    let (mut items, mut pages) = (Vec::new(), 0);
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let answer = app.raw(Method::GET, &path, Some(&person.access), None).await;
        assert_eq!(answer.status(), 200, "{path}");
        next = answer.headers().get("link").map(|link| {
            let link = link.to_str().expect("text");
            assert!(link.ends_with("; rel=\"next\""), "{link}");
            link[1..link.find('>').expect("a URL")].to_owned()
        });
        let page: Vec<Value> = answer.json().await.expect("a list");
        assert!(!page.is_empty() || pages == 0, "no page without anything");
        items.extend(page);
        pages += 1;
    }
    (items, pages)
}

#[harness::test]
async fn users_are_listed_in_pages_and_only_admins_see_contact_data() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    for number in 0..7 {
        let payload = json!({
            "username": format!("picker{number}"), "name": "100% & Co", "password": PASSWORD,
            "email": format!("picker{number}@example.org"), "phone": format!("+7000{number}"),
        });
        let (status, _) = app.send(Method::POST, "/user", None, Some(payload)).await;
        assert_eq!(status, 201);
    }
    let (found, pages) = all_pages(app, &fixture.admin, "/admin/user?query=100%25%20%26&limit=3").await;
    assert_eq!((found.len(), pages), (7, 3));
    let ids: Vec<i64> = found.iter().map(|it| it["id"].as_i64().expect("an id")).collect();
    assert!(ids.is_sorted() && ids.windows(2).all(|two| two[0] != two[1]), "{ids:?}");
    assert_eq!(found[0]["reach"]["email"], json!("picker0@example.org"));
    let (by_email, _) = all_pages(app, &fixture.admin, "/admin/user?query=picker3%40").await;
    assert_eq!(by_email.len(), 1);
    // Moderators neither see contact details nor can search by them.
    let (seen, _) = all_pages(app, &fixture.moderator, "/admin/user?query=picker").await;
    assert_eq!(seen.len(), 7);
    assert!(seen.iter().all(|it| it["reach"] == Value::Null), "{seen:?}");
    assert_eq!(all_pages(app, &fixture.moderator, "/admin/user?query=example.org").await.0.len(), 0);
    let (all, _) = all_pages(app, &fixture.moderator, "/admin/user").await;
    assert_eq!(all.len(), 10, "without a query: everybody");
    let (staff, _) = all_pages(app, &fixture.admin, "/admin/user?role=moderator").await;
    assert_eq!(staff.iter().map(|it| &it["username"]).collect::<Vec<_>>(), [&json!("mod")]);
    fixture.ban(&fixture.admin, &fixture.user, json!({"reason": "x"})).await;
    let (banned, _) = all_pages(app, &fixture.admin, "/admin/user?banned=true").await;
    assert_eq!(banned.iter().map(|it| &it["username"]).collect::<Vec<_>>(), [&json!("user")]);
    assert_eq!(all_pages(app, &fixture.admin, "/admin/user?banned=false&limit=4").await.0.len(), 9);
    for (query, field) in [
        ("banned=maybe", "banned"),
        ("role=king", "role"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=x", "cursor"),
        ("query=%00", "query"),
    ] {
        let (status, body) =
            app.send(Method::GET, &format!("/admin/user?{query}"), Some(&fixture.admin.access), None).await;
        assert_eq!(status, 422, "{query}");
        assert!(body["errors"].get(field).is_some(), "{query}: {body}");
    }
}

#[harness::test]
async fn the_audit_log_is_listed_in_pages_newest_first() {
    let fixture = Fixture::start().await;
    for round in 0..6 {
        fixture.ban(&fixture.moderator, &fixture.user, json!({"reason": format!("round {round}")})).await;
    }
    let (acts, pages) = all_pages(&fixture.app, &fixture.admin, "/admin/audit?limit=3").await;
    // The first two entries are the creation of the admin and of the moderator.
    assert_eq!((acts.len(), pages), (8, 3));
    assert_eq!(acts[0]["details"]["reason"], json!("round 5"));
    assert_eq!(acts[7]["action"], json!("admin.create"));
    assert_eq!((&acts[7]["actor_id"], &acts[7]["address"]), (&Value::Null, &Value::Null));
    let count = async |query: &str| {
        all_pages(&fixture.app, &fixture.admin, &format!("/admin/audit?limit=2&{query}")).await.0.len()
    };
    assert_eq!(count("action=user.ban").await, 6);
    assert_eq!(count(&format!("actor={}", fixture.admin.id)).await, 1);
    assert_eq!(count(&format!("user={}", fixture.user.id)).await, 6);
    assert_eq!(count(&format!("user={}&action=user.role", fixture.moderator.id)).await, 1);
}

#[harness::test]
async fn mails_and_statistics_are_for_admins_only() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let mut socket = app.connect(&fixture.user, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&fixture.moderator]).await;
    for text in ["one", "two", "three"] {
        let payload = json!({"message": {"chat_id": chat, "content": text, "message_type": "text"}});
        assert_eq!(socket.call("send_message", payload).await["ok"], json!(true));
    }
    for (number, state) in ["queued", "failed", "failed", "sent"].into_iter().enumerate() {
        let row = mail::ActiveModel {
            user_id: Set(Some(fixture.user.id)),
            template: Set(entity::enums::MailTemplate::VerifyEmail),
            recipient: Set(format!("a{number}@example.org")),
            subject: Set("Hello".into()),
            message_id: Set(format!("<{number}@example.org>")),
            state: Set(MailState::from_text(state).expect("a state")),
            attempts: Set(0),
            created_at: Set(1),
            ..Default::default()
        };
        mail::Entity::insert(row).exec(app.server.context.db.read()).await.expect("inserted");
    }
    let (mails, pages) = all_pages(app, &fixture.admin, "/admin/mail?limit=3").await;
    assert_eq!((mails.len(), pages), (4, 2));
    assert_eq!(mails[0]["recipient"], json!("a3@example.org"));
    assert_eq!(all_pages(app, &fixture.admin, "/admin/mail?state=failed&limit=1").await, {
        let failed: Vec<Value> = mails.iter().filter(|it| it["state"] == json!("failed")).cloned().collect();
        (failed, 2)
    });
    let (status, _) =
        app.send(Method::GET, "/admin/mail?state=lost", Some(&fixture.admin.access), None).await;
    assert_eq!(status, 422);
    fixture.ban(&fixture.admin, &app.person("banned").await, json!({"reason": "x"})).await;
    fixture.post(&fixture.user, "/report", json!({"user_id": fixture.admin.id, "reason": "power"})).await;
    let figures = app.get("/admin/statistics", &fixture.admin).await;
    for (name, value) in [
        ("users", 4),
        ("users_active_24h", 4),
        ("users_banned", 1),
        ("users_deleted", 0),
        ("chats", 1),
        ("groups", 1),
        ("messages", 3),
        ("messages_24h", 3),
        ("online", 1),
        ("sockets", 1),
        ("mails_queued", 1),
        ("mails_failed", 2),
        ("open_reports", 1),
    ] {
        assert_eq!(figures[name], json!(value), "{name}: {figures}");
    }
    app.person("late").await;
    assert_eq!(app.get("/admin/statistics", &fixture.admin).await, figures, "counted once in ten seconds");
}
