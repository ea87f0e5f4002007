//! What the tests share: nothing may hang.

use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

/// Long enough for a loaded machine: only a test that hangs gets here.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs code on a thread of its own; a test that does not come back fails
/// instead of hanging.
pub(crate) fn finishes<T: Send + 'static>(code: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let value = code();
        // The receiver has given up, and says so itself.
        let _ = done.send(value);
    });
    match ended.recv_timeout(PATIENCE) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("the value was sent"),
        },
    }
}

/// Polls a future on a current-thread runtime of its own, as `#[tokio::test]`
/// does.
pub(crate) fn run<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    finishes(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(future)
    })
}
