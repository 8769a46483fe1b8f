//! A polling client (Engine.IO 4 over plain requests) that sends nothing by itself.

use serde_json::Value;

use super::TestApp;

/// One session.
#[derive(Clone)]
pub struct Polling {
    http: reqwest::Client,
    token: String,
    /// The URL with the session's id.
    pub url: String,
    /// The session's id.
    pub sid: String,
}

impl Polling {
    /// Opens a session that has joined no namespace yet.
    pub async fn open(app: &TestApp, token: &str) -> Self {
        let base = format!("{}/socket.io/?EIO=4&transport=polling", app.url);
        let open = app.http.get(&base).header("auth", token).send().await.expect("an answer");
        let open = open.text().await.expect("text");
        let open: Value = serde_json::from_str(open.trim_start_matches('0')).expect("JSON");
        let sid = open["sid"].as_str().expect("a sid").to_owned();
        Self { http: app.http.clone(), token: token.to_owned(), url: format!("{base}&sid={sid}"), sid }
    }

    /// Fetches the ping that socketioxide sends as soon as a session is open.
    pub async fn fetch_first_ping(&self, app: &TestApp) {
        if !app.server.context.settings.sockets.fast_path {
            assert_eq!(self.get().await, (200, "2".to_owned()));
        }
    }

    /// Opens a session and joins the namespace `/`.
    pub async fn connect(app: &TestApp, token: &str) -> Self {
        let polling = Self::open(app, token).await;
        assert_eq!(polling.post("40").await, 200);
        let mut heard = String::new();
        while !heard.contains("40{") {
            heard = polling.get().await.1;
        }
        polling
    }

    /// Sends packets; returns the status.
    pub async fn post(&self, packets: &str) -> u16 {
        let request = self.http.post(&self.url).header("auth", &self.token).body(packets.to_owned());
        request.send().await.expect("an answer").status().as_u16()
    }

    /// Requests the waiting packets; returns the status and the body.
    pub async fn get(&self) -> (u16, String) {
        let answer = self.http.get(&self.url).header("auth", &self.token).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }
}
