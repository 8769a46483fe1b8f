//! The URLs of attachments. Whoever has one may read the file for an hour: messages carry them, so that a page can show a
//! picture without sending a token.

use std::fmt::Write;

use entity::attachment;
use ring::hmac;

use crate::protocol::attachments::Attachment;

/// How long a URL is valid at least, milliseconds.
const VALID_MS: i64 = 60 * 60 * 1_000;

/// URLs change this often, so that browsers can keep what they have fetched.
const STEP_MS: i64 = 5 * 60 * 1_000;

/// Which file of an attachment a URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The file itself.
    Whole,
    /// The small version of a picture.
    Thumbnail,
}

impl File {
    /// Returns its name in the storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "file",
            Self::Thumbnail => "thumbnail",
        }
    }
}

/// What URLs are made of: the public URL of the server, and the current time in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Links<'a> {
    /// Without a trailing slash.
    pub base: &'a str,
    /// Milliseconds since the Unix epoch.
    pub now: i64,
}

impl Links<'_> {
    /// Returns an attachment as clients see it.
    pub fn show(&self, row: attachment::Model) -> Attachment {
        Attachment {
            url: self.url(&row, File::Whole),
            thumbnail_url: row.has_thumbnail.then(|| self.url(&row, File::Thumbnail)),
            id: row.id,
            name: row.name,
            size: row.size,
            mime: row.mime,
            width: row.width,
            height: row.height,
            duration: None,
            blurhash: row.blurhash,
        }
    }

    fn url(&self, row: &attachment::Model, file: File) -> String {
        let expires = self.now - self.now.rem_euclid(STEP_MS) + STEP_MS + VALID_MS;
        let name = match file {
            File::Whole => {
                percent_encoding::utf8_percent_encode(&row.name, percent_encoding::NON_ALPHANUMERIC)
            }
            File::Thumbnail => percent_encoding::utf8_percent_encode("thumbnail.webp", UNRESERVED),
        };
        let signature = signature(row, file, expires);
        let which = if file == File::Thumbnail { "&thumbnail=1" } else { "" };
        format!("{}/attachment/{}/{name}?expires={expires}&signature={signature}{which}", self.base, row.id)
    }
}

/// Characters that a URL's path keeps.
const UNRESERVED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC.remove(b'.');

fn signed_text(file: File, expires: i64) -> String {
    format!("{} {expires}", file.as_str())
}

fn key(row: &attachment::Model) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, row.signing_key.as_bytes())
}

fn signature(row: &attachment::Model, file: File, expires: i64) -> String {
    let tag = hmac::sign(&key(row), signed_text(file, expires).as_bytes());
    tag.as_ref().iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns whether a URL's signature is right and has not expired.
pub fn is_valid(row: &attachment::Model, file: File, expires: i64, given: &str, now: i64) -> bool {
    let expected = signature(row, file, expires);
    // Both have the same length unless the given one is invalid; the comparison takes the same time for all of those.
    let differs = expected.bytes().zip(given.bytes()).fold(0, |all, (one, other)| all | (one ^ other));
    expires > now && given.len() == expected.len() && differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_valid_for_its_file_and_an_hour() {
        let row = attachment::Model {
            id: 7,
            user_id: 1,
            chat_id: 1,
            storage_key: "k".into(),
            signing_key: "secret".into(),
            name: "отчёт 1/2.pdf".into(),
            mime: "application/pdf".into(),
            size: 5,
            width: None,
            height: None,
            blurhash: None,
            has_thumbnail: true,
            created_at: 0,
            due_at: None,
        };
        let now = 1_700_000_123_456;
        let shown = Links { base: "http://x", now }.show(row.clone());
        assert!(shown.url.starts_with("http://x/attachment/7/%D0%BE"), "{}", shown.url);
        assert!(!shown.url.contains("1/2"), "{}", shown.url);
        let part = |url: &str, name: &str| {
            let (_, rest) = url.split_once(&format!("{name}=")).expect("the parameter");
            rest.split('&').next().expect("a value").to_owned()
        };
        let expires: i64 = part(&shown.url, "expires").parse().expect("a number");
        let signature = part(&shown.url, "signature");
        assert!((VALID_MS..=VALID_MS + STEP_MS).contains(&(expires - now)));
        assert!(is_valid(&row, File::Whole, expires, &signature, now));
        assert!(!is_valid(&row, File::Thumbnail, expires, &signature, now));
        assert!(!is_valid(&row, File::Whole, expires + 1, &signature, now));
        assert!(!is_valid(&row, File::Whole, expires, &signature, expires));
        assert!(!is_valid(&row, File::Whole, expires, "", now));
        let other = attachment::Model { signing_key: "other".into(), ..row };
        assert!(!is_valid(&other, File::Whole, expires, &signature, now));
    }
}
