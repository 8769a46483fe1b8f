//! The path of every client event, whatever its transport: find the command, parse and check its payload, run its
//! handler, publish its events, reply exactly once.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tracing::Span;

use super::{AppContext, Caller};
use crate::error::{Code, Error, Result};
use crate::platform::bus::{Answer, Batch, ChatPosition};
use crate::platform::db::{Outcome, OutcomeParts, retry};
use crate::platform::limits::{Bucket, Key};
use crate::protocol::catalogue::{COMMANDS, Command, Limit, command, for_each_command};
// The catalogue names its types by these paths.
use crate::protocol::parse;
use crate::protocol::{
    chat_bans, chats, contacts, drafts, forwarding, history, invites, members, messages, moderation,
    own_state, pins, presence, reactions, reading, sessions, sync,
};

/// Sends the one reply: the acknowledgement's object or an error. It runs at the change's place in the order. If it
/// is dropped without a reply, for example by a panic, it replies with an internal error, so that the client does
/// not wait forever.
pub struct Respond(Option<TakeAnswer>);

type TakeAnswer = Box<dyn FnOnce(Result<Box<RawValue>>) + Send>;

impl Respond {
    /// Creates a responder that passes the reply to `take`.
    pub fn new(take: impl FnOnce(Result<Box<RawValue>>) + Send + 'static) -> Self {
        Self(Some(Box::new(take)))
    }

    /// Sends the reply.
    pub fn give(mut self, answer: Result<Box<RawValue>>) {
        if let Some(take) = self.0.take() {
            take(answer);
        }
    }
}

impl Drop for Respond {
    fn drop(&mut self) {
        if let Some(take) = self.0.take() {
            take(Err(Error::internal("a command ended without a reply")));
        }
    }
}

/// The behaviour of a command, implemented in the slice that the command belongs to.
pub trait CommandHandler: Command {
    /// Returns the tokens of other buckets that the command costs besides its own event. No command can bypass the
    /// rate limit of another one, and a command that causes much work costs more.
    fn costs(&self) -> Vec<(Bucket, u32)> {
        Vec::new()
    }

    /// Runs the command. The caller publishes the events of the outcome.
    fn run(
        &self,
        context: &AppContext,
        caller: &Caller,
    ) -> impl Future<Output = Result<Outcome<Self::Reply>>> + Send;

    /// Runs the command, publishes its events and replies. A pipelined command returns as soon as it has its place
    /// in the order.
    fn execute(
        self,
        context: &AppContext,
        caller: &Caller,
        respond: Respond,
    ) -> impl Future<Output = ()> + Send {
        async move { run_and_reply(&self, context, caller, respond).await }
    }
}

/// Runs a command, publishes its events and replies.
pub async fn run_and_reply<C: CommandHandler>(
    command: &C,
    context: &AppContext,
    caller: &Caller,
    respond: Respond,
) {
    match retry(|| command.run(context, caller)).await.map(Outcome::into_parts) {
        Ok(OutcomeParts { reply, position, events, order }) => {
            let ack = ack(position, &reply);
            let answer: Answer = Box::new(move || respond.give(ack));
            let batch = Batch { deliveries: events, answer: Some(answer), ..Batch::default() };
            context.bus.publish(batch).await;
            drop(order);
        }
        Err(error) => fail(C::INFO.name, caller, respond, error),
    }
}

/// Returns the span of a command, whose fields every log line of the command carries. Its level is the highest, so that
/// a filter of any level keeps it.
pub fn command_span(caller: &Caller, event: &str) -> Span {
    tracing::error_span!(
        "command",
        event = shown(event),
        user = caller.actor.user_id.0,
        connection = caller.conn.map(|it| it.0),
    )
}

/// Returns the name of an event for the log. Only names of the catalogue are logged, because a client can send a
/// name of any length.
fn shown(event: &str) -> &'static str {
    command(event).map_or("an unknown event", |it| it.name)
}

/// Runs one client event inside its [`command_span`]. Returns when it is done; for a pipelined command, when the writer
/// has accepted it.
pub async fn dispatch(
    context: &Arc<AppContext>,
    caller: Caller,
    event: &str,
    payload: &str,
    respond: Respond,
) {
    if let Err(error) = count(context, &caller, event).await {
        return fail(event, &caller, respond, error);
    }
    macro_rules! run_by_name {
        ($($name:ident: $payload:ty => $reply:ty, [$($event:ident),*], {$($column:ident),*}, $about:literal;)*) => {
            match event {
                // Boxed one by one: together they would have the size of the largest for every command.
                $(stringify!($name) => Box::pin(run::<$payload>(context, &caller, payload, respond)).await,)*
                _ => {
                    fail(event, &caller, respond, unknown(event));
                }
            }
        };
    }
    for_each_command!(run_by_name);
}

/// The number of characters of an event's name that are examined. No event has a longer name.
const LONGEST_NAME: usize = 64;

/// Returns the error for an unknown event; it suggests the most similar name.
fn unknown(event: &str) -> Error {
    if event.is_empty() {
        return Error::new(Code::UnknownEvent, "an event must be a list that begins with its name, a text");
    }
    let shown: String = event.chars().take(LONGEST_NAME).collect();
    let given = shown.to_lowercase().replace(['-', ' ', '.', ':'], "_");
    let nearest = COMMANDS
        .iter()
        .map(|it| (strsim::jaro_winkler(it.name, &given), it.name))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .filter(|(likeness, _)| *likeness > 0.8);
    let known = match nearest {
        Some((_, name)) => format!("did you mean {name:?}?"),
        None => "/asyncapi.json lists all".to_owned(),
    };
    Error::new(Code::UnknownEvent, format!("there is no event {shown:?}; {known}"))
}

/// Counts a command for its rate limit before anything is parsed.
async fn count(context: &AppContext, caller: &Caller, event: &str) -> Result<()> {
    let bucket = match command(event).map(|it| it.limit) {
        Some(Limit::unlimited) => return Ok(()),
        Some(Limit::send) => Bucket::Send,
        Some(Limit::event) | None => Bucket::Event,
    };
    context.rates.take(bucket, Key::user(caller.actor.user_id)).await
}

async fn run<C: CommandHandler>(context: &AppContext, caller: &Caller, payload: &str, respond: Respond) {
    let parsed = parse::parse::<C>(payload, &context.limits).or_else(|error| {
        // Clients may send further arguments, which have no meaning.
        match parse::first_argument(payload) {
            Some(first) => parse::parse(first, &context.limits),
            None => Err(error),
        }
    });
    let command = match parsed {
        Ok(command) => command,
        Err(error) => return fail(C::INFO.name, caller, respond, error),
    };
    for (bucket, tokens) in command.costs() {
        let key = Key::user(caller.actor.user_id);
        if let Err(error) = context.rates.take_many(bucket, key, tokens).await {
            return fail(C::INFO.name, caller, respond, error);
        }
    }
    command.execute(context, caller, respond).await;
}

/// Replies with an error. Internal errors are logged here and nowhere else.
pub fn fail(event: &str, caller: &Caller, respond: Respond, error: Error) {
    let event = shown(event);
    if error.source.is_some() {
        tracing::error!(event, user = caller.actor.user_id.0, %error, "a command failed");
    }
    if matches!(error.code, Code::Forbidden | Code::UserBanned) {
        tracing::info!(
            event,
            user = caller.actor.user_id.0,
            code = error.code.as_str(),
            "a command was refused"
        );
    }
    respond.give(Err(error));
}

/// Returns the acknowledgement's object: `ok`, the position of a change in its chat, and the command's reply.
pub fn ack<T: Serialize>(position: Option<ChatPosition>, reply: &T) -> Result<Box<RawValue>> {
    #[derive(Serialize)]
    struct InChat {
        chat_id: i64,
        rev: i64,
        prev: i64,
    }
    #[derive(Serialize)]
    struct Ack<'a, T> {
        ok: bool,
        #[serde(flatten)]
        position: Option<InChat>,
        #[serde(flatten)]
        reply: &'a T,
    }
    let position = position.map(|it| InChat { chat_id: it.chat_id.0, rev: it.rev, prev: it.prev });
    to_raw_value(&Ack { ok: true, position, reply }).map_err(Error::internal)
}
