//! Typed ids, so that a chat id cannot be mistaken for a user id, and integers in all the forms that clients send.
//!
//! The server writes plain integers. Clients whose language has a single number type send `5.0` and keep ids as text,
//! so both are accepted. A number that a double cannot represent exactly is rejected, because the client would send
//! back a different one.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// The largest integer up to which a double represents every integer exactly (ECMAScript's `Number.MAX_SAFE_INTEGER`).
pub const LARGEST: i64 = 9_007_199_254_740_991;

/// Deserializes an integer, and also its decimal digits as text if `as_text` is set.
struct Reading {
    as_text: bool,
}

impl Visitor<'_> for Reading {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<i64, E> {
        if (-LARGEST..=LARGEST).contains(&value) {
            return Ok(value);
        }
        Err(E::custom(format!("must be a whole number from -{LARGEST} to {LARGEST}")))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<i64, E> {
        self.visit_i64(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<i64, E> {
        if value.fract() == 0.0 {
            return self.visit_i64(value as i64);
        }
        Err(E::invalid_type(Unexpected::Float(value), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<i64, E> {
        let is_decimal = !text.is_empty() && text.len() <= 16 && text.bytes().all(|it| it.is_ascii_digit());
        match text.parse() {
            Ok(value) if self.as_text && is_decimal => self.visit_i64(value),
            _ => Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
    }
}

/// An integer in a payload.
#[derive(Deserialize)]
#[serde(transparent)]
struct Whole(#[serde(deserialize_with = "whole")] i64);

fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(Reading { as_text: false })
}

/// Deserializes an integer that may be missing or `null`, for fields with `#[serde(default)]`.
pub fn whole_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<Whole>::deserialize(deserializer)?.map(|it| it.0))
}

/// Deserializes a map of integers.
pub fn whole_by_key<'de, K: Deserialize<'de> + Ord, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<K, i64>, D::Error> {
    let read = BTreeMap::<K, Whole>::deserialize(deserializer)?;
    Ok(read.into_iter().map(|(key, value)| (key, value.0)).collect())
}

/// Implements `Deserialize` for id types.
macro_rules! read_as_id {
    ($($id:ident),*) => {$(
        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Reading { as_text: true }).map(Self)
            }
        }
    )*};
}

read_as_id!(UserId, ChatId, MessageId, SessionId);

/// The id of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// The id of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
pub struct ChatId(pub i64);

/// The id of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
pub struct MessageId(pub i64);

/// The id of a session, the `sid` of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
pub struct SessionId(pub i64);

/// One connection of one device to this node. The number has no meaning on other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ChatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_numbers_are_read_as_clients_write_them() {
        let id = |text: &str| serde_json::from_str::<ChatId>(text).map(|it| it.0);
        let number = |text: &str| serde_json::from_str::<Whole>(text).map(|it| it.0);
        for (text, value) in [("5", 5), ("5.0", 5), ("5e0", 5), ("-7", -7), ("9007199254740991", LARGEST)] {
            assert_eq!(id(text).expect(text), value);
            assert_eq!(number(text).expect(text), value);
        }
        assert_eq!(id("\"5\"").expect("a text"), 5);
        let keys: BTreeMap<ChatId, Whole> = serde_json::from_str("{\"5\": 7.0}").expect("a map");
        assert_eq!(keys.into_iter().map(|(chat, rev)| (chat.0, rev.0)).collect::<Vec<_>>(), [(5, 7)]);
        for text in [
            "5.5",
            "1e400",
            "\"5x\"",
            "\"\"",
            "\"-5\"",
            "\"5.0\"",
            "\" 5\"",
            "true",
            "null",
            "[]",
            "{}",
            "9007199254740992",
            "9007199254740993.0",
            "18446744073709551615",
            "\"99999999999999999\"",
        ] {
            assert!(id(text).is_err() && number(text).is_err(), "{text}");
        }
        assert!(number("\"5\"").is_err(), "only ids come as text");
    }
}
