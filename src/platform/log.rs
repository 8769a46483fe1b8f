//! Logging: `tracing` to stdout, in colours on a terminal without `NO_COLOR` only, and to a daily file. Tokens, passwords and contents never get here.

use std::fs::DirBuilder;
use std::io::{self, IsTerminal};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::LogFormat;

/// Days of log files that are kept.
const KEPT_FILES: usize = 14;

/// Fields for the file. Layers with the same formatter share what one of them has written of a span, colours too.
#[derive(Default)]
struct Plain(DefaultFields);

impl<'writer> FormatFields<'writer> for Plain {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        self.0.format_fields(writer, fields)
    }
}

/// Starts logging. What the guard still holds is written when it is dropped.
///
/// A folder that cannot be written to costs the files, not the start: the problem is told on stdout.
pub fn start(folder: &Path, format: LogFormat, filter: &str) -> Option<WorkerGuard> {
    let filter = || EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // The appender complains on stderr about a folder that is not there yet, or that it may not read.
    // What is logged is the operator's alone, where the folder is ours to make.
    drop(DirBuilder::new().recursive(true).mode(0o700).create(folder));
    let files = std::fs::read_dir(folder).map_err(|error| error.to_string()).and_then(|_| {
        RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix("mango-chat")
            .filename_suffix("log")
            .max_log_files(KEPT_FILES)
            .build(folder)
            .map_err(|error| error.to_string())
    });
    let (writer, guard, problem) = match files {
        Ok(files) => {
            let (writer, guard) = tracing_appender::non_blocking(files);
            (Some(writer), Some(guard), None)
        }
        Err(error) => (None, None, Some(error)),
    };
    let is_colourful =
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let stdout = match format {
        LogFormat::Pretty => fmt::layer().compact().with_target(false).with_ansi(is_colourful).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).boxed(),
    };
    let file = writer.map(|writer| match format {
        LogFormat::Pretty => {
            fmt::layer().with_ansi(false).fmt_fields(Plain::default()).with_writer(writer).boxed()
        }
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
    });
    let registry = tracing_subscriber::registry()
        .with(stdout.with_filter(filter()))
        .with(file.map(|layer| layer.with_filter(filter())));
    if registry.try_init().is_ok()
        && let Some(error) = problem
    {
        tracing::warn!(folder = %folder.display(), %error, "no log files");
    }
    guard
}
