//! The path of every client event, whatever its transport: find the command, parse and check its
//! payload, run its handler, publish what it announces, answer exactly once.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tracing::Instrument;

use super::{AppContext, Caller};
use crate::error::{Code, Error, Result};
use crate::platform::bus::{Answer, Batch, ChatPosition};
use crate::platform::db::{Outcome, OutcomeParts, retry};
use crate::platform::limits::{Bucket, Key};
use crate::protocol::catalogue::{COMMANDS, Command, Limit, command, for_each_command};
// The catalogue names its types by these paths.
use crate::protocol::parse;
use crate::protocol::{
    chats, contacts, history, members, messages, own_state, presence, reading, sessions, sync,
};

/// Takes the one answer: the ack's object, or why not. Runs at the change's place in the order. Dropped
/// without an answer, as by a panic, it answers that something went wrong: nobody waits for ever.
pub struct Respond(Option<TakeAnswer>);

type TakeAnswer = Box<dyn FnOnce(Result<Box<RawValue>>) + Send>;

impl Respond {
    /// From what is to be done with the answer.
    pub fn new(take: impl FnOnce(Result<Box<RawValue>>) + Send + 'static) -> Self {
        Self(Some(Box::new(take)))
    }

    /// Gives the answer.
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

/// What a command does. Implemented in the slice it belongs to.
pub trait CommandHandler: Command {
    /// What it costs besides an event, in tokens of other buckets: so no command is a way round the limit of another, and
    /// one that makes much work costs more.
    fn costs(&self) -> Vec<(Bucket, u32)> {
        Vec::new()
    }

    /// Runs it. What it announces is published by the caller.
    fn run(
        &self,
        context: &AppContext,
        caller: &Caller,
    ) -> impl Future<Output = Result<Outcome<Self::Reply>>> + Send;

    /// Runs it, publishes and answers. A pipelined command returns once it has its place in the order.
    fn execute(
        self,
        context: &AppContext,
        caller: &Caller,
        respond: Respond,
    ) -> impl Future<Output = ()> + Send {
        async move {
            match retry(|| self.run(context, caller)).await.map(Outcome::into_parts) {
                Ok(OutcomeParts { reply, position, events, order }) => {
                    let ack = ack(position, &reply);
                    let answer: Answer = Box::new(move || respond.give(ack));
                    let batch = Batch { deliveries: events, answer: Some(answer), ..Batch::default() };
                    context.bus.publish(batch).await;
                    drop(order);
                }
                Err(error) => fail(Self::INFO.name, caller, respond, error),
            }
        }
    }
}

/// Runs one client event. Returns when it is done, or, where it is pipelined, when it is in the writer's hands.
pub async fn dispatch(
    context: &Arc<AppContext>,
    caller: Caller,
    event: &str,
    payload: &str,
    respond: Respond,
) {
    let span = tracing::info_span!(
        "command",
        event = shown(event),
        user = caller.actor.user_id.0,
        connection = caller.conn.map(|it| it.0),
    );
    dispatch_in_span(context, caller, event, payload, respond).instrument(span).await;
}

/// The name of an event for the log: that of the catalogue, because what a client makes up may be long.
fn shown(event: &str) -> &'static str {
    command(event).map_or("an unknown event", |it| it.name)
}

async fn dispatch_in_span(
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
                $(stringify!($name) => run::<$payload>(context, &caller, payload, respond).await,)*
                _ => {
                    fail(event, &caller, respond, unknown(event));
                }
            }
        };
    }
    for_each_command!(run_by_name);
}

/// Characters of an event's name that are looked at: longer ones are none, and near to none.
const LONGEST_NAME: usize = 64;

/// There is no such event; names the one that was probably meant.
fn unknown(event: &str) -> Error {
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

/// Counts a command for its rate limit, before anything is parsed.
async fn count(context: &AppContext, caller: &Caller, event: &str) -> Result<()> {
    let bucket = match command(event).map(|it| it.limit) {
        Some(Limit::unlimited) => return Ok(()),
        Some(Limit::send) => Bucket::Send,
        Some(Limit::event) | None => Bucket::Event,
    };
    context.rates.take(bucket, Key::user(caller.actor.user_id)).await
}

async fn run<C: CommandHandler>(context: &AppContext, caller: &Caller, payload: &str, respond: Respond) {
    let command = match parse::parse::<C>(payload, &context.limits) {
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

/// Answers a failure; our own are logged here, and nowhere else.
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

/// The ack's object: `ok`, the place of a change in its chat, and what the command answers.
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
