//! Photos of people: checked and rendered by the image worker, stored under names nobody can guess, and
//! default avatars for those who have none.

use bytes::Bytes;
use futures_util::future::join_all;
use rust_embed::RustEmbed;

use super::AppContext;
use crate::error::{Code, Error, Result};
use crate::platform::images::{ImageError, RenderError, Rendered, from_base64};
use crate::random;

/// Avatars of our own making, in the sizes that photos have.
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

/// A default avatar, chosen at random.
pub fn default_avatar() -> String {
    let mut names: Vec<String> =
        Avatars::iter().filter_map(|path| path.strip_suffix("/original.jpeg").map(str::to_owned)).collect();
    names.sort();
    let chosen = random::below(names.len());
    names.into_iter().nth(chosen).unwrap_or_default()
}

/// Whether this is the name of a default avatar.
pub fn is_default_avatar(name: &str) -> bool {
    Avatars::get(&format!("{name}/original.jpeg")).is_some()
}

/// The avatar of accounts that are gone, always the same.
pub fn tombstone_avatar() -> String {
    let names = Avatars::iter().filter_map(|path| path.strip_suffix("/original.jpeg").map(str::to_owned));
    names.min().unwrap_or_default()
}

/// How many default avatars there are.
pub fn default_avatar_count() -> usize {
    Avatars::iter().filter(|path| path.ends_with("/original.jpeg")).count()
}

/// Decodes, renders and stores a photo that came as base64 in `field`; answers its name.
pub async fn store_base64(context: &AppContext, field: &str, text: &str) -> Result<String> {
    let limits = context.images.limits();
    let bytes = from_base64(text, &limits).map_err(|error| refuse(field, &error))?;
    store(context, field, bytes).await
}

/// Whether [`store`] would take a photo; nothing is kept.
pub async fn check(context: &AppContext, field: &str, bytes: Vec<u8>) -> Result<()> {
    render(context, field, bytes).await.map(drop)
}

async fn render(context: &AppContext, field: &str, bytes: Vec<u8>) -> Result<Rendered> {
    context.images.render(bytes).await.map_err(|error| match error {
        RenderError::Image(error) => refuse(field, &error),
        RenderError::Busy => Error::unavailable("too many photos at once, try again in a moment"),
    })
}

/// Renders and stores a photo that came in `field`; answers its name.
pub async fn store(context: &AppContext, field: &str, bytes: Vec<u8>) -> Result<String> {
    let rendered = render(context, field, bytes).await?;
    let name = random::hex(16)?;
    let parts = [rendered.original_jpeg, rendered.webp_400, rendered.webp_100, rendered.webp_50];
    let puts = FILES.into_iter().zip(parts).map(async |((file, content_type), bytes)| {
        context.storage.put(&key(&name, file), bytes.into(), content_type).await
    });
    // All have ended before any is removed: one that is still under way would come back.
    if let Err(error) = join_all(puts).await.into_iter().collect::<Result<()>>() {
        discard(context, &name).await;
        return Err(error);
    }
    Ok(name)
}

/// Removes a photo that has to go; where that fails, part of it may be left. An avatar of ours stays.
pub async fn remove(context: &AppContext, name: &str) -> Result<()> {
    if name.is_empty() || is_default(name) {
        return Ok(());
    }
    delete(context, name).await.into_iter().try_for_each(|(_, deleted)| deleted)
}

/// Whether a photo is one of the default avatars.
pub fn is_default(name: &str) -> bool {
    Avatars::get(&format!("{name}/original.jpeg")).is_some()
}

/// Removes a photo that nothing refers to any more. Failing to costs room, nothing else.
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

/// Deletes all files of a photo at the same time; answers what became of each.
async fn delete(context: &AppContext, name: &str) -> Vec<(&'static str, Result<()>)> {
    join_all(FILES.map(async |(file, _)| (file, context.storage.delete(&key(name, file)).await))).await
}

/// A photo's file by the names of `/static/{photo}/{file}`.
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
