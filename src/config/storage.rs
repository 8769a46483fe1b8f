//! Settings for where data is stored: the photo folder or the S3-compatible store, and the URL of a SQLite file.

use std::path::Path;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;

use super::reader::{BadSetting, Reader, bad};

/// Where photos are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageKind {
    /// Files below the data folder.
    Local,
    /// An S3-compatible store.
    S3(S3),
}

/// How to reach the S3-compatible store.
#[derive(Clone, PartialEq, Eq)]
pub struct S3 {
    /// Base URL; `None` for AWS itself.
    pub endpoint: Option<String>,
    /// Bucket; it must exist.
    pub bucket: String,
    /// Region.
    pub region: String,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Whether URLs are `http://host/bucket/key` instead of `http://bucket.host/key`.
    pub force_path_style: bool,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "S3({:?}, {})", self.endpoint, self.bucket)
    }
}

/// Characters that have a special meaning in a `sqlite://` URL or are not allowed in any URL.
const SQLITE_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');

/// Returns the URL of a SQLite file; `platform::db::file_of` is the inverse.
pub fn sqlite_url(file: &Path) -> String {
    let path = file.display().to_string();
    // Characters beyond ASCII stay as they are, because readers of the URL decode both forms.
    let encoded: String = path
        .chars()
        .map(|char| {
            if char.is_ascii() {
                utf8_percent_encode(char.encode_utf8(&mut [0; 4]), SQLITE_PATH).to_string()
            } else {
                char.to_string()
            }
        })
        .collect();
    format!("sqlite://{encoded}")
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<StorageKind, BadSetting> {
    let s3 = r.read(
        "STORAGE",
        "local",
        "where photos are stored: local (a folder in DATA_DIR) or s3",
        "local or s3",
        |value| match value {
            "local" => Some(false),
            "s3" => Some(true),
            _ => None,
        },
    )?;
    let endpoint =
        r.raw("S3_ENDPOINT", "", "URL of the S3-compatible store, without a path; not needed for AWS");
    let bucket = r.text("S3_BUCKET", "", "name of the bucket; it must exist");
    let region = r.text("S3_REGION", "us-east-1", "region");
    let access_key_id = r.text("S3_ACCESS_KEY_ID", "", "access key id");
    let secret_access_key = r.text("S3_SECRET_ACCESS_KEY", "", "secret access key");
    let force_path_style =
        r.flag("S3_FORCE_PATH_STYLE", false, "use http://host/bucket/key instead of http://bucket.host/key")?;
    if !s3 {
        return Ok(StorageKind::Local);
    }
    for (name, value) in [
        ("S3_BUCKET", &bucket),
        ("S3_ACCESS_KEY_ID", &access_key_id),
        ("S3_SECRET_ACCESS_KEY", &secret_access_key),
    ] {
        if value.is_empty() {
            return Err(BadSetting(format!("{name}: got nothing, STORAGE=s3 needs it")));
        }
    }
    if !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return Err(bad("S3_BUCKET", &bucket, "the name of a bucket alone, such as mango-photos"));
    }
    let endpoint = endpoint.map(|value| check_endpoint(&value)).transpose()?;
    Ok(StorageKind::S3(S3 { endpoint, bucket, region, access_key_id, secret_access_key, force_path_style }))
}

/// Checks that the endpoint is scheme, host and port. A path is refused: it nearly always is the bucket, which has its
/// own setting. If it is a path that a proxy strips, signatures fail because they cover the signed path.
fn check_endpoint(value: &str) -> Result<String, BadSetting> {
    let fits = Url::parse(value).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    if fits && value.contains("://") {
        return Ok(value.trim_end_matches('/').to_owned());
    }
    // The value is not shown: it may contain a password.
    Err(BadSetting(
        "S3_ENDPOINT: must be a URL of scheme, host and port, such as \
         https://s3.example.org (the bucket belongs into S3_BUCKET)"
            .into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<StorageKind, BadSetting> {
        let base =
            [("STORAGE", "s3"), ("S3_BUCKET", "b"), ("S3_ACCESS_KEY_ID", "i"), ("S3_SECRET_ACCESS_KEY", "s")];
        let source = |name: &str| {
            let find = |list: &[(&str, &str)]| {
                list.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            find(pairs).or_else(|| find(&base))
        };
        read(&mut Reader::new(&source))
    }

    #[test]
    fn s3_names_what_is_missing() {
        let Err(BadSetting(line)) = with(&[("S3_BUCKET", "")]) else { panic!("taken without a bucket") };
        assert!(line.starts_with("S3_BUCKET"), "{line}");
    }

    #[test]
    fn an_endpoint_with_a_path_or_without_a_scheme_and_a_bucket_that_is_a_url_are_refused() {
        for (name, value) in [
            ("S3_ENDPOINT", "http://127.0.0.1:9000/mango-photos"),
            ("S3_ENDPOINT", "http://127.0.0.1:9000/?region=x"),
            ("S3_ENDPOINT", "127.0.0.1:9000"),
            ("S3_ENDPOINT", "s3.example.org"),
            ("S3_ENDPOINT", "localhost:9000"),
            ("S3_ENDPOINT", "ftp://s3.example.org"),
            ("S3_ENDPOINT", "https://user:hush-hush@s3.example.org"),
            ("S3_BUCKET", "s3://mango-photos"),
            ("S3_BUCKET", "mango-photos/photos"),
            ("S3_BUCKET", "mango photos"),
        ] {
            let Err(BadSetting(line)) = with(&[(name, value)]) else { panic!("{name}={value} was taken") };
            assert!(line.starts_with(&format!("{name}: ")) && !line.contains('\n'), "{line}");
            assert!(!line.contains("hush"), "{line}");
        }
        for fine in ["http://127.0.0.1:9000", "https://s3.example.org/"] {
            let Ok(StorageKind::S3(s3)) = with(&[("S3_ENDPOINT", fine)]) else {
                panic!("{fine} was refused")
            };
            assert_eq!(s3.endpoint.as_deref(), Some(fine.trim_end_matches('/')));
        }
    }

    #[test]
    fn settings_of_a_store_that_is_not_used_are_not_judged() {
        assert_eq!(with(&[("STORAGE", "local"), ("S3_BUCKET", "s3://x")]), Ok(StorageKind::Local));
    }
}
