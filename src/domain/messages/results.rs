//! Decides the messages of a batch one by one within a transaction, and stores those that are accepted.

use sea_orm::ConnectionTrait;

use super::batch::{announcement, place, store, to_author};
use super::prepare::{Decision, Locking, SendContext, SendRequest, Window};
use super::writer::{Job, SendResult};
use crate::domain::links::Links;
use crate::domain::{chats, message_view};
use crate::error::{Code, Error, Result};
use crate::platform::bus::Delivery;
use crate::protocol::messages::{Message, SendReply};

/// Another transaction has locked the message's chat.
pub(super) struct Busy;

/// The outcome of one message of a transaction: its result, and its events if it is new.
pub(super) type Attempt = std::result::Result<(SendResult, Vec<Delivery>), Busy>;

/// Returns the outcome of each job, in order.
pub(super) async fn results(
    conn: &impl ConnectionTrait,
    jobs: &[&Job],
    window: Window,
    locking: Locking,
    links: Links<'_>,
) -> Result<Vec<Attempt>> {
    let requests: Vec<SendRequest<'_>> = jobs
        .iter()
        .map(|job| SendRequest { user_id: job.user_id, chat_id: job.chat_id, draft: &job.draft })
        .collect();
    let now = window.now;
    let mut send_context = SendContext::read(conn, &requests, window, locking).await?;
    let mut results: Vec<Option<Attempt>> = Vec::with_capacity(jobs.len());
    let mut positioned = Vec::with_capacity(jobs.len());
    // The job of each positioned message, and repetitions of a message within the batch.
    let mut owners: Vec<usize> = Vec::with_capacity(jobs.len());
    let mut twins: Vec<(usize, usize)> = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        if send_context.is_busy(request) {
            results.push(Some(Err(Busy)));
            continue;
        }
        let twin = request.draft.client_id.as_ref().and_then(|client_id| {
            owners.iter().position(|owner| {
                let other = &requests[*owner];
                other.user_id == request.user_id && other.draft.client_id.as_ref() == Some(client_id)
            })
        });
        // A repetition is not decided again: the first message may have changed what is allowed.
        if let Some(twin) = twin {
            twins.push((index, twin));
            results.push(None);
            continue;
        }
        let result = match send_context.decide(request) {
            Err(error) => Some(Ok((Err(error), Vec::new()))),
            Ok(Decision::Earlier(row)) => {
                let message = message_view::show_one(conn, row, request.user_id, links).await?;
                Some(Ok((Ok((SendReply { message, duplicate: true }, None)), Vec::new())))
            }
            Ok(Decision::Store(author, mentions, files)) => {
                send_context.note(request);
                if let Some(chat) = send_context.chats.get_mut(&request.chat_id.0) {
                    owners.push(index);
                    positioned.push(place(chat, request.draft, author, mentions, files));
                }
                None
            }
        };
        results.push(result);
    }
    if !positioned.is_empty() {
        let stored = store(conn, &positioned, links).await?;
        let archived = send_context.chats.values().filter(|chat| {
            chat.leaves_archive && positioned.iter().any(|it| it.position.chat_id.0 == chat.id)
        });
        let archived: Vec<i64> = archived.map(|chat| chat.id).collect();
        let mut unarchived = chats::leave_archives(conn, &archived, now).await?;
        // Users are locked before their rows in chats.
        chats::note_sent(conn, &send_context.slowed_senders(), now).await?;
        for (index, twin) in twins {
            results[index] =
                Some(Ok((repeated(&requests[index], &requests[owners[twin]], &stored[twin]), Vec::new())));
        }
        for ((message, owner), positioned) in stored.into_iter().zip(owners).zip(&positioned) {
            let mut events = vec![announcement(&message, positioned.position, jobs[owner].conn)?];
            let chat = positioned.position.chat_id;
            events.extend(unarchived.extract_if(.., |(id, _)| *id == chat).map(|(_, event)| event));
            let reply = SendReply { message: to_author(message), duplicate: false };
            results[owner] = Some(Ok((Ok((reply, Some(positioned.position))), events)));
        }
    }
    results
        .into_iter()
        .map(|result| result.ok_or_else(|| Error::internal("a message was neither stored nor refused")))
        .collect()
}

/// Returns the result of a message that occurs twice in a batch.
fn repeated(request: &SendRequest<'_>, first: &SendRequest<'_>, stored: &Message) -> SendResult {
    if request.draft.fingerprint(request.chat_id.0) == first.draft.fingerprint(first.chat_id.0) {
        Ok((SendReply { message: to_author(stored.clone()), duplicate: true }, None))
    } else {
        Err(Error::field(
            Code::ClientIdConflict,
            "message.client_id",
            "was already used with another chat, type or content",
        ))
    }
}
