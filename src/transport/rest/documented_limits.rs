//! What the OpenAPI document says of limits, for all operations alike: whatever changes something can come too
//! often, and whatever has a body can send it too slowly.

use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, OpenApi, Ref, Response, ResponseBuilder};

/// Adds the answers that limits give.
pub fn document(mut openapi: OpenApi) -> OpenApi {
    for item in openapi.paths.paths.values_mut() {
        for operation in
            [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
        {
            add(operation, "429", "Too often; `retry-after` says when to come again");
            if operation.request_body.is_some() {
                add(operation, "408", "The body did not come in time");
            }
        }
    }
    openapi
}

fn add(operation: &mut Operation, status: &str, description: &str) {
    let answer = || problem(description).into();
    operation.responses.responses.entry(status.to_owned()).or_insert_with(answer);
}

fn problem(description: &str) -> Response {
    let body = Content::new(Some(Ref::from_schema_name("ProblemBody")));
    ResponseBuilder::new().description(description).content("application/problem+json", body).build()
}
