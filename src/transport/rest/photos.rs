//! Photos: static files, and the helper that turns a file into base64.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use utoipa::ToSchema;

use crate::domain::photos;
use crate::domain::photos::PhotoFile;
use crate::error::{Code, Error};
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::extract::{Image, StrangersUpload};

/// A form with a file.
#[derive(ToSchema)]
pub struct ImageForm {
    /// The file.
    #[schema(value_type = String, format = Binary)]
    #[expect(dead_code, reason = "it is only described")]
    pub image: Vec<u8>,
}

/// Convert a file to base64, for registration.
#[utoipa::path(post, path = "/user/photo_to_base64", tag = "user",
    request_body(content = ImageForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, body = String, content_type = "application/json", description = "Base64 as a JSON string"),
        (status = 413, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn photo_to_base64(_: StrangersUpload, Image(bytes): Image) -> Result<axum::Json<String>, Problem> {
    if bytes.is_empty() {
        return Err(Error::invalid("image", "is empty").into());
    }
    Ok(axum::Json(STANDARD.encode(bytes)))
}

/// Download a photo in one of its sizes.
#[utoipa::path(get, path = "/static/{photo}/{file}", tag = "photos",
    params(
        ("photo" = String, Path, description = "A user's `photo`"),
        ("file" = String, Path, description = "`original.jpeg`, `400x400.webp`, `100x100.webp` or `50x50.webp`"),
    ),
    responses(
        (status = 200, body = String, description = "The photo", content_type = "image/*"),
        (status = 206, description = "A part of the photo"),
        (status = 304, description = "Not modified"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 416, description = "No such part"),
    ))]
pub async fn read(
    State(app): State<RestState>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Ok(Path((photo, file))) = path else {
        return Err(Error::new(Code::NotFound, "there is no such photo").into());
    };
    let PhotoFile { bytes, content_type } = photos::read(&app.context, &photo, &file)
        .await?
        .ok_or_else(|| Error::new(Code::NotFound, "there is no such photo"))?;
    // The content of a name never changes, so the name is its version.
    let etag = format!("\"{photo}-{}\"", file.split('.').next().unwrap_or_default());
    let mut response = part(&headers, bytes, &etag);
    let all = response.headers_mut();
    let etag = HeaderValue::from_str(&etag).map_err(Error::internal)?;
    all.insert(header::ETAG, etag);
    all.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    all.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    all.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    all.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

/// Returns the whole photo, a part, or 304 if the client has it already.
fn part(headers: &HeaderMap, bytes: Bytes, etag: &str) -> Response {
    let length = bytes.len();
    let (mut response, range) = match range_of(headers, length, etag) {
        Range::NotModified => return StatusCode::NOT_MODIFIED.into_response(),
        Range::Whole => return bytes.into_response(),
        Range::Part(first, last) => {
            let part = bytes.slice(first..=last);
            ((StatusCode::PARTIAL_CONTENT, part).into_response(), format!("bytes {first}-{last}/{length}"))
        }
        Range::None => (StatusCode::RANGE_NOT_SATISFIABLE.into_response(), format!("bytes */{length}")),
    };
    if let Ok(value) = HeaderValue::from_str(&range) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

/// What a request for a file asks for.
pub enum Range {
    /// Nothing: the client has the file.
    NotModified,
    /// All of it.
    Whole,
    /// From the first to the last of these bytes.
    Part(usize, usize),
    /// A part that the file does not have.
    None,
}

/// Returns what a request asks for of a file of this length (RFC 9110, sections 13 and 14).
pub fn range_of(headers: &HeaderMap, length: usize, etag: &str) -> Range {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|list| {
        list.split(',').map(|it| it.trim().trim_start_matches("W/")).any(|it| it == etag || it == "*")
    }) {
        return Range::NotModified;
    }
    let fresh = text(header::IF_RANGE).is_none_or(|it| it == etag);
    let range = text(header::RANGE).filter(|_| fresh).and_then(|it| it.strip_prefix("bytes="));
    match range {
        // A server may answer a request for several ranges with the whole file.
        Some(range) if !range.contains(',') => {
            parse_range(range, length).map_or(Range::None, |(first, last)| Range::Part(first, last))
        }
        _ => Range::Whole,
    }
}

/// Returns the first and last byte of `a-b`, `a-` or `-n`, if the range contains any.
fn parse_range(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.trim().split_once('-')?;
    let end = length.checked_sub(1)?;
    let (first, last) = match (first.parse::<usize>().ok(), last.parse::<usize>().ok()) {
        (Some(first), Some(last)) => (first, last.min(end)),
        (Some(first), None) if last.is_empty() => (first, end),
        (None, Some(count)) if first.is_empty() && count > 0 => (length.saturating_sub(count), end),
        _ => return None,
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::parse_range;

    #[test]
    fn ranges_are_first_last_open_or_from_the_end() {
        for (range, expected) in [
            ("0-3", Some((0, 3))),
            ("4-", Some((4, 9))),
            ("-3", Some((7, 9))),
            ("-30", Some((0, 9))),
            ("5-50", Some((5, 9))),
            ("10-", None),
            ("5-4", None),
            ("-0", None),
            ("a-b", None),
            ("", None),
        ] {
            assert_eq!(parse_range(range, 10), expected, "{range}");
        }
        assert_eq!(parse_range("0-", 0), None);
    }
}
