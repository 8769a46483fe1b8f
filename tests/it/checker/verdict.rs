//! The verdict of a run: compares acked sends with stored messages, and the state of every client with the server's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use reqwest::Client as Http;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::client::Acked;
use super::{Participants, Result};
use crate::support::fetch::fetch;
use crate::support::model::Depth;

/// The findings of a run. All counts except `acked` must be zero.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// The number of acked sends.
    pub acked: usize,
    /// Acked sends that are not stored, or stored with other values.
    pub lost: usize,
    /// Sends that are stored more than once.
    pub doubled: usize,
    /// Acked sends of one sender that are stored in the wrong order, and `seq`s that do not rise.
    pub order_broken: usize,
    /// Clients whose state differs from a fresh fetch.
    pub models_unequal: usize,
    /// Messages that a search does not find as they are, or still finds as they were.
    pub search_unequal: usize,
    /// Events out of order, and unexpected acks.
    pub broken: usize,
    /// Descriptions of some of the problems.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Returns whether there are no problems.
    pub fn is_good(&self) -> bool {
        self.lost + self.doubled + self.order_broken + self.models_unequal + self.search_unequal + self.broken
            == 0
    }

    fn say(&mut self, what: impl IntoIterator<Item = String>) {
        let room = 20_usize.saturating_sub(self.examples.len());
        self.examples.extend(what.into_iter().take(room));
    }
}

/// A message as REST returns it: its id, its content, and the `client_id` that it was stored with.
struct Stored {
    id: i64,
    seq: i64,
    client_id: String,
    content: String,
}

/// Words of the messages that the clients send, and of those that they edit.
const WORDS: [&str; 2] = ["says", "edited"];

/// Checks a run in which nothing is sent any more. Pending events get `settle_timeout` to arrive at the clients.
pub async fn verdict(url: &str, participants: &Participants, settle_timeout: Duration) -> Result<Verdict> {
    let http = Http::builder().no_proxy().build().map_err(|error| error.to_string())?;
    let mut verdict = Verdict::default();
    let mut stored: HashMap<String, Stored> = HashMap::new();
    for (chat, token) in &participants.chats {
        let mut last = 0;
        let messages = read(&http, url, *chat, token).await?;
        for word in WORDS {
            let with_word = messages.iter().filter(|it| it.content.split(' ').any(|part| part == word));
            let with_word: BTreeSet<i64> = with_word.map(|it| it.id).collect();
            let found = search(&http, url, *chat, token, word).await?;
            let different: Vec<&i64> = with_word.symmetric_difference(&found).collect();
            verdict.search_unequal += different.len();
            verdict.say(
                different.into_iter().map(|id| format!("a search for {word} disagrees on message {id}")),
            );
        }
        for message in messages {
            if message.seq <= last {
                verdict.order_broken += 1;
                verdict.say([format!("chat {chat}: seq {} after {last}", message.seq)]);
            }
            last = message.seq;
            if let Some(other) = stored.get(&message.client_id) {
                verdict.doubled += 1;
                verdict.say([format!("{} is message {} and {}", message.client_id, other.id, message.id)]);
            }
            stored.insert(message.client_id.clone(), message);
        }
    }
    let mut expected = BTreeSet::new();
    for (config, state) in &participants.clients {
        let (acked, violations) = {
            let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let mut violations = std::mem::take(&mut state.violations);
            let name = &config.name;
            violations.extend(state.model.violations.drain(..).map(|it| format!("{name}: {it}")));
            (state.acked.clone(), violations)
        };
        verdict.acked += acked.len();
        verdict.broken += violations.len();
        verdict.say(violations);
        for it in &acked {
            let client_id = format!("{}-{}", config.name, it.number);
            let message = stored.get(&client_id);
            if message.is_none_or(|message| message.id != it.id || message.seq != it.seq) {
                verdict.lost += 1;
                let message = message.map(|it| (it.id, it.seq));
                verdict.say([format!("{client_id} was acked as {it:?} and is stored as {message:?}")]);
            }
            expected.insert(client_id);
        }
        let wrong = out_of_order(&acked, config.max_unacked == 1);
        verdict.order_broken += wrong.len();
        verdict.say(wrong.into_iter().map(|it| format!("{}: {it}", config.name)));
    }
    // Every send was retried until it was acked, so nothing else may be stored.
    let unexpected: Vec<&String> = stored.keys().filter(|it| !expected.contains(*it)).collect();
    verdict.doubled += unexpected.len();
    verdict.say(unexpected.into_iter().map(|it| format!("{it} is stored and was never acked")));
    compare(url, &http, participants, Instant::now() + settle_timeout, &mut verdict).await?;
    Ok(verdict)
}

/// Returns the sends of one sender that are stored in the wrong order. A sender that waits for each ack has one order;
/// any other sender has one order per connection.
fn out_of_order(acked: &[Acked], waits_for_acks: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut by_order: BTreeMap<(i64, u64), Vec<&Acked>> = BTreeMap::new();
    for it in acked {
        let Some(connection) = (if waits_for_acks { Some(0) } else { it.connection }) else { continue };
        by_order.entry((it.chat, connection)).or_default().push(it);
    }
    for list in by_order.values_mut() {
        list.sort_by_key(|it| it.number);
        for pair in list.windows(2) {
            if let [first, second] = pair
                && first.seq >= second.seq
            {
                wrong.push(format!("{first:?} is stored after {second:?}"));
            }
        }
    }
    wrong
}

/// Compares every client's state with a fresh fetch. Events on their way get time to arrive.
async fn compare(
    url: &str,
    http: &Http,
    participants: &Participants,
    deadline: Instant,
    verdict: &mut Verdict,
) -> Result<()> {
    for (config, state) in &participants.clients {
        loop {
            let known = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).model.clone();
            let also = known.chats.keys().copied().collect();
            let real = fetch(http, url, &config.user.token, config.user.id, &also).await?;
            let different = known.differences(&real, Depth::Promise);
            if different.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                verdict.models_unequal += 1;
                verdict.say(different.into_iter().take(3).map(|it| format!("{}: {it}", config.name)));
                break;
            }
            sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

async fn read(http: &Http, url: &str, chat: i64, token: &str) -> Result<Vec<Stored>> {
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let path = format!("{url}/chat/{chat}/messages?after={after}&limit=200");
        let answer = http.get(path).bearer_auth(token).send().await.map_err(|error| error.to_string())?;
        let page: Vec<Value> = answer.json().await.map_err(|error| error.to_string())?;
        let Some(newest) = page.first() else { return Ok(all) };
        after = newest["seq"].as_i64().ok_or("a message without seq")?;
        for message in page.iter().rev() {
            let number = |field: &str| message[field].as_i64().unwrap_or_default();
            let client_id = message["client_id"].as_str().unwrap_or("none").to_owned();
            let content = message["content"].as_str().unwrap_or_default().to_owned();
            all.push(Stored { id: number("id"), seq: number("seq"), client_id, content });
        }
    }
}

/// Returns the messages of a chat that a search for a word finds.
async fn search(http: &Http, url: &str, chat: i64, token: &str, word: &str) -> Result<BTreeSet<i64>> {
    let mut found = BTreeSet::new();
    let mut next = Some(format!("/chat/{chat}/search?q={word}&sort=date&limit=200"));
    while let Some(path) = next {
        let answer = http.get(format!("{url}{path}")).bearer_auth(token).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let link = answer.headers().get("link").and_then(|it| it.to_str().ok());
        next = link.and_then(|it| Some(it.strip_prefix('<')?.split_once('>')?.0.to_owned()));
        let page: Vec<Value> = answer.json().await.map_err(|error| error.to_string())?;
        for hit in page {
            let id = hit["message"]["id"].as_i64().ok_or("a result without its message")?;
            if !found.insert(id) {
                return Err(format!("a search for {word} returns message {id} twice"));
            }
        }
    }
    Ok(found)
}
