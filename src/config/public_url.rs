//! `PUBLIC_URL`: how clients reach the server. Its path, which a proxy strips, is part of every link and cookie.

use url::Url;

/// The public URL of the server; see the module documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    origin: String,
    path: String,
}

impl PublicUrl {
    /// Parses an `http` or `https` URL without query, fragment and credentials. Returns `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let origin = url.origin().ascii_serialization();
        let path = url.path().trim_end_matches('/').to_owned();
        is_plain.then(|| Self { text: format!("{origin}{path}"), origin, path })
    }

    /// Returns the whole URL without a trailing slash: `https://example.org/chat`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the origin in the sense of browsers: `https://example.org`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the path without a trailing slash: `/chat`, or an empty string.
    pub fn path(&self) -> &str {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_an_origin_and_a_path_and_nothing_else() {
        for (text, origin, path) in [
            ("http://localhost:5000", "http://localhost:5000", ""),
            ("https://Example.org/", "https://example.org", ""),
            ("https://example.org:443/chat/", "https://example.org", "/chat"),
            ("https://example.org/a/b", "https://example.org", "/a/b"),
        ] {
            let url = PublicUrl::parse(text).expect(text);
            assert_eq!((url.origin(), url.path()), (origin, path), "{text}");
            assert_eq!(url.as_str(), format!("{origin}{path}"));
        }
        for text in ["", "example.org", "ftp://x", "https://", "http://x/?a=1", "http://x/#a", "http://u:p@x"]
        {
            assert_eq!(PublicUrl::parse(text), None, "{text}");
        }
    }
}
