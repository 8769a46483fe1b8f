//! Settings for tokens and sessions.

use std::time::Duration;

use super::reader::{BadSetting, Reader, bad};

/// How tokens are signed and how long they are valid.
#[derive(Clone)]
pub struct Tokens {
    /// The secret that signs tokens. If it is not set, one is generated and stored in the data folder.
    pub secret: Option<String>,
    /// Lifetime of an access token.
    pub access_ttl: Duration,
    /// Lifetime of a refresh token.
    pub refresh_ttl: Duration,
    /// Maximum lifetime of a session.
    pub session_max: Duration,
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Tokens, BadSetting> {
    let secret = r.raw(
        "JWT_SECRET",
        "",
        "signs tokens, at least 32 bytes; required in prod [generated and kept in DATA_DIR]",
    );
    if let Some(secret) = secret.as_ref().filter(|it| it.len() < 32) {
        return Err(bad("JWT_SECRET", secret, "at least 32 bytes"));
    }
    let seconds = |r: &mut Reader<'_>, name, default: u64, meaning| {
        r.number(name, default, meaning, 1, 315_360_000).map(Duration::from_secs)
    };
    Ok(Tokens {
        secret,
        access_ttl: seconds(r, "ACCESS_TOKEN_TTL_SECS", 1_800, "lifetime of an access token, seconds")?,
        refresh_ttl: seconds(r, "REFRESH_TOKEN_TTL_SECS", 604_800, "lifetime of a refresh token, seconds")?,
        session_max: seconds(r, "SESSION_MAX_SECS", 7_776_000, "longest life of a session, seconds")?,
    })
}
