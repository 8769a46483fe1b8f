//! The 25 message types: numbers in the database and in Mango-compatible aliases, names everywhere else.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::{PartialSchema, ToSchema};

/// Names in the order of the contract; the id of a type is its position, counted from 1.
pub const NAMES: [&str; 25] = [
    "text",
    "html",
    "json",
    "xml",
    "binary",
    "image",
    "pdf",
    "csv",
    "excel",
    "word",
    "zip",
    "gzip",
    "tar",
    "audio",
    "video",
    "rtf",
    "yaml",
    "javascript",
    "css",
    "svg",
    "markdown",
    "protobuf",
    "avro",
    "parquet",
    "orc",
];

/// One of the 25 message types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageType(i16);

impl MessageType {
    /// Returns the type with this number, 1 to 25.
    pub fn from_id(id: i64) -> Option<Self> {
        (1..=NAMES.len() as i64).contains(&id).then_some(Self(id as i16))
    }

    /// Returns the type with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().position(|it| *it == name).map(|place| Self(place as i16 + 1))
    }

    /// Returns its number.
    pub fn id(self) -> i16 {
        self.0
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        usize::try_from(self.0 - 1).ok().and_then(|place| NAMES.get(place)).copied().unwrap_or("text")
    }
}

impl MessageType {
    /// Returns whether people can read content of this type.
    pub fn is_text(self) -> bool {
        matches!(
            self.name(),
            "text"
                | "html"
                | "json"
                | "xml"
                | "csv"
                | "rtf"
                | "yaml"
                | "javascript"
                | "css"
                | "svg"
                | "markdown"
        )
    }

    /// Returns whether content of this type consists of tags and text.
    pub fn is_markup(self) -> bool {
        matches!(self.name(), "html" | "xml" | "svg")
    }

    /// Returns whether content of this type is blank: a `text` that is only white space.
    pub fn is_blank(self, content: &str) -> bool {
        self.name() == "text" && content.trim().is_empty()
    }
}

impl Serialize for MessageType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for MessageType {
    /// Accepts the name, and the number that Mango's own lists contain.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrNumber;
        impl Visitor<'_> for NameOrNumber {
            type Value = MessageType;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a message type, such as \"text\"")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<MessageType, E> {
                MessageType::from_name(name)
                    .ok_or_else(|| E::custom(format!("unknown message type; known are {}", NAMES.join(", "))))
            }

            fn visit_i64<E: de::Error>(self, id: i64) -> Result<MessageType, E> {
                MessageType::from_id(id).ok_or_else(|| E::custom("message types are numbered 1 to 25"))
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<MessageType, E> {
                self.visit_i64(i64::try_from(id).unwrap_or(0))
            }

            fn visit_f64<E: de::Error>(self, id: f64) -> Result<MessageType, E> {
                self.visit_i64(if id.fract() == 0.0 { id as i64 } else { 0 })
            }
        }
        deserializer.deserialize_any(NameOrNumber)
    }
}

impl PartialSchema for MessageType {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .enum_values(Some(NAMES))
            .into()
    }
}

impl ToSchema for MessageType {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_two_spellings_of_the_same() {
        for id in 1..=25 {
            let kind = MessageType::from_id(id).expect("in range");
            assert_eq!(MessageType::from_name(kind.name()), Some(kind));
            assert_eq!(serde_json::from_str::<MessageType>(&id.to_string()).expect("number"), kind);
        }
        assert_eq!(MessageType::from_name("rtf").map(MessageType::id), Some(16));
        assert!(MessageType::from_id(0).is_none() && MessageType::from_id(26).is_none());
    }
}
