//! Every client event over REST: the body is the payload, the answer is the ack, or a problem.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::App;
use super::extract::{Auth, LargeText};
use crate::domain::Caller;
use crate::domain::dispatch::{Respond, dispatch};
use crate::error::Error;
use crate::transport::problem::{Problem, ProblemBody};

/// Run a client event: the body is its payload, the answer its ack.
#[utoipa::path(post, path = "/events/{event}", tag = "chat", security(("bearer" = [])),
    params(("event" = String, Path, description = "Such as `send_message`; see /asyncapi.json")),
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses(
        (status = 200, body = serde_json::Value, description = "The ack"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn run(
    State(app): State<App>,
    Auth(actor): Auth,
    Path(event): Path<String>,
    LargeText(payload): LargeText,
) -> Result<Response, Problem> {
    let (answer, ack) = oneshot::channel();
    // Whoever asked may be gone by then; the event still takes effect.
    let respond = Respond::new(move |result| drop(answer.send(result)));
    let core = app.core.clone();
    tokio::spawn(async move {
        dispatch(&core, Caller::without_socket(actor), &event, &payload, respond).await;
    });
    let ack = ack.await.map_err(Error::internal)??;
    Ok(([(header::CONTENT_TYPE, "application/json")], ack.get().to_owned()).into_response())
}
