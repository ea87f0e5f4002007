//! Panics of user code: caught, told with message and place, never allowed to
//! take a thread or the process down.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::error::TextChain;

/// What a panic said and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PanicReport {
    message: String,
    place: Option<String>,
    backtrace: Option<String>,
}

impl fmt::Display for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "panic at {place}: {}", self.message),
            None => write!(f, "panic: {}", self.message),
        }
    }
}

impl PanicReport {
    /// What `RUST_BACKTRACE` asks for: it goes below the error's message.
    pub(crate) fn chain(&self) -> Option<Box<TextChain>> {
        let message = format!("backtrace:\n{}", self.backtrace.as_deref()?);
        Some(Box::new(TextChain {
            message,
            source: None,
        }))
    }
}

/// Place and backtrace of a panic.
type Noted = (String, Option<String>);

/// Whether user code runs: then the hook notes place and backtrace instead of
/// printing them, since the failed run tells them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    Off,
    On,
    HasNoted,
}

thread_local! {
    // Each run sets this twice, and hardly any notes something: a flag by itself.
    static WATCH: Cell<Watch> = const { Cell::new(Watch::Off) };
    static NOTED: RefCell<Option<Noted>> = const { RefCell::new(None) };
}

/// Makes panics of user code quiet; other panics print as before.
pub(crate) fn install_hook() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_ours = WATCH.get() != Watch::Off;
            if is_ours {
                let place = panic
                    .location()
                    .map_or_else(String::new, ToString::to_string);
                let backtrace = Backtrace::capture();
                let backtrace = (backtrace.status() == BacktraceStatus::Captured)
                    .then(|| backtrace.to_string());
                NOTED.set(Some((place, backtrace)));
                WATCH.set(Watch::HasNoted);
            }
            if !is_ours {
                previous(panic);
            }
        }));
    });
}

/// Runs user code; a panic becomes a report.
#[inline]
pub(crate) fn catch<R>(code: impl FnOnce() -> R) -> Result<R, PanicReport> {
    let outer = WATCH.replace(Watch::On);
    // The code's values are dropped on a panic or belong to this run alone.
    let result = catch_unwind(AssertUnwindSafe(code));
    let noted = match WATCH.replace(outer) {
        Watch::HasNoted => NOTED.take(),
        Watch::Off | Watch::On => None,
    };
    result.map_err(|payload| {
        let report = report(&*payload, noted);
        // The payload is a user's value too, and may panic as it goes.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        report
    })
}

/// Drops users' values: one that panics as it goes ends nothing else.
pub(crate) fn drop_caught<T>(values: T) {
    if let Err(report) = catch(|| drop(values)) {
        tracing::error!(target: "flowcore::runs", "a value panicked while it was dropped: {report}");
    }
}

fn report(payload: &(dyn Any + Send), noted: Option<Noted>) -> PanicReport {
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned());
    let (place, backtrace) = noted.unzip();
    PanicReport {
        message,
        place: place.filter(|place| !place.is_empty()),
        backtrace: backtrace.flatten(),
    }
}

/// A future whose panics become reports.
pub(crate) struct Caught<F>(pub(crate) F);

impl<F: Future + Unpin> Future for Caught<F> {
    type Output = Result<F::Output, PanicReport>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let future = std::pin::Pin::new(&mut self.0);
        match catch(|| future.poll(context)) {
            Ok(poll) => poll.map(Ok),
            Err(report) => std::task::Poll::Ready(Err(report)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_message_and_place() {
        install_hook();
        let report = catch(|| panic!("number {}", 7)).unwrap_err();
        assert!(report.to_string().contains("number 7"), "{report}");
        assert!(report.to_string().contains("panic.rs:"), "{report}");
        assert!(catch(|| 1).is_ok());
    }

    #[test]
    fn nested_catches_keep_their_own() {
        install_hook();
        let outer = catch(|| {
            let inner = catch(|| panic!("inner")).unwrap_err();
            assert!(inner.to_string().contains("inner"));
            panic!("outer");
        });
        assert!(outer.unwrap_err().to_string().contains("outer"));
    }
}
