//! A model of the server's actual state, read over REST from the beginning. It uses no events.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Client, StatusCode};
use serde_json::Value;

use super::model::{Chat, Model};

/// The number of messages or members in a page.
const PAGE: usize = 200;

/// Fetches everything that a user can see, and the chats in `also`, which may be in no list.
pub async fn fetch(
    http: &Client,
    url: &str,
    token: &str,
    user: i64,
    also: &BTreeSet<i64>,
) -> Result<Model, String> {
    let mut model = Model::new(user);
    let mut chats = also.clone();
    for state in ["active", "archived", "pending"] {
        let mut next = Some(format!("/chat?state={state}&limit={PAGE}"));
        while let Some(path) = next {
            let (page, link) = get(http, url, &path, token).await?.ok_or("there is no list of chats")?;
            chats.extend(page.as_array().into_iter().flatten().filter_map(|chat| chat["id"].as_i64()));
            next = link;
        }
    }
    for chat in chats {
        let Some((shown, _)) = get(http, url, &format!("/chat/{chat}"), token).await? else { continue };
        model.take_chat(&shown, shown["rev"].as_i64().unwrap_or_default());
        let mut next = Some(format!("/chat/{chat}/members?limit={PAGE}"));
        while let Some(path) = next {
            let (page, link) = get(http, url, &path, token).await?.ok_or("a chat without members")?;
            page.as_array().into_iter().flatten().for_each(|member| model.take_member(chat, member));
            next = link;
        }
        let mut after = 0;
        let mut newest = Value::Null;
        loop {
            let path = format!("/chat/{chat}/messages?after={after}&limit={PAGE}");
            let (page, _) = get(http, url, &path, token).await?.ok_or("a chat without messages")?;
            let Some(first) = page.get(0) else { break };
            newest = first.clone();
            after = first["seq"].as_i64().ok_or("a message without seq")?;
            page.as_array().into_iter().flatten().for_each(|message| model.take_message(message));
        }
        if shown["last_seq"].as_i64() != Some(after) || shown["last_message"] != newest {
            return Err(format!("chat {chat} does not show its newest message: {shown}"));
        }
        let count = model.chats.get(&chat).map_or(0, Chat::member_count);
        if shown["member_count"].as_u64() != Some(count as u64) {
            return Err(format!("chat {chat} has {count} members and counts {}", shown["member_count"]));
        }
    }
    let mut contacts = BTreeMap::<i64, (bool, bool)>::new();
    for (list, follows) in [("following", true), ("blocked", false)] {
        let mut next = Some(format!("/user/me/{list}?limit={PAGE}"));
        while let Some(path) = next {
            let (page, link) = get(http, url, &path, token).await?.ok_or("there is no list of contacts")?;
            for id in page.as_array().into_iter().flatten().filter_map(|user| user["id"].as_i64()) {
                let contact = contacts.entry(id).or_default();
                if follows { contact.0 = true } else { contact.1 = true }
            }
            next = link;
        }
    }
    for (id, contact) in contacts {
        model.take_contact(id, contact);
    }
    Ok(model)
}

/// Returns one page and the path of the next, or `None` if the resource does not exist.
async fn get(
    http: &Client,
    url: &str,
    path: &str,
    token: &str,
) -> Result<Option<(Value, Option<String>)>, String> {
    let answer = http.get(format!("{url}{path}")).bearer_auth(token).send().await;
    let answer = answer.map_err(|error| format!("GET {path}: {error}"))?;
    if answer.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let link = answer.headers().get("link").and_then(|it| it.to_str().ok());
    let next = link.and_then(|it| it.strip_prefix('<')?.split_once('>')).map(|(path, _)| path.to_owned());
    let status = answer.status();
    let text = answer.text().await.map_err(|error| format!("GET {path}: {error}"))?;
    if !status.is_success() {
        return Err(format!("GET {path}: {status}: {text}"));
    }
    let body = serde_json::from_str(&text).map_err(|error| format!("GET {path}: {error}"))?;
    Ok(Some((body, next)))
}
