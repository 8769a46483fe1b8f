//! Uploading and downloading the files of messages.

use axum::body::Body;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, FromRequestParts, Multipart, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::Limited;
use tokio::fs::File as FileOnDisk;
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;

use crate::domain::attachments::{Access, Opened, Upload, disposition, open};
use crate::domain::links::File;
use crate::domain::run_detached;
use crate::error::{Code, Error, Result};
use crate::ids::ChatId;
use crate::platform::limits::{Bucket, Key};
use crate::platform::storage::Download;
use crate::protocol::attachments::Attachment;
use crate::transport::http::client_address;
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::http::timed_body::unreadable;
use crate::transport::rest::RestState;
use crate::transport::rest::extract::{Auth, Id, Params, still, turn_of};
use crate::transport::rest::photos::{Range, range_of};

/// What a form may have besides the file, bytes.
const FORM: usize = 65_536;

/// A form with a file.
#[derive(ToSchema)]
pub struct FileForm {
    /// The file, with its name.
    #[schema(value_type = String, format = Binary)]
    #[expect(dead_code, reason = "it is only described")]
    pub file: Vec<u8>,
}

/// Upload a file for a message to a chat. Send its id in `attachments` of `send_message` within a day.
///
/// Pictures (JPEG, PNG, WebP, GIF) are stored without their metadata, with a small version; other files as they are.
#[utoipa::path(post, path = "/chat/{id}/attachment", tag = "chat", security(("bearer" = [])),
    params(
        ("id" = i64, Path, description = "The chat"),
        ("as_file" = Option<bool>, Query, description = "Store a picture as it is, like other files"),
    ),
    request_body(content = FileForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, body = Attachment),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn upload(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    params: Params,
    request: Request,
) -> Result<(StatusCode, axum::Json<Attachment>), Problem> {
    app.context.rates.take(Bucket::Upload, Key::user(actor.user_id)).await?;
    let as_file = match params.text("as_file") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Error::invalid("as_file", "must be true or false").into()),
    };
    let turn = app.context.rates.uploads.take(Key::user(actor.user_id)).await?;
    let address = client_address::noted(request.extensions());
    // Also what surrounds the file in the form is kept in memory until it ends.
    let most = app.context.settings.photos.max_attachment_bytes + FORM;
    let request = request.map(|body| Body::new(Limited::new(body, most)));
    let mut form = Multipart::from_request(request, &app)
        .await
        .map_err(|error| Error::invalid("file", format!("send a multipart form: {}", error.body_text())))?;
    let broken = |error: MultipartError| unreadable("file", &error);
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        if field.name() != Some("file") {
            continue;
        }
        let name = field.file_name().unwrap_or_default().to_owned();
        let mut upload = Upload::begin(&app.context, actor, ChatId(id), &name, as_file).await?;
        let mut picture = None;
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            upload.write(&app.context, chunk).await?;
            if upload.is_in_memory() && picture.is_none() {
                picture = Some(turn_of(&app, address).await?);
            }
        }
        // The session may have ended while the file arrived.
        still(&app, Some(actor)).await?;
        let context = app.context.clone();
        let attachment = run_detached(async move {
            // Kept until it is stored, also if the client leaves.
            let _kept = (turn, picture);
            upload.finish(&context).await
        })
        .await?;
        return Ok((StatusCode::CREATED, axum::Json(attachment)));
    }
    Err(Error::invalid("file", "is missing").into())
}

/// Download a file of a message: for members of its chat, and with the signed URL that messages carry.
#[utoipa::path(get, path = "/attachment/{id}/{name}", tag = "chat", security(("bearer" = []), ()),
    params(
        ("id" = i64, Path, description = "The attachment"),
        ("name" = String, Path, description = "Any name"),
        ("thumbnail" = Option<i64>, Query, description = "1 for the small version of a picture"),
        ("expires" = Option<i64>, Query, description = "Of a signed URL"),
        ("signature" = Option<String>, Query, description = "Of a signed URL"),
    ),
    responses(
        (status = 200, body = String, description = "The file", content_type = "application/octet-stream"),
        (status = 206, description = "A part of the file"),
        (status = 302, description = "The file is in another store"),
        (status = 304, description = "Not modified"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 416, description = "No such part"),
    ))]
pub async fn download(State(app): State<RestState>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let absent = || Error::not_found("attachment");
    let path = Path::<(i64, String)>::from_request_parts(&mut parts, &app).await;
    let Ok(Path((id, _))) = path else { return Err(absent().into()) };
    let params = Params::from_request_parts(&mut parts, &app).await?;
    let file = if params.text("thumbnail") == Some("1") { File::Thumbnail } else { File::Whole };
    let opened = match (params.number("expires")?, params.text("signature")) {
        (Some(expires), Some(signature)) => {
            let signed = open(&app.context, id, file, Access::Signed { expires, signature }).await;
            match signed {
                // An old URL still works with a token.
                Err(error) if error.code == Code::NotFound && has_token(&parts.headers) => {
                    by_token(&mut parts, &app, id, file).await?
                }
                done => done?,
            }
        }
        _ => by_token(&mut parts, &app, id, file).await?,
    };
    Ok(send(opened, file, &parts.headers).await?)
}

fn has_token(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || headers.contains_key(header::COOKIE)
}

async fn by_token(
    parts: &mut axum::http::request::Parts,
    app: &RestState,
    id: i64,
    file: File,
) -> Result<Opened, Problem> {
    let Auth(actor) = Auth::from_request_parts(parts, app).await?;
    Ok(open(&app.context, id, file, Access::User(actor)).await?)
}

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

async fn send(opened: Opened, file: File, headers: &HeaderMap) -> Result<Response> {
    let Opened { row, mime, download } = opened;
    let value = |text: &str| HeaderValue::from_str(text).map_err(Error::internal);
    let mut response = match download {
        Download::Link(link) => {
            let mut response = StatusCode::FOUND.into_response();
            response.headers_mut().insert(header::LOCATION, value(&link)?);
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
                .headers_mut()
                .insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
            return Ok(response);
        }
        Download::File(on_disk) => part(on_disk, headers, &etag(row.id, file)).await?,
    };
    let all = response.headers_mut();
    all.insert(header::CONTENT_TYPE, value(&mime)?);
    all.insert(header::CONTENT_DISPOSITION, value(&disposition(&row.name, &mime))?);
    all.insert(header::ETAG, value(&etag(row.id, file))?);
    all.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    all.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600, immutable"));
    // The pages of an application may come from another origin.
    all.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    all.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Opened on its own, a document of a stranger may do nothing in the name of this origin.
    all.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    Ok(response)
}

/// The content of an id never changes, so the id is its version.
fn etag(id: i64, file: File) -> String {
    format!("\"{id}-{}\"", file.as_str())
}

/// Returns the whole file, or the part that the request asks for, as a stream.
async fn part(mut file: FileOnDisk, headers: &HeaderMap, etag: &str) -> Result<Response> {
    let length = file.metadata().await.map_err(Error::internal)?.len();
    let length = usize::try_from(length).map_err(Error::internal)?;
    match range_of(headers, length, etag) {
        Range::NotModified => Ok(StatusCode::NOT_MODIFIED.into_response()),
        Range::None => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            let whole = HeaderValue::from_str(&format!("bytes */{length}")).map_err(Error::internal)?;
            response.headers_mut().insert(header::CONTENT_RANGE, whole);
            Ok(response)
        }
        Range::Whole => {
            let mut response = Body::from_stream(ReaderStream::new(file)).into_response();
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
            Ok(response)
        }
        Range::Part(first, last) => {
            file.seek(SeekFrom::Start(first as u64)).await.map_err(Error::internal)?;
            let count = last - first + 1;
            let body = Body::from_stream(ReaderStream::new(file.take(count as u64)));
            let mut response = (StatusCode::PARTIAL_CONTENT, body).into_response();
            let range = format!("bytes {first}-{last}/{length}");
            let range = HeaderValue::from_str(&range).map_err(Error::internal)?;
            response.headers_mut().insert(header::CONTENT_RANGE, range);
            response.headers_mut().insert(header::CONTENT_LENGTH, count.into());
            Ok(response)
        }
    }
}
