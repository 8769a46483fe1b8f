//! PostgreSQL with serializable isolation aborts one of two transactions that touch the same rows. The server retries
//! it, so REST clients do not notice.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};

use crate::support::{PASSWORD, Person, TestApp, database_kind, fresh_database};

/// Starts a server on a database with serializable isolation; `None` on SQLite, which has one writer.
async fn isolated() -> Option<TestApp> {
    if database_kind() != "postgres" {
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let db = Database::connect(&url).await.expect("PostgreSQL answers");
    let (_, name) = url.rsplit_once('/').expect("the URL names a database");
    let sql = format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'");
    db.execute_unprepared(&sql).await.expect("set");
    db.close().await.expect("closed");
    Some(TestApp::on(folder, &url, &[]).await)
}

/// Sends the same request several times at once, with different bodies; all must succeed.
async fn at_once(app: &TestApp, person: Option<&Person>, method: Method, path: &str, bodies: Vec<Value>) {
    let token = person.map(|it| it.access.as_str());
    let requests = bodies.into_iter().map(|body| app.send(method.clone(), path, token, Some(body)));
    for (status, body) in join_all(requests).await {
        assert!(status.is_success(), "{method} {path}: {status} {body}");
    }
}

#[harness::test]
async fn concurrent_rest_requests_that_conflict_are_retried_and_all_succeed() {
    let Some(app) = isolated().await else { return };
    let (alice, bob, carol) = app.three().await;
    let four = |body: Value| vec![body; 4];
    for _ in 0..3 {
        // Four tabs refresh at once.
        let fresh = app.login("alice").await;
        at_once(&app, None, Method::POST, "/auth/refresh", four(json!({"refresh_token": fresh.refresh})))
            .await;
        let login = json!({"username": "alice", "password": PASSWORD});
        at_once(&app, None, Method::POST, "/auth/login", four(login)).await;
        let names = (0..4).map(|number| json!({"name": format!("Alice {number}")})).collect();
        at_once(&app, Some(&alice), Method::PATCH, "/user/me", names).await;
        let follow = [bob.id, carol.id, bob.id, carol.id].map(|id| json!({"user": {"id": id}}));
        at_once(&app, Some(&alice), Method::POST, "/events/follow", follow.to_vec()).await;
        at_once(&app, Some(&alice), Method::POST, "/events/unfollow", follow.to_vec()).await;
        let report = json!({"user_id": bob.id, "reason": "spam"});
        at_once(&app, Some(&alice), Method::POST, "/report", four(report)).await;
    }
    // Several users at once, with reads among them.
    let people = [&alice, &bob, &carol];
    let mixed = (0..12).map(|number| {
        let person = people[number % 3];
        let app = &app;
        async move {
            let body = json!({"description": number.to_string()});
            let changed = app.send(Method::PATCH, "/user/me", Some(&person.access), Some(body)).await.0;
            let refresh = json!({"refresh_token": person.refresh});
            let refreshed = app.send(Method::POST, "/auth/refresh", None, Some(refresh)).await.0;
            let read = app.send(Method::GET, "/user/me", Some(&person.access), None).await.0;
            [changed, refreshed, read]
        }
    });
    let statuses: Vec<StatusCode> = join_all(mixed).await.into_iter().flatten().collect();
    assert!(statuses.iter().all(reqwest::StatusCode::is_success), "{statuses:?}");
}
