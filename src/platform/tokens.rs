//! Tokens: JWT (RFC 7519) signed with HS256. The kind is part of the token, so that one kind cannot be used as the
//! other. This module does not check whether the session is still valid.

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::ids::{SessionId, UserId};
use crate::platform::hs256;
use crate::random;

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Authenticates REST requests and sockets.
    Access,
    /// Exchanged for new tokens.
    Refresh,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    sid: i64,
    typ: Kind,
    iat: i64,
    exp: i64,
    jti: String,
}

/// A token that is authentic and has not expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The user.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// Time of expiry in milliseconds.
    pub expires_at: i64,
    /// Hex SHA-256 of its id, as stored for refresh tokens.
    pub hash: String,
}

/// A new token.
#[derive(Clone)]
pub struct Issued {
    /// The text that is sent to the client.
    pub token: String,
    /// Hex SHA-256 of its id.
    pub hash: String,
    /// Time of expiry in milliseconds.
    pub expires_at: i64,
}

/// Signs and verifies tokens.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    clock: Clock,
}

impl Tokens {
    /// Creates a signer with a secret of at least 32 bytes.
    pub fn new(secret: &str, clock: Clock) -> Self {
        hs256::install();
        Self {
            encoding: EncodingKey::from_secret(secret.as_bytes()),
            decoding: DecodingKey::from_secret(secret.as_bytes()),
            clock,
        }
    }

    /// Signs a token that expires at `expires_at` (milliseconds; tokens have whole seconds, rounded down).
    pub fn issue(&self, kind: Kind, user: UserId, session: SessionId, expires_at: i64) -> Result<Issued> {
        let jti = random::hex(16)?;
        let hash = hash(&jti);
        let claims = Claims {
            sub: user.0.to_string(),
            sid: session.0,
            typ: kind,
            iat: self.clock.now() / 1_000,
            exp: expires_at / 1_000,
            jti,
        };
        let token =
            encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).map_err(Error::internal)?;
        Ok(Issued { token, hash, expires_at: claims.exp * 1_000 })
    }

    /// Verifies that a token is authentic, of this kind and not expired.
    pub fn verify(&self, kind: Kind, token: &str) -> Result<Verified> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        // The expiry is checked below, with the clock that is passed in.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = decode::<Claims>(token, &self.decoding, &validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => Error::new(Code::TokenExpired, "the token has expired"),
                _ => Error::new(Code::TokenInvalid, "the token was not issued by this server"),
            })?
            .claims;
        if claims.typ != kind {
            return Err(Error::new(Code::TokenInvalid, "the token is of the wrong kind"));
        }
        if claims.exp * 1_000 <= self.clock.now() {
            return Err(Error::new(Code::TokenExpired, "the token has expired"));
        }
        let user_id = claims
            .sub
            .parse()
            .map_err(|_| Error::new(Code::TokenInvalid, "the token was not issued by this server"))?;
        Ok(Verified {
            user_id: UserId(user_id),
            session_id: SessionId(claims.sid),
            expires_at: claims.exp * 1_000,
            hash: hash(&claims.jti),
        })
    }
}

/// Returns the hex SHA-256 of a text.
pub fn hash(text: &str) -> String {
    random::to_hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_kind_its_key_and_its_time() {
        let clock = Clock::system();
        let tokens = Tokens::new("0123456789abcdef0123456789abcdef", clock.clone());
        let issue = |kind, until| tokens.issue(kind, UserId(7), SessionId(3), until).expect("token").token;
        let access = issue(Kind::Access, clock.now() + 60_000);
        let verified = tokens.verify(Kind::Access, &access).expect("good");
        assert_eq!((verified.user_id, verified.session_id), (UserId(7), SessionId(3)));
        let code = |result: Result<Verified>| result.expect_err("refused").code;
        assert_eq!(code(tokens.verify(Kind::Refresh, &access)), Code::TokenInvalid);
        assert_eq!(
            code(tokens.verify(Kind::Access, &issue(Kind::Access, clock.now() - 1_000))),
            Code::TokenExpired
        );
        let foreign = Tokens::new("another secret of thirty-two bytes", clock);
        assert_eq!(code(foreign.verify(Kind::Access, &access)), Code::TokenInvalid);
        for garbage in ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiI3In0."] {
            assert_eq!(code(tokens.verify(Kind::Access, garbage)), Code::TokenInvalid, "{garbage}");
        }
    }
}
