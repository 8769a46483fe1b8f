//! Shows the progress of a long command: a bar on a terminal, occasional lines elsewhere, nothing in tests.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Time between two plain lines.
const LINE: Duration = Duration::from_secs(5);

/// Where progress is shown.
pub enum Progress {
    /// A bar on the terminal.
    Bar(ProgressBar),
    /// Lines on standard error.
    Lines(Lines),
    /// Nowhere.
    Silent,
}

/// The state of the progress lines.
pub struct Lines {
    now: Mutex<(&'static str, u64, Instant)>,
    done: AtomicU64,
}

impl Progress {
    /// Shows a bar if standard error is a terminal, otherwise lines.
    pub fn for_terminal() -> Self {
        if !std::io::stderr().is_terminal() {
            let now = Mutex::new(("", 0, Instant::now()));
            return Self::Lines(Lines { now, done: AtomicU64::new(0) });
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        let style =
            ProgressStyle::with_template("{prefix:<9} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
        Self::Bar(style.map_or(bar.clone(), |style| bar.with_style(style)))
    }

    /// Starts a phase.
    pub fn begin(&self, what: &'static str, total: u64) {
        match self {
            Self::Bar(bar) => {
                bar.reset();
                bar.set_prefix(what);
                bar.set_length(total);
            }
            Self::Lines(lines) => {
                *lines.now.lock() = (what, total, Instant::now());
                lines.done.store(0, Ordering::Relaxed);
                say(what, 0, total);
            }
            Self::Silent => {}
        }
    }

    /// Adds to the completed amount.
    pub fn advance(&self, by: usize) {
        match self {
            Self::Bar(bar) => bar.inc(by as u64),
            Self::Lines(lines) => {
                let done = lines.done.fetch_add(by as u64, Ordering::Relaxed) + by as u64;
                let (what, total, ref mut last) = *lines.now.lock();
                if last.elapsed() >= LINE || done == total {
                    *last = Instant::now();
                    say(what, done, total);
                }
            }
            Self::Silent => {}
        }
    }

    /// Ends the progress display and clears the bar.
    pub fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[expect(clippy::print_stderr, reason = "progress is for whoever waits for the command")]
fn say(what: &str, done: u64, total: u64) {
    eprintln!("{what}: {done} of {total}");
}
