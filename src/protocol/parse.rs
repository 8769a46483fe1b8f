//! Parses text into a checked payload, or returns an error that names the field.
//!
//! serde's messages are kept if they help. What they lack is added: a missing field is named by its whole path, and a
//! list is not accepted as an object.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Code, Error, FieldErrors, Result};
use crate::text::{LONGEST_NAME, clean_name};

/// Limits that payloads are checked against.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest content of a message, bytes.
    pub max_message_bytes: usize,
    /// Most members of a group.
    pub max_group_members: usize,
}

/// Collects what is wrong with a payload, field by field.
#[derive(Default)]
pub struct Problems {
    errors: FieldErrors,
    too_large: bool,
}

impl Problems {
    /// Records `problem` unless `fine`.
    pub fn check(&mut self, field: &str, fine: bool, problem: &str) {
        if !fine {
            self.errors.entry(field.to_owned()).or_default().push(problem.to_owned());
        }
    }

    /// Records `too_large` if `bytes` is above `most`.
    pub fn check_size(&mut self, field: &str, bytes: usize, most: usize) {
        if bytes > most {
            self.too_large = true;
            let problem = format!("must have at most {most} bytes, got {bytes}");
            self.errors.entry(field.to_owned()).or_default().push(problem);
        }
    }

    /// Checks a text's length in characters.
    pub fn check_length(&mut self, field: &str, text: Option<&str>, least: usize, most: usize) {
        let Some(text) = text else { return };
        let length = text.chars().count();
        self.check(
            field,
            (least..=most).contains(&length),
            &format!("must have {least} to {most} characters"),
        );
        self.check(field, !text.contains('\0'), "must not contain NUL characters");
    }

    /// Checks a name: its length in characters, and that it has no control, direction or invisible characters.
    pub fn check_name(&mut self, field: &str, name: Option<&str>, least: usize) {
        let Some(name) = name else { return };
        match clean_name(name) {
            Ok(name) => self.check_length(field, Some(&name), least, LONGEST_NAME),
            Err(problem) => self.check(field, false, problem),
        }
    }

    /// Returns all problems as one error.
    pub fn into_result(self) -> Result<()> {
        let Some((field, problems)) = self.errors.first_key_value() else { return Ok(()) };
        let code = if self.too_large { Code::TooLarge } else { Code::ValidationFailed };
        let mut error = Error::new(code, format!("{field}: {}", problems.join(", ")));
        error.errors = self.errors;
        Err(error)
    }
}

/// Validation beyond the types of a payload.
pub trait Check {
    /// Whether the payload may contain a photo.
    const LARGE: bool = false;

    /// Records all problems.
    fn check(&self, limits: &Limits, problems: &mut Problems);
}

/// Parses and checks a payload.
pub fn parse<T: DeserializeOwned + Check>(text: &str, limits: &Limits) -> Result<T> {
    let value: T = read(text)?;
    let mut problems = Problems::default();
    value.check(limits, &mut problems);
    problems.into_result()?;
    Ok(value)
}

/// Reads JSON that must be an object; skips a byte order mark before it.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Ok(Envelope(value)) = serde_json::from_str(text) {
        return Ok(value);
    }
    // Read again to find out where the fault is: doing so at once would double the time.
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read: Result<Envelope<T>, _> = serde_path_to_error::deserialize(&mut deserializer);
    let Envelope(value) = read.map_err(|error| explain(&error.path().to_string(), error.inner()))?;
    deserializer.end().map_err(|error| explain(".", &error))?;
    Ok(value)
}

/// Returns the first of several values that are separated by commas; `None` if the text is anything else.
pub fn first_argument(text: &str) -> Option<&str> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let first = values.next()?.ok()?;
    let rest = text.get(values.byte_offset()..)?.trim_start().strip_prefix(',')?;
    let others: Vec<IgnoredAny> = serde_json::from_str(&format!("[{rest}]")).ok()?;
    (!others.is_empty()).then(|| first.get())
}

/// Converts an error of serde.
fn explain(path: &str, error: &serde_json::Error) -> Error {
    let full = error.to_string();
    // The path may contain names that the client chose, so it is shortened, too.
    let path = &*shortened(path);
    let problem = full.split(" at line ").next().unwrap_or(&full);
    let at = |name: &str| if path == "." { name.to_owned() } else { format!("{path}.{name}") };
    for (opening, said) in [("missing field `", "is missing"), ("duplicate field `", "is given twice")] {
        if let Some(name) = problem.strip_prefix(opening).and_then(|rest| rest.strip_suffix('`')) {
            return Error::invalid(at(name), said);
        }
    }
    // serde_json reads numbers that are not integers as doubles, and reports a syntax error if no double can hold them.
    if problem == "number out of range" && path != "." {
        return Error::invalid(path, "must be a number that a double can hold");
    }
    // A string may be valid JSON by its quotes, but contain escapes that are not Unicode.
    if path != "." && problem.contains("escape") {
        return Error::invalid(path, format!("is not text: {full}"));
    }
    if error.is_syntax() || error.is_eof() {
        return Error::invalid("payload", format!("is not JSON: {full}"));
    }
    let problem = match problem.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        Some((got, expected)) => format!("must be {}, got {}", humane(expected), shortened(got)),
        None => shortened(problem).into_owned(),
    };
    Error::invalid(if path == "." { "payload" } else { path }, problem)
}

/// Maximum characters of invalid input that an error repeats.
const REPEATED: usize = 100;

/// Returns the beginning of a text that may be megabytes long.
fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(REPEATED) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Replaces Rust's names of types with common ones.
fn humane(expected: &str) -> &str {
    match expected {
        "i64" | "u64" | "i32" | "u32" | "usize" => "a whole number",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "a string" => "a text",
        other => other,
    }
}

/// Deserializes a field that may be `null`. The outer option says whether the field is present, the inner one whether
/// it has a value.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// The object in an envelope such as `{"message": {…}}`; serde alone would also accept a list of its fields in order.
/// Fields of this type declare their schema with `value_type`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Envelope<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Envelope<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnvelopeVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for EnvelopeVisitor<T> {
            type Value = Envelope<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Envelope)
            }
        }
        deserializer.deserialize_map(EnvelopeVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only its reading is tested")]
        chat_id: i64,
    }

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "only its reading is tested")]
        message: Envelope<Inner>,
    }

    #[test]
    fn the_first_of_several_arguments_is_found() {
        for (text, first) in [
            ("{},1", Some("{}")),
            (r#" {"a":[1,","]} , 2, "x""#, Some(r#"{"a":[1,","]}"#)),
            ("{}", None),
            ("{}]", None),
            ("{},", None),
            ("{},]", None),
            ("{},1],[2", None),
            ("", None),
        ] {
            assert_eq!(first_argument(text), first, "{text}");
        }
    }

    #[test]
    fn every_misfit_names_its_field() {
        for (text, field, said) in [
            ("{}", "message", "is missing"),
            (r#"{"message":{}}"#, "message.chat_id", "is missing"),
            (r#"{"message":{"chat_id":"3"}}"#, "message.chat_id", "must be a whole number, got string \"3\""),
            (
                r#"{"message":{"chat_id":3.5}}"#,
                "message.chat_id",
                "must be a whole number, got floating point `3.5`",
            ),
            (r#"{"message":[3]}"#, "message", "must be an object, got sequence"),
            (r#"{"message":{"chat_id":1,"chat_id":2}}"#, "message.chat_id", "is given twice"),
            ("[1,2]", "payload", "must be an object, got sequence"),
            ("7", "payload", "must be an object, got integer `7`"),
        ] {
            let error = read::<Outer>(text).expect_err(text);
            assert_eq!(error.code, Code::ValidationFailed);
            assert_eq!(error.errors.get(field), Some(&vec![said.to_owned()]), "{text}: {:?}", error.errors);
        }
        let error = read::<Outer>("{nonsense").expect_err("no JSON");
        assert!(error.errors.contains_key("payload"));
    }
}
