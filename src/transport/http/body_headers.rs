//! Normalizes the headers of a request body in one place for all code that reads bodies: media types compare without
//! case (RFC 9110, section 8.3.1), and an encoding that is not supported is refused instead of being read as text.

use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::{Code, Error};
use crate::transport::http::problem::Problem;

/// Refuses an encoded body, and normalizes the content type.
pub async fn understand(mut request: Request, next: Next) -> Response {
    if let Some(encoding) = encoding(request.headers()) {
        let problem = format!("Content-Encoding: {encoding} is not offered, send the body as it is");
        return Problem(Error::new(Code::UnsupportedMediaType, problem)).into_response();
    }
    if let Some(plain) = request.headers().get(CONTENT_TYPE).and_then(plain) {
        request.headers_mut().insert(CONTENT_TYPE, plain);
    }
    next.run(request).await
}

/// Returns the encoding of a body, if it is encoded.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let value =
        String::from_utf8_lossy(headers.get(CONTENT_ENCODING)?.as_bytes()).trim().to_ascii_lowercase();
    (!value.is_empty() && value != "identity").then_some(value)
}

/// Returns a media type as the extractors compare it: type and subtype in lower case, no space around the semicolons.
fn plain(value: &HeaderValue) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let mut parts = text.split(';').map(str::trim);
    let mut plain = parts.next()?.to_ascii_lowercase();
    for parameter in parts.filter(|it| !it.is_empty()) {
        plain.push_str("; ");
        plain.push_str(parameter);
    }
    HeaderValue::from_str(&plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_written_in_one_way_and_its_parameters_stay() {
        for (text, wanted) in [
            ("application/json", "application/json"),
            ("Application/JSON;charset=UTF-8", "application/json; charset=UTF-8"),
            ("Multipart/Form-Data ; boundary=\"aB c\" ;", "multipart/form-data; boundary=\"aB c\""),
            ("", ""),
        ] {
            let value = HeaderValue::from_str(text).expect("a value");
            assert_eq!(plain(&value).expect("text"), wanted, "{text}");
        }
    }
}
