//! What the tests share: a deadline around each, gates that hold runs back,
//! meters that count them.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use flowcore::TaskFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Far beyond what any test needs.
const DEADLINE: Duration = Duration::from_secs(120);

/// A test of sync code.
pub(crate) fn in_time<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = test();
        let _ = sender.send(());
        result
    });
    // A sender that is gone is a test that panicked: `join` says so.
    if receiver.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("the test hangs");
    }
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A test of async code, in a current-thread runtime as `#[tokio::test]` has.
pub(crate) fn run<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
    in_time(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test)
    })
}

/// Waits until something has happened.
pub(crate) fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "it never happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Holds back whoever passes, until it is opened.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    pub(crate) fn open(&self) {
        self.0.close();
    }

    pub(crate) async fn passed(&self) {
        // An error means closed, which is how this gate is opened.
        let _ = self.0.acquire().await;
    }

    pub(crate) fn pass(&self) {
        pollster::block_on(self.passed());
    }
}

/// Counts who is inside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    inside: AtomicUsize,
    most: AtomicUsize,
    total: AtomicUsize,
}

impl Meter {
    pub(crate) fn enter(&self) -> Inside {
        let inside = self.0.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(inside, Ordering::SeqCst);
        self.0.total.fetch_add(1, Ordering::SeqCst);
        Inside(self.clone())
    }

    pub(crate) fn inside(&self) -> usize {
        self.0.inside.load(Ordering::SeqCst)
    }

    /// The most that were inside at once.
    pub(crate) fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    /// All that ever came.
    pub(crate) fn total(&self) -> usize {
        self.0.total.load(Ordering::SeqCst)
    }
}

/// One who is inside, until it is dropped.
#[derive(Debug)]
pub(crate) struct Inside(Meter);

impl Clone for Inside {
    fn clone(&self) -> Self {
        self.0.enter()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Futures that outlive their flow.
pub(crate) type Kept<T> = Arc<Mutex<Vec<TaskFuture<T>>>>;

/// The names of the kept futures' states.
pub(crate) fn names<T>(kept: &Kept<T>) -> Vec<&'static str> {
    let kept = kept.lock();
    kept.iter()
        .map(|future| future.state().name().as_str())
        .collect()
}

/// An error with a type, a text and, maybe, a cause.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Bad {
    pub(crate) text: String,
    #[source]
    pub(crate) source: Option<std::io::Error>,
}

impl Bad {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            source: None,
        }
    }
}
