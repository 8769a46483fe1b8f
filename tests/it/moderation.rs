//! Roles, bans, reports and the lists that admins read.

mod bans;
mod command_line;
mod lists;
mod panel;
mod reports;
mod roles;

use mango_chat::domain::moderation::{Appointment, appoint};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, TestApp};

/// A server with an admin, a moderator and a user without a role.
pub struct Fixture {
    pub app: TestApp,
    pub admin: Person,
    pub moderator: Person,
    pub user: Person,
}

impl Fixture {
    pub async fn start() -> Self {
        let app = TestApp::start().await;
        let admin = app.person("root").await;
        make_admin(&app, "root").await;
        let moderator = app.person("mod").await;
        let user = app.person("user").await;
        let fixture = Self { app, admin, moderator, user };
        fixture.give(&fixture.moderator, "moderator").await;
        fixture
    }

    /// Gives a user a role, as the admin.
    pub async fn give(&self, person: &Person, role: &str) {
        let path = format!("/admin/user/{}/role", person.id);
        let (status, body) = self.put(&self.admin, &path, json!({"role": role})).await;
        assert_eq!((status, &body["role"]), (200, &json!(role)), "{body}");
    }

    pub async fn put(&self, by: &Person, path: &str, body: Value) -> (u16, Value) {
        let (status, body) = self.app.send(Method::PUT, path, Some(&by.access), Some(body)).await;
        (status.as_u16(), body)
    }

    pub async fn post(&self, by: &Person, path: &str, body: Value) -> (u16, Value) {
        let (status, body) = self.app.send(Method::POST, path, Some(&by.access), Some(body)).await;
        (status.as_u16(), body)
    }

    pub async fn ban(&self, by: &Person, whom: &Person, payload: Value) -> (u16, Value) {
        self.post(by, &format!("/admin/user/{}/ban", whom.id), payload).await
    }

    /// Returns the newest entries of the audit log, as the admin reads them.
    pub async fn audit(&self) -> Vec<Value> {
        self.app.get("/admin/audit", &self.admin).await.as_array().expect("a list").clone()
    }
}

/// Makes a user an admin, as `admin create --promote` does.
pub async fn make_admin(app: &TestApp, username: &str) {
    let payload = Appointment { username: username.into(), email: None, password: None };
    appoint(&app.server.context, payload).await.expect("promoted");
}
