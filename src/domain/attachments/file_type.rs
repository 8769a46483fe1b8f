//! The media type of a file by its first bytes. The type that a client names is not trusted.

/// Bytes that decide about the type.
pub const HEAD: usize = 8_192;

/// Pictures that browsers show and that are checked before they are stored.
const PICTURES: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "image/gif"];

/// Returns the media type of a file that begins with these bytes. `is_a_picture` confirms that they begin one: the first
/// letters alone may be those of a text.
pub fn of(head: &[u8], is_a_picture: impl Fn(&[u8]) -> bool) -> &'static str {
    if let Some(kind) = infer::get(head).map(|kind| kind.mime_type())
        && (!is_picture(kind) || is_a_picture(head))
    {
        return kind;
    }
    // The last character may be cut.
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => head
            .get(..error.valid_up_to())
            .and_then(|head| std::str::from_utf8(head).ok())
            .unwrap_or_default(),
        Err(_) => "",
    };
    let is_text = !text.is_empty() && !text.contains('\0');
    if is_text { "text/plain" } else { "application/octet-stream" }
}

/// Returns a name for a file that has none.
pub fn default_name(mime: &str) -> String {
    extension(mime).map_or_else(|| "file".to_owned(), |extension| format!("file.{extension}"))
}

fn extension(mime: &str) -> Option<&'static str> {
    Some(match mime {
        "image/jpeg" => "jpeg",
        "image/png" => "png",
        "image/webp" => "webp",
        "image/gif" => "gif",
        "application/pdf" => "pdf",
        "application/zip" => "zip",
        "audio/mpeg" => "mp3",
        "video/mp4" => "mp4",
        "text/plain" => "txt",
        _ => return None,
    })
}

/// Whether a media type is one of the pictures that are shown in place.
pub fn is_picture(mime: &str) -> bool {
    PICTURES.contains(&mime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_decides() {
        for (head, mime) in [
            (&b"\xff\xd8\xff\xe0\0\x10JFIF"[..], "image/jpeg"),
            (b"%PDF-1.7\n", "application/pdf"),
            (b"PK\x03\x04rest", "application/zip"),
            ("привет".as_bytes(), "text/plain"),
            (&"ё".as_bytes()[..1], "application/octet-stream"),
            (&"aё".as_bytes()[..2], "text/plain"),
            (b"<!DOCTYPE html><script>", "text/html"),
            (b"\0\x01\x02", "application/octet-stream"),
            (b"", "application/octet-stream"),
            (b"GIFTS", "text/plain"),
        ] {
            assert_eq!(of(head, |head| head.len() > 8), mime, "{head:?}");
        }
        assert!(is_picture("image/webp") && !is_picture("image/svg+xml") && !is_picture("image/bmp"));
    }
}
