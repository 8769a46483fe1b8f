//! Logging: `tracing` to stdout (in colour only on a terminal without `NO_COLOR`), and to files that are bounded in
//! size, number and age. Tokens, passwords and message contents are never logged.

use std::fs::DirBuilder;
use std::io::{self, IsTerminal};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use logroller::{LogRollerBuilder, Rotation as LogRotation, RotationSize};
use tracing::Subscriber;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::layer::{Context, Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::LogFormat;

/// The current file. Full files are numbered; `mango-chat.log.1` is the latest.
const FILE: &str = "mango-chat.log";

/// Maximum size of a file in megabytes.
const FILE_MEGABYTES: u64 = 32;

/// Number of full files that are kept.
const KEPT_FILES: u64 = 15;

/// Full files older than this are removed.
const KEPT_FOR: Duration = Duration::from_hours(14 * 24);

/// Formats fields for the file. Layers with the same formatter share the fields that one of them has formatted for a
/// span, including colours.
#[derive(Default)]
struct Plain(DefaultFields);

impl<'writer> FormatFields<'writer> for Plain {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        self.0.format_fields(writer, fields)
    }
}

/// Starts logging. Buffered lines are written when the guard is dropped.
///
/// If the folder cannot be written, the server starts without files and reports the problem on stdout.
pub fn start(folder: &Path, format: LogFormat, filter: &str) -> Option<WorkerGuard> {
    // If this creates the folder, only its owner may read the logs.
    drop(DirBuilder::new().recursive(true).mode(0o700).create(folder));
    remove_old(folder);
    let files = LogRollerBuilder::new(folder, Path::new(FILE))
        .rotation(LogRotation::SizeBased(RotationSize::MB(FILE_MEGABYTES)))
        .max_keep_files(KEPT_FILES)
        .file_mode(0o600)
        .build()
        .map_err(|error| error.to_string());
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
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_current_span(false).boxed(),
    };
    let mut outputs = vec![stdout, CountErrors.boxed()];
    outputs.extend(writer.map(|writer| match format {
        LogFormat::Pretty => {
            fmt::layer().with_ansi(false).fmt_fields(Plain::default()).with_writer(writer).boxed()
        }
        LogFormat::Json => {
            fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(writer).boxed()
        }
    }));
    if subscriber(filter, outputs).try_init().is_ok()
        && let Some(error) = problem
    {
        tracing::warn!(folder = %folder.display(), %error, "no log files");
    }
    guard
}

/// Errors that were logged since the process started.
static ERRORS: AtomicU64 = AtomicU64::new(0);

/// Returns how many errors were logged since the process started.
pub fn errors() -> u64 {
    ERRORS.load(Ordering::Relaxed)
}

/// Counts errors.
struct CountErrors;

impl<S: Subscriber> Layer<S> for CountErrors {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::ERROR {
            ERRORS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What the layers write to.
type Base = Layered<EnvFilter, Registry>;

/// Returns a subscriber with one filter before all outputs. If each output had its own filter, a library that asks
/// through the `log` crate whether it may log, and may not, would make its thread lose the next line.
fn subscriber(
    filter: &str,
    outputs: Vec<Box<dyn Layer<Base> + Send + Sync>>,
) -> impl Subscriber + Send + Sync {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::registry().with(filter).with(outputs)
}

/// Removes full files that are too old. Called at every start and once a day. Files that cannot be removed stay.
pub fn remove_old(folder: &Path) {
    let Ok(files) = std::fs::read_dir(folder) else { return };
    for file in files.flatten() {
        let is_full = file.file_name().to_str().is_some_and(|it| it != FILE && it.starts_with("mango-chat."));
        let age = file.metadata().and_then(|it| it.modified()).ok().and_then(|it| it.elapsed().ok());
        if is_full && age.is_some_and(|age| age > KEPT_FOR) {
            drop(std::fs::remove_file(file.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use parking_lot::Mutex;
    use tracing::metadata::Kind;
    use tracing::{Callsite, Level};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_library_that_may_not_log_costs_no_line_of_ours() {
        let lines = Lines::default();
        let writer = lines.clone();
        let output = fmt::layer().with_writer(move || writer.clone()).boxed();
        tracing::subscriber::with_default(subscriber("warn,mango_chat=info", vec![output]), || {
            let asks = tracing::callsite!(name: "asks", kind: Kind::EVENT, target: "sqlx", level: Level::INFO, fields: message);
            assert!(!tracing::dispatcher::get_default(|it| it.enabled(asks.metadata())));
            tracing::info!("ours");
        });
        assert!(String::from_utf8_lossy(&lines.0.lock()).contains("ours"));
    }

    #[test]
    fn full_files_go_when_they_are_old_and_nothing_else_does() {
        let folder = tempfile::tempdir().expect("a folder");
        File::create(folder.path().join("mango-chat.log.1")).expect("a file");
        for old in [FILE, "mango-chat.log.2", "mango-chat.2026-11-01.log", "notes.txt"] {
            let file = File::create(folder.path().join(old)).expect("a file");
            file.set_modified(UNIX_EPOCH).expect("an old one");
        }
        remove_old(folder.path());
        let mut left: Vec<String> = std::fs::read_dir(folder.path())
            .expect("the folder")
            .map(|it| it.expect("a file").file_name().into_string().expect("text"))
            .collect();
        left.sort();
        assert_eq!(left, [FILE, "mango-chat.log.1", "notes.txt"]);
    }
}
