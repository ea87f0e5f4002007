//! How far a map or a computation is: a bar on a terminal, a line now and
//! then where there is none.
//!
//! Bars share one block at the bottom of the terminal; whoever writes lines
//! to stderr does it through [`suspended`], so that neither tears the other.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

/// What ends sooner needs no bar.
const SHOWN_AFTER: Duration = Duration::from_millis(300);
/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

static BARS: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));

fn is_terminal() -> bool {
    static IS_TERMINAL: OnceLock<bool> = OnceLock::new();
    *IS_TERMINAL.get_or_init(|| std::io::stderr().is_terminal())
}

/// Writes to stderr while the bars are away.
pub(crate) fn suspended<R>(write: impl FnOnce() -> R) -> R {
    if is_terminal() {
        BARS.suspend(write)
    } else {
        write()
    }
}

/// The progress of one piece of work. Clones show the same; with the last one
/// the bar goes.
///
/// ```
/// let progress = flowcore::Progress::new("persist", 130);
/// progress.advance(1);
/// ```
#[derive(Clone, Debug)]
pub struct Progress(Arc<Body>);

#[derive(Debug)]
struct Body {
    what: String,
    total: u64,
    done: AtomicU64,
    started: Instant,
    bar: OnceLock<ProgressBar>,
    last_line: Mutex<Instant>,
}

impl Progress {
    /// `total` steps of `what` begin.
    #[must_use]
    pub fn new(what: impl Into<String>, total: u64) -> Self {
        let started = Instant::now();
        Self(Arc::new(Body {
            what: what.into(),
            total,
            done: AtomicU64::new(0),
            started,
            bar: OnceLock::new(),
            last_line: Mutex::new(started),
        }))
    }

    /// For a map of so many rows; one row needs no bar.
    pub(crate) fn of_map(task: &str, rows: u64) -> Option<Self> {
        (rows > 1).then(|| Self::new(task, rows))
    }

    /// So many more steps are done.
    pub fn advance(&self, steps: u64) {
        let body = &*self.0;
        let done = body.done.fetch_add(steps, Ordering::Relaxed) + steps;
        if done >= body.total || body.started.elapsed() < SHOWN_AFTER {
            return;
        }
        if is_terminal() {
            body.bar.get_or_init(|| body.make_bar()).set_position(done);
        } else {
            body.write_line(done);
        }
    }
}

impl Body {
    fn make_bar(&self) -> ProgressBar {
        let style = ProgressStyle::with_template(
            "{prefix:>20} {wide_bar} {human_pos}/{human_len} [{elapsed} < {eta}]",
        )
        .expect("the template is right");
        BARS.add(
            ProgressBar::new(self.total)
                .with_style(style)
                .with_prefix(self.what.clone())
                .with_elapsed(self.started.elapsed()),
        )
    }

    fn write_line(&self, done: u64) {
        let mut last = self.last_line.lock();
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            drop(last);
            tracing::info!(target: "flowcore::progress", "{}: {done} of {}", self.what, self.total);
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
            BARS.remove(bar);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_work_of_many_steps_is_shown() {
        assert!(Progress::of_map("inc", 1).is_none());
        let progress = Progress::new("inc", 10);
        progress.advance(4);
        assert!(progress.0.bar.get().is_none());
        assert_eq!(progress.0.done.load(Ordering::Relaxed), 4);
    }
}
