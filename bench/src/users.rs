//! Users for a bench. They are registered and logged in over REST, a few at a time, because password hashes are slow on
//! purpose.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};

use crate::Result;
use crate::client::Client;

/// The number of registrations at the same time; more would only wait in the server.
const AT_ONCE: usize = 4;

/// The number of connections opened at the same time.
const CONNECTING_AT_ONCE: usize = 50;

/// One user.
#[derive(Clone, Debug)]
pub struct User {
    /// The user's id.
    pub id: i64,
    /// The access token.
    pub token: String,
}

/// Registers and logs in `count` new users.
pub async fn register(url: &str, count: usize) -> Result<Vec<User>> {
    let http = reqwest::Client::new();
    // Usernames differ between runs, so that one server can be measured twice.
    let run = RandomState::new().build_hasher().finish() & 0xffff_ffff;
    let futures = (0..count).map(|number| {
        let (http, name) = (http.clone(), format!("bench_{run:08x}_{number}"));
        async move { register_and_log_in(&http, url, &name).await }
    });
    gather(futures, AT_ONCE).await
}

/// Registers `count` new users without logging them in; returns their usernames and passwords.
pub async fn register_for_login(url: &str, count: usize) -> Result<Vec<(String, String)>> {
    let http = reqwest::Client::new();
    let run = RandomState::new().build_hasher().finish() & 0xffff_ffff;
    let futures = (0..count).map(|number| {
        let (http, name) = (http.clone(), format!("login_{run:08x}_{number}"));
        async move {
            let password = format!("password of {name}");
            post(&http, &format!("{url}/user"), &json!({"username": name, "password": password})).await?;
            Ok((name, password))
        }
    });
    gather(futures, AT_ONCE).await
}

/// Registers `count` new users who never log in; returns their ids.
pub async fn register_without_login(url: &str, count: usize) -> Result<Vec<i64>> {
    let http = reqwest::Client::new();
    let run = RandomState::new().build_hasher().finish() & 0xffff_ffff;
    let futures = (0..count).map(|number| {
        let (http, name) = (http.clone(), format!("member_{run:08x}_{number}"));
        async move {
            let body = json!({"username": name, "password": format!("password of {name}")});
            let me = post(&http, &format!("{url}/user"), &body).await?;
            me["id"].as_i64().ok_or_else(|| "the registration returned no id".into())
        }
    });
    gather(futures, AT_ONCE).await
}

async fn register_and_log_in(http: &reqwest::Client, url: &str, name: &str) -> Result<User> {
    let password = format!("password of {name}");
    let me = post(http, &format!("{url}/user"), &json!({"username": name, "password": password})).await?;
    let tokens =
        post(http, &format!("{url}/auth/login"), &json!({"username": name, "password": password})).await?;
    let id = me["id"].as_i64().ok_or("the registration returned no id")?;
    let token = tokens["access_token"].as_str().ok_or("the login returned no token")?.to_owned();
    Ok(User { id, token })
}

async fn post(http: &reqwest::Client, url: &str, body: &Value) -> Result<Value> {
    let response = http.post(url).json(body).send().await?;
    let (status, text) = (response.status(), response.text().await?);
    if !status.is_success() {
        return Err(format!("{url}: {status}: {text}").into());
    }
    Ok(serde_json::from_str(&text)?)
}

/// Reads the `seq` of a chat's newest stored message over REST.
pub async fn stored_last_seq(http: &reqwest::Client, url: &str, user: &User, chat: i64) -> Result<i64> {
    let response = http.get(format!("{url}/chat/{chat}")).bearer_auth(&user.token).send().await?;
    let chat: Value = response.error_for_status()?.json().await?;
    chat["last_seq"].as_i64().ok_or_else(|| "the chat has no last_seq".into())
}

/// Connects all `users`, in order.
pub async fn connect(url: &str, users: &[User]) -> Result<Vec<Client>> {
    gather(users.iter().map(|user| Client::connect(url, &user.token)), CONNECTING_AT_ONCE).await
}

/// Runs futures, up to `at_once` at a time, and returns their results in order, or the first error.
async fn gather<T>(
    futures: impl Iterator<Item = impl Future<Output = Result<T>>>,
    at_once: usize,
) -> Result<Vec<T>> {
    let results: Vec<Result<T>> = stream::iter(futures).buffered(at_once).collect().await;
    results.into_iter().collect()
}
