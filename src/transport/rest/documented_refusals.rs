//! The error responses that many operations share, as the OpenAPI document describes them: 401, 403 and 503 for
//! operations that authenticate, 422 for a body or a query that is invalid, 429 for changes that come too often, and
//! 408 for a body that arrives too slowly.

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder};

/// Adds each of these responses to the operations that do not document it themselves.
pub fn document(mut openapi: OpenApi) -> OpenApi {
    for item in openapi.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
            .into_iter()
            .flatten()
        {
            if operation.security.is_some() {
                add(operation, "401", "No access token, or an invalid or expired one");
            }
            if operation.request_body.is_some() || has_query(operation) {
                add(operation, "422", "Invalid input; `errors` names the fields");
            }
            if operation.responses.responses.contains_key("401") {
                add(operation, "403", "Forbidden, or the account is banned (`user_banned`)");
                add(operation, "503", "Overloaded or shutting down; try again after `retry-after` seconds");
            }
        }
        for operation in
            [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
        {
            add(operation, "429", "Rate limit exceeded; try again after `retry-after` seconds");
            if operation.request_body.is_some() {
                add(operation, "408", "The body did not arrive in time");
            }
        }
    }
    openapi
}

fn has_query(operation: &Operation) -> bool {
    operation.parameters.iter().flatten().any(
        |parameter| matches!(parameter, RefOr::T(parameter) if matches!(parameter.parameter_in, ParameterIn::Query)),
    )
}

fn add(operation: &mut Operation, status: &str, description: &str) {
    let answer = || problem(description).into();
    operation.responses.responses.entry(status.to_owned()).or_insert_with(answer);
}

fn problem(description: &str) -> Response {
    let body = Content::new(Some(Ref::from_schema_name("ProblemBody")));
    ResponseBuilder::new().description(description).content("application/problem+json", body).build()
}
