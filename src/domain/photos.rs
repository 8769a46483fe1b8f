//! Photos of users and groups: the image worker checks and renders them, and they are stored under random names
//! that cannot be guessed. Users without a photo have a default avatar.

use bytes::Bytes;
use futures_util::future::join_all;
use rust_embed::RustEmbed;

use super::AppContext;
use crate::error::{Code, Error, Result};
use crate::platform::images::{ImageError, RenderError, Rendered};
use crate::random;

/// The default avatars, in the sizes that photos have.
#[derive(RustEmbed)]
#[folder = "assets/avatars"]
#[include = "*.jpeg"]
#[include = "*.webp"]
struct Avatars;

/// The files of one photo, with their media types.
const FILES: [(&str, &str); 4] = [
    ("original.jpeg", "image/jpeg"),
    ("400x400.webp", "image/webp"),
    ("100x100.webp", "image/webp"),
    ("50x50.webp", "image/webp"),
];

/// A file of a photo.
pub struct PhotoFile {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its media type.
    pub content_type: &'static str,
}

/// Returns the name of a random default avatar.
pub fn default_avatar() -> String {
    let mut names: Vec<String> =
        Avatars::iter().filter_map(|path| path.strip_suffix("/original.jpeg").map(str::to_owned)).collect();
    names.sort();
    let chosen = random::below(names.len());
    names.into_iter().nth(chosen).unwrap_or_default()
}

/// Returns whether this is the name of a default avatar.
pub fn is_default_avatar(name: &str) -> bool {
    Avatars::get(&format!("{name}/original.jpeg")).is_some()
}

/// Returns the avatar of deleted accounts, which is always the same.
pub fn tombstone_avatar() -> String {
    let names = Avatars::iter().filter_map(|path| path.strip_suffix("/original.jpeg").map(str::to_owned));
    names.min().unwrap_or_default()
}

/// Returns the number of default avatars.
pub fn default_avatar_count() -> usize {
    Avatars::iter().filter(|path| path.ends_with("/original.jpeg")).count()
}

/// Decodes, renders and stores a photo that `field` contains as base64; returns its name.
pub async fn store_base64(context: &AppContext, field: &str, text: String) -> Result<String> {
    let bytes = context.images.from_base64(text).await.map_err(|error| explain(field, error))?;
    store(context, field, bytes).await
}

/// Checks whether [`store`] would accept a photo, without storing it.
pub async fn check(context: &AppContext, field: &str, bytes: Vec<u8>) -> Result<()> {
    render(context, field, bytes).await.map(drop)
}

async fn render(context: &AppContext, field: &str, bytes: Vec<u8>) -> Result<Rendered> {
    context.images.render(bytes).await.map_err(|error| explain(field, error))
}

/// Converts an error of the image worker to one that names this field.
pub fn explain(field: &str, error: RenderError) -> Error {
    match error {
        RenderError::Image(error) => refuse(field, &error),
        RenderError::Busy => Error::unavailable("too many photos at once, try again in a moment"),
    }
}

/// Renders and stores the photo of `field`; returns its name.
pub async fn store(context: &AppContext, field: &str, bytes: Vec<u8>) -> Result<String> {
    let rendered = render(context, field, bytes).await?;
    let name = random::hex(16)?;
    let parts = [rendered.original_jpeg, rendered.webp_400, rendered.webp_100, rendered.webp_50];
    let puts = FILES.into_iter().zip(parts).map(async |((file, content_type), bytes)| {
        context.storage.put(&key(&name, file), bytes.into(), content_type).await
    });
    // All uploads have finished before the files are removed: an upload that is still running would create its file
    // again.
    if let Err(error) = join_all(puts).await.into_iter().collect::<Result<()>>() {
        discard(context, &name).await;
        return Err(error);
    }
    Ok(name)
}

/// Removes a photo that must not be kept; after an error some of its files may be left. Default avatars are not
/// removed.
pub async fn remove(context: &AppContext, name: &str) -> Result<()> {
    if name.is_empty() || is_default(name) {
        return Ok(());
    }
    delete(context, name).await.into_iter().try_for_each(|(_, deleted)| deleted)
}

/// Returns whether a photo is one of the default avatars.
pub fn is_default(name: &str) -> bool {
    Avatars::get(&format!("{name}/original.jpeg")).is_some()
}

/// Removes a photo that is no longer referenced. A failure is only logged: it wastes storage, nothing else.
pub async fn discard(context: &AppContext, name: &str) {
    if name.is_empty() || is_default(name) {
        return;
    }
    for (file, deleted) in delete(context, name).await {
        if let Err(error) = deleted {
            tracing::warn!(photo = name, file, %error, "a photo could not be removed");
        }
    }
}

/// Deletes all files of a photo concurrently; returns the result for each file.
async fn delete(context: &AppContext, name: &str) -> Vec<(&'static str, Result<()>)> {
    join_all(FILES.map(async |(file, _)| (file, context.storage.delete(&key(name, file)).await))).await
}

/// Returns the file for `/static/{photo}/{file}`, if it exists.
pub async fn read(context: &AppContext, photo: &str, file: &str) -> Result<Option<PhotoFile>> {
    let file = if file == "original.jpg" { "original.jpeg" } else { file };
    let Some((file, content_type)) = FILES.into_iter().find(|(name, _)| *name == file) else {
        return Ok(None);
    };
    let fits = (1..=64).contains(&photo.len())
        && photo.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !fits {
        return Ok(None);
    }
    if let Some(avatar) = Avatars::get(&format!("{photo}/{file}")) {
        let bytes = match avatar.data {
            std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            std::borrow::Cow::Owned(bytes) => bytes.into(),
        };
        return Ok(Some(PhotoFile { bytes, content_type }));
    }
    Ok(context.storage.get(&key(photo, file)).await?.map(|bytes| PhotoFile { bytes, content_type }))
}

fn key(name: &str, file: &str) -> String {
    format!("photos/{name}/{file}")
}

fn refuse(field: &str, error: &ImageError) -> Error {
    let code = match error {
        ImageError::TooManyBytes { .. } | ImageError::TooManyPixels { .. } => Code::TooLarge,
        _ => Code::ValidationFailed,
    };
    Error::field(code, field, error.to_string())
}
