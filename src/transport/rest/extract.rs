//! Extractors of the handlers: the caller, a checked body, a checked query. Each invalid input becomes a problem that
//! names the field.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Multipart, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use crate::clock::Timestamp;
use crate::domain::mail::Language;
use crate::domain::sessions::Origin;
use crate::domain::{Actor, sessions};
use crate::error::{Code, Error, Result};
use crate::platform::limits::{Bucket, ConcurrencyPermit, Key};
use crate::protocol::history::NO_TIME;
use crate::protocol::parse;
use crate::protocol::parse::Check;
use crate::transport::http::problem::Problem;
use crate::transport::http::timed_body::unreadable;
use crate::transport::http::{client_address, origin};
use crate::transport::rest::RestState;
use crate::transport::rest::reads::Slot;

/// Maximum size of a body that cannot contain a photo, bytes.
const SMALL_BODY: usize = 256 * 1_024;

/// The caller. `Authorization: Bearer` takes precedence over the cookie. A request that changes something counts
/// towards the caller's limit of events; a read counts towards the limit of reads and waits for its turn.
pub struct Auth(pub Actor);

impl FromRequestParts<RestState> for Auth {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &RestState) -> Result<Self, Problem> {
        let token = access_token(app, &parts.headers)
            .ok_or_else(|| Error::new(Code::TokenMissing, "send an access token as Authorization: Bearer"))?;
        let (actor, _) = sessions::authenticate(&app.context, &token).await?;
        // Events over REST are counted in the same place as those of sockets.
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let key = Key::user(actor.user_id);
        if reads {
            app.context.rates.take(Bucket::Read, key).await?;
            let turn = app.context.rates.reads.take(key).await?;
            if let Some(slot) = parts.extensions.get::<Slot>() {
                slot.keep(turn);
            }
        } else if !parts.uri.path().starts_with("/events/") {
            app.context.rates.take(Bucket::Event, key).await?;
        }
        // The body may arrive much later; the session is then checked again.
        parts.extensions.insert(actor);
        Ok(Self(actor))
    }
}

/// Returns the access token of a request.
pub fn access_token(app: &RestState, headers: &HeaderMap) -> Option<String> {
    if headers.contains_key(header::AUTHORIZATION) {
        return bearer(headers);
    }
    origin::may_use_cookies(&app.context.settings, headers)
        .then(|| origin::cookie(headers, "access_token"))
        .flatten()
}

/// Returns the token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

/// The origin of a request: the client's address, user agent and language.
pub struct From(pub Origin);

impl FromRequestParts<RestState> for From {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &RestState) -> Result<Self, Problem> {
        let user_agent =
            parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let address = client_address::noted(&parts.extensions).map(|it| it.to_string());
        let spoken = parts.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let language = spoken.and_then(Language::accepted);
        Ok(Self(Origin { user_agent, address, language }))
    }
}

/// An upload without authentication; it counts towards the rate limit of the client's address.
pub struct StrangersUpload;

impl FromRequestParts<RestState> for StrangersUpload {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &RestState) -> Result<Self, Problem> {
        let address = client_address::noted(&parts.extensions);
        app.context.rates.take(Bucket::Upload, Key::address(address)).await?;
        Ok(Self)
    }
}

/// A JSON body, parsed and checked.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + Check> FromRequest<RestState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &RestState) -> Result<Self, Problem> {
        let most = if T::LARGE { app.large_body } else { SMALL_BODY };
        let text = text_body(request, app, most).await?;
        Ok(Self(parse::parse(&text, &app.context.limits)?))
    }
}

/// A JSON object or a form, by its content type, parsed and checked.
pub struct JsonOrForm<T>(pub T);

impl<T: DeserializeOwned + Check> FromRequest<RestState> for JsonOrForm<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &RestState) -> Result<Self, Problem> {
        let kind = content_type(request.headers()).to_owned();
        let form = kind.starts_with("application/x-www-form-urlencoded");
        if kind.starts_with("multipart/form-data") {
            let text = multipart_as_json(request, app).await?;
            return Ok(Self(parse::parse(&text, &app.context.limits)?));
        }
        let mut text = text_body(request, app, SMALL_BODY).await?;
        if form {
            text = form_as_json(&text)?;
        }
        Ok(Self(parse::parse(&text, &app.context.limits)?))
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Converts the fields of a form to a JSON object of strings, so that both are checked alike.
fn form_as_json(text: &str) -> Result<String> {
    let fields: std::collections::HashMap<String, String> = serde_urlencoded::from_str(text)
        .map_err(|error| Error::invalid("payload", format!("is not a form: {error}")))?;
    serde_json::to_string(&fields).map_err(Error::internal)
}

async fn multipart_as_json(request: Request, app: &RestState) -> Result<String> {
    let actor = request.extensions().get().copied();
    let request = request.map(|body| Body::new(Limited::new(body, SMALL_BODY)));
    let mut multipart = Multipart::from_request(request, app)
        .await
        .map_err(|error| Error::invalid("payload", error.body_text()))?;
    let mut fields = serde_json::Map::new();
    while let Some(field) = multipart.next_field().await.map_err(|error| unreadable("payload", &error))? {
        let name = field.name().unwrap_or_default().to_owned();
        let text = field.text().await.map_err(|error| unreadable("payload", &error))?;
        fields.insert(name, text.into());
    }
    still(app, actor).await?;
    serde_json::to_string(&fields).map_err(Error::internal)
}

/// Reads the whole body as text, up to `most` bytes; see `timed_body` for its deadline.
async fn text_body(request: Request, app: &RestState, most: usize) -> Result<String> {
    let address = client_address::noted(request.extensions());
    let actor = request.extensions().get().copied();
    let bytes = read_body(request.into_body(), app, address, most).await?;
    still(app, actor).await?;
    String::from_utf8(bytes).map_err(|_| Error::invalid("payload", "is not UTF-8"))
}

/// Checks that the caller's session is still live after the body has arrived.
pub async fn still(app: &RestState, actor: Option<Actor>) -> Result<()> {
    match actor {
        Some(actor) => sessions::require_live(&app.context, actor).await,
        None => Ok(()),
    }
}

/// Waits for a turn to keep a large body in memory. Fails if the address already reads too many.
pub async fn turn_of(
    app: &RestState,
    address: Option<IpAddr>,
) -> Result<(ConcurrencyPermit, OwnedSemaphorePermit)> {
    let place = app.context.rates.large_bodies.enter(address)?;
    let turn = app.large_bodies.clone().acquire_owned().await.map_err(Error::internal)?;
    Ok((place, turn))
}

/// Reads the body. Bytes beyond the limit are read and discarded, up to four times the limit, because a client that is
/// still writing would otherwise see a broken connection instead of the response. Large bodies wait for their turn.
async fn read_body(mut body: Body, app: &RestState, address: Option<IpAddr>, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut length = 0;
    let mut turn = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable("payload", &error))?;
        let Some(data) = frame.data_ref() else { continue };
        length += data.len();
        if length > SMALL_BODY && length <= most && turn.is_none() {
            turn = Some(turn_of(app, address).await?);
        }
        if length <= most {
            bytes.extend_from_slice(data);
        } else if length > 4 * most {
            break;
        }
    }
    if length > most {
        return Err(Error::new(Code::TooLarge, format!("the body may have at most {most} bytes")));
    }
    Ok(bytes)
}

/// The body as text; it may be empty.
pub struct Text(pub String);

impl FromRequest<RestState> for Text {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &RestState) -> Result<Self, Problem> {
        Ok(Self(text_body(request, app, SMALL_BODY).await?))
    }
}

/// The body as text, which may contain a photo.
pub struct LargeText(pub String);

impl FromRequest<RestState> for LargeText {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &RestState) -> Result<Self, Problem> {
        Ok(Self(text_body(request, app, app.large_body).await?))
    }
}

/// The file of a multipart form's field `image`.
pub struct Image(pub Vec<u8>);

impl FromRequest<RestState> for Image {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &RestState) -> Result<Self, Problem> {
        let most = app.context.settings.photos.max_bytes;
        let address = client_address::noted(request.extensions());
        let actor = request.extensions().get().copied();
        let too_large = || Error::field(Code::TooLarge, "image", format!("must have at most {most} bytes"));
        let mut multipart = Multipart::from_request(request, app).await.map_err(|error| {
            Error::invalid("image", format!("send a multipart form: {}", error.body_text()))
        })?;
        let unreadable = |error: axum::extract::multipart::MultipartError| {
            if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
                too_large()
            } else {
                unreadable("image", &error)
            }
        };
        let mut turn = None;
        while let Some(mut field) = multipart.next_field().await.map_err(unreadable)? {
            if field.name() != Some("image") {
                continue;
            }
            let (mut bytes, mut length) = (Vec::new(), 0);
            while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
                length += chunk.len();
                if length > SMALL_BODY && length <= most && turn.is_none() {
                    turn = Some(turn_of(app, address).await?);
                }
                if length <= most {
                    bytes.extend_from_slice(&chunk);
                }
            }
            if length > most {
                return Err(too_large().into());
            }
            still(app, actor).await?;
            return Ok(Self(bytes));
        }
        Err(Error::invalid("image", "is missing").into())
    }
}

/// A number in the path; anything else is answered with `not_found`.
pub struct Id(pub i64);

impl FromRequestParts<RestState> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &RestState) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|_| Error::new(Code::NotFound, "an id must be a whole number"))?;
        let id = text.parse().map_err(|_| Error::new(Code::NotFound, "an id must be a whole number"))?;
        Ok(Self(id))
    }
}

/// The query parameters of lists in pages, for the OpenAPI document; [`Params`] reads them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive alone")]
pub struct Paging {
    /// From the `Link` of the previous page.
    cursor: Option<i64>,
    /// 1 to 200, default 50.
    limit: Option<i64>,
}

/// The query parameters of lists of chats.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive alone")]
pub struct ChatPaging {
    /// From the `Link` of the previous page.
    cursor: Option<String>,
    /// 1 to 200, default 50.
    limit: Option<i64>,
}

/// The query parameters by name.
pub struct Params(Vec<(String, String)>);

impl FromRequestParts<RestState> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &RestState) -> Result<Self, Problem> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Error::invalid("query", error.body_text()))?;
        Ok(Self(pairs.0))
    }
}

impl Params {
    /// Returns a parameter as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns a parameter as a whole number.
    pub fn number(&self, name: &str) -> Result<Option<i64>> {
        self.text(name)
            .map(|value| value.parse().map_err(|_| Error::invalid(name, "must be a whole number")))
            .transpose()
    }

    /// Returns a parameter that must be one of a closed set of values; an empty value counts as absent.
    pub fn one_of<T: TryFrom<String, Error = String>>(&self, name: &str) -> Result<Option<T>> {
        self.text(name)
            .filter(|text| !text.is_empty())
            .map(|text| T::try_from(text.to_owned()).map_err(|problem| Error::invalid(name, problem)))
            .transpose()
    }

    /// Reads a time, or a date, which stands for its beginning or, with `is_end`, for its end; milliseconds since the Unix
    /// epoch.
    pub fn time(&self, name: &str, is_end: bool) -> Result<Option<i64>> {
        let Some(text) = self.text(name).filter(|it| !it.is_empty()) else { return Ok(None) };
        let time = Timestamp::of_text(text, is_end).ok_or_else(|| Error::invalid(name, NO_TIME))?;
        Ok(Some(time.0))
    }

    /// Returns the URL of the next page: `path` with the parameters of this request, `limit` and the cursor.
    pub fn next_page(&self, path: &str, cursor: &str, limit: u64) -> String {
        let limit = limit.to_string();
        let kept = self.0.iter().filter(|(name, _)| name != "cursor" && name != "limit");
        let pairs = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs).append_pair("limit", &limit).append_pair("cursor", cursor);
        format!("{path}?{}", query.finish())
    }

    /// Returns `limit`, which must be between 1 and 200, or `default` if it is absent.
    pub fn limit(&self, default: u64) -> Result<u64> {
        match self.number("limit")? {
            None => Ok(default),
            Some(limit) if (1..=200).contains(&limit) => Ok(limit as u64),
            Some(_) => Err(Error::invalid("limit", "must be between 1 and 200")),
        }
    }
}

/// Returns a plain array as a response, with `Link: rel="next"` if there is more.
pub fn page<T: Serialize>(items: Vec<T>, next: Option<String>) -> Response {
    let mut response = axum::Json(items).into_response();
    if let Some(link) = next.and_then(|url| HeaderValue::from_str(&format!("<{url}>; rel=\"next\"")).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}
