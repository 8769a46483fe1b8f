//! Reads settings from the environment in one pass. Each read states the meaning and the valid values of its variable,
//! so that `serve --help`, `.env` and the error for an invalid value come from the same line.

use std::fmt;
use std::str::FromStr;

/// One setting as it is shown to an operator.
#[derive(Clone, Debug)]
pub struct Described {
    /// Name of the environment variable.
    pub name: &'static str,
    /// The default as text.
    pub default: String,
    /// What the setting does.
    pub meaning: &'static str,
    /// The value that was set; `None` if it is the default.
    pub value: Option<String>,
}

impl Described {
    /// Whether the value must not be shown.
    pub fn is_secret(&self) -> bool {
        let has_password = |value: &String| value.contains("://") && value.contains('@');
        is_secret(self.name) || self.value.as_ref().is_some_and(has_password)
    }
}

/// Whether a variable contains a password or another secret.
fn is_secret(name: &str) -> bool {
    name.contains("SECRET")
        || ["DATABASE_URL", "REDIS_URL", "SMTP_URL", "S3_ACCESS_KEY_ID", "METRICS_TOKEN"].contains(&name)
}

/// Why the server refuses to start: one line with the variable, its value and the valid values.
#[derive(Debug, PartialEq, Eq)]
pub struct BadSetting(pub String);

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadSetting {}

/// Reads the settings and records which ones were read.
pub struct Reader<'a> {
    source: &'a dyn Fn(&str) -> Option<String>,
    described: Vec<Described>,
}

impl<'a> Reader<'a> {
    /// Creates a reader for any source of variables.
    pub fn new(source: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { source, described: Vec::new() }
    }

    /// Returns all settings that were read so far.
    pub fn into_described(self) -> Vec<Described> {
        self.described
    }

    /// Returns the raw value if it is set and not blank.
    pub fn raw(&mut self, name: &'static str, default: &str, meaning: &'static str) -> Option<String> {
        let value = (self.source)(name).map(|value| value.trim().to_owned()).filter(|it| !it.is_empty());
        self.described.push(Described { name, default: default.to_owned(), meaning, value: value.clone() });
        value
    }

    /// Reads a value with `parse`; `takes` describes the valid values.
    pub fn read<T>(
        &mut self,
        name: &'static str,
        default: &str,
        meaning: &'static str,
        takes: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, BadSetting> {
        let value = self.raw(name, default, meaning).unwrap_or_else(|| default.to_owned());
        parse(&value).ok_or_else(|| bad(name, &value, takes))
    }

    /// Reads an integer between two bounds.
    pub fn number<T>(
        &mut self,
        name: &'static str,
        default: T,
        meaning: &'static str,
        least: T,
        most: T,
    ) -> Result<T, BadSetting>
    where
        T: FromStr + PartialOrd + fmt::Display + Copy,
    {
        let takes = format!("a whole number from {least} to {most}");
        self.read(name, &default.to_string(), meaning, &takes, |value| {
            value.parse().ok().filter(|number| (least..=most).contains(number))
        })
    }

    /// Reads `true` or `false` (also `on`, `off`, `1`, `0`).
    pub fn flag(
        &mut self,
        name: &'static str,
        default: bool,
        meaning: &'static str,
    ) -> Result<bool, BadSetting> {
        self.read(name, &default.to_string(), meaning, "true or false", |value| match value {
            "true" | "on" | "1" => Some(true),
            "false" | "off" | "0" => Some(false),
            _ => None,
        })
    }

    /// Does the same for a setting whose default depends on other settings; `meaning` describes the default.
    pub fn optional_flag(
        &mut self,
        name: &'static str,
        meaning: &'static str,
    ) -> Result<Option<bool>, BadSetting> {
        self.read(name, "", meaning, "true or false", |value| match value {
            "" => Some(None),
            "true" | "on" | "1" => Some(Some(true)),
            "false" | "off" | "0" => Some(Some(false)),
            _ => None,
        })
    }

    /// Reads text; returns the default if it is not set.
    pub fn text(&mut self, name: &'static str, default: &str, meaning: &'static str) -> String {
        self.raw(name, default, meaning).unwrap_or_else(|| default.to_owned())
    }
}

/// Creates the error for an invalid value. Secrets are not included.
pub fn bad(name: &str, value: &str, takes: &str) -> BadSetting {
    let got = if is_secret(name) { "a value that does not fit".to_owned() } else { format!("`{value}`") };
    BadSetting(format!("{name}: got {got}, must be {takes}"))
}
