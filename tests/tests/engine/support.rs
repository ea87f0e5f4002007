//! What the tests share: nothing may hang, and tasks that wait until they are
//! told to go on.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

/// Long enough for a loaded machine: only a test that hangs gets here.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs code on a thread of its own; a test that does not come back fails
/// instead of hanging.
fn finishes<T: Send + 'static>(patience: Duration, code: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let value = code();
        // If the receiver has given up it says so itself.
        let _ = done.send(value);
    });
    match ended.recv_timeout(patience) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
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
    run_for(PATIENCE, future)
}

/// The same with a patience of its own.
pub(crate) fn run_for<F>(patience: Duration, future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    finishes(patience, || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(future)
    })
}

/// Waits until something is so, for what no handle tells.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Where tasks wait until the test opens.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A task comes here and waits.
    pub(crate) fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        self.changed.notify_all();
        while !state.0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().0 = true;
        self.changed.notify_all();
    }

    /// Blocks until so many tasks have come.
    pub(crate) fn until_arrived(&self, count: usize) {
        let mut state = self.state.lock().unwrap();
        while state.1 < count {
            state = self.changed.wait(state).unwrap();
        }
    }
}

/// Counts, shared with tasks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<AtomicUsize>);

impl Counter {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The count with this one.
    pub(crate) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A value that counts its end; it cannot be copied.
#[derive(Debug)]
pub(crate) struct Tracked(pub(crate) Counter);

impl Drop for Tracked {
    fn drop(&mut self) {
        self.0.add();
    }
}
