//! Every client event over REST: the body is the payload, the response is the acknowledgement or a problem.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tracing::Instrument;
use utoipa::openapi::OpenApi;

use crate::domain::dispatch::{Respond, command_span, dispatch};
use crate::domain::{Actor, Caller};
use crate::error::Error;
use crate::protocol::asyncapi;
use crate::protocol::asyncapi::Schemas;
use crate::transport::http::problem::Problem;
use crate::transport::rest::RestState;
use crate::transport::rest::extract::{Auth, LargeText};

/// Runs a client event. The body is its payload, the response its acknowledgement.
pub async fn run(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Path(event): Path<String>,
    LargeText(payload): LargeText,
) -> Result<Response, Problem> {
    command(&app, actor, event, payload).await
}

/// Runs a client event with this payload.
pub async fn command(
    app: &RestState,
    actor: Actor,
    event: String,
    payload: String,
) -> Result<Response, Problem> {
    let (answer, ack) = oneshot::channel();
    // The client may have disconnected by then; the event still takes effect.
    let respond = Respond::new(move |result| drop(answer.send(result)));
    let context = app.context.clone();
    let caller = Caller::without_socket(actor);
    let span = command_span(&caller, &event);
    let work = async move { dispatch(&context, caller, &event, &payload, respond).await };
    tokio::spawn(work.instrument(span));
    let ack = ack.await.map_err(Error::internal)??;
    Ok(([(header::CONTENT_TYPE, "application/json")], ack.get().to_owned()).into_response())
}

/// Adds each client event with its own body and response to the document, because one route serves all of them.
pub fn document(openapi: &mut OpenApi) {
    let mut schemas = Schemas::new();
    let entries = asyncapi::client_events(&mut schemas);
    let components = openapi.components.get_or_insert_default();
    components.schemas.extend(schemas);
    components.schemas.extend(read_as(asyncapi::ack_ok()).map(|schema| ("AckOk".to_owned(), schema)));
    let problem =
        json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}});
    for entry in &entries {
        let body = json!({"schema": {"$ref": format!("#/components/schemas/{}", entry.payload)}});
        let item = json!({"post": {
            "tags": ["events"],
            "summary": entry.about,
            "operationId": format!("event_{}", entry.name),
            "security": [{"bearer": []}],
            "requestBody": {"required": true, "content": {"application/json": body}},
            "responses": {
                "200": {
                    "description": "The ack",
                    "content": {"application/json": {"schema": asyncapi::ack_of(entry)}},
                },
                "404": {"description": "Something that the request names does not exist, or the caller may not see it", "content": problem},
                "409": {"description": "Conflicts with the current state", "content": problem},
                "413": {"description": "Too large", "content": problem},
            },
        }});
        openapi.paths.paths.extend(read_as(item).map(|item| (format!("/events/{}", entry.name), item)));
    }
}

fn read_as<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}
