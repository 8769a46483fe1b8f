//! Settings of the log.

use std::path::PathBuf;

use super::reader::{BadSetting, Reader};

/// Where and how the server logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Folder of the rotating log files.
    pub dir: PathBuf,
    /// Format of a line.
    pub format: LogFormat,
    /// What is logged, in the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

/// Format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Log, BadSetting> {
    let dir =
        PathBuf::from(r.text("LOG_DIR", "assets/logs", "folder for rotating log files, kept for 14 days"));
    let format =
        r.read("LOG_FORMAT", "pretty", "form of log lines: pretty or json", "pretty or json", |value| {
            match value {
                "pretty" => Some(LogFormat::Pretty),
                "json" => Some(LogFormat::Json),
                _ => None,
            }
        })?;
    let filter = r.read(
        "RUST_LOG",
        "info",
        "what is logged, such as info or mango_chat=debug",
        "a filter such as info or mango_chat=debug",
        |value| tracing_subscriber::EnvFilter::try_new(value).ok().map(|_| value.to_owned()),
    )?;
    Ok(Log { dir, format, filter })
}
