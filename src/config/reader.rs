//! Reads settings from the environment by one table walk. Every read says what the variable means and
//! what it takes, so that `serve --help`, `.env` and the refusal of a bad value come from the same line.

use std::fmt;
use std::str::FromStr;

/// One setting as an operator sees it.
#[derive(Clone, Debug)]
pub struct Described {
    /// Name of the environment variable.
    pub name: &'static str,
    /// Default as text.
    pub default: String,
    /// What it does.
    pub meaning: &'static str,
}

/// Why the start was refused: one line that names the variable, what it got and what it takes.
#[derive(Debug, PartialEq, Eq)]
pub struct BadSetting(pub String);

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadSetting {}

/// Walks over the settings, remembering what it was asked for.
pub struct Reader<'a> {
    source: &'a dyn Fn(&str) -> Option<String>,
    described: Vec<Described>,
}

impl<'a> Reader<'a> {
    /// A reader over any source of variables.
    pub fn new(source: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { source, described: Vec::new() }
    }

    /// All settings asked for so far.
    pub fn into_described(self) -> Vec<Described> {
        self.described
    }

    /// The raw value, where it is set and not blank.
    pub fn raw(&mut self, name: &'static str, default: &str, meaning: &'static str) -> Option<String> {
        self.described.push(Described { name, default: default.to_owned(), meaning });
        (self.source)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A value that `parse` understands; `takes` says what that is.
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

    /// A whole number between two bounds.
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

    /// `true` or `false` (also `on`, `off`, `1`, `0`).
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

    /// The same, where the default depends on other settings; `meaning` says how.
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

    /// Text, empty where it is not set.
    pub fn text(&mut self, name: &'static str, default: &str, meaning: &'static str) -> String {
        self.raw(name, default, meaning).unwrap_or_else(|| default.to_owned())
    }
}

/// The refusal of one value. Secrets are not repeated.
pub fn bad(name: &str, value: &str, takes: &str) -> BadSetting {
    let secret = name.contains("SECRET") || ["DATABASE_URL", "REDIS_URL", "SMTP_URL"].contains(&name);
    let got = if secret { "a value that does not fit".to_owned() } else { format!("`{value}`") };
    BadSetting(format!("{name}: got {got}, must be {takes}"))
}
