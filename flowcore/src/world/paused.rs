//! A world whose clock is paused: tokio's, which moves to the next timer when
//! its runtime has nothing to do.
//!
//! All async code of the world runs on one thread, its driver; sync code runs
//! on threads that *hold* the clock while they work.
//!
//! Invariant: whoever can still change something holds the clock, or is woken
//! by somebody who does. A thread that waits lets go, and what wakes it takes
//! hold for it; so time never passes between a cause and its effect.

use std::cell::RefCell;
use std::future::Future;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{Thread, ThreadId};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::limits::LimitsHere;
use crate::results::ResultStore;
use crate::runner::EmbeddedSession;

thread_local! {
    static HERE: RefCell<Option<World>> = const { RefCell::new(None) };

    /// What this thread holds while it works.
    static HOLD: RefCell<Option<Hold>> = const { RefCell::new(None) };
}

/// The world of one test.
#[derive(Clone)]
pub(crate) struct World(Arc<Inner>);

struct Inner {
    runtime: Handle,
    driver: ThreadId,
    /// The same instant on both clocks.
    began: (Instant, Timestamp),
    holds: Mutex<Holds>,
    limits: Arc<LimitsHere>,
    session: OnceLock<Arc<EmbeddedSession>>,
    store: OnceLock<ResultStore>,
}

/// Who holds the clock: tokio's stands still while blocking code runs, so a
/// thread of that kind waits until all have let go.
#[derive(Default)]
struct Holds {
    count: usize,
    /// Dropped when the last one lets go.
    waiting: Option<Sender<()>>,
}

impl World {
    /// Runs the code in a world of its own, to its end.
    pub(crate) fn run<F: Future>(code: F) -> F::Output {
        // Blocking threads of the runtime are in the world too.
        let world = Arc::new(OnceLock::<World>::new());
        let of_thread = Arc::clone(&world);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .on_thread_start(move || HERE.set(of_thread.get().cloned()))
            .on_thread_stop(|| HERE.set(None))
            .build()
            .expect("the operating system gives a timer and a poller");
        let world = world.get_or_init(|| Self::driven_by(&runtime)).clone();
        world.clone().enter(|| {
            let driven = Driven {
                world,
                runtime: Some(runtime),
            };
            driven.run(code)
        })
    }

    /// The world of a runtime that this thread drives.
    fn driven_by(runtime: &Runtime) -> Self {
        let _context = runtime.enter();
        Self(Arc::new(Inner {
            runtime: runtime.handle().clone(),
            driver: std::thread::current().id(),
            began: (Instant::now(), Timestamp::of_wall_clock()),
            holds: Mutex::default(),
            limits: Arc::default(),
            session: OnceLock::new(),
            store: OnceLock::new(),
        }))
    }

    #[inline]
    pub(crate) fn here<R>(look: impl FnOnce(Option<&Self>) -> R) -> R {
        HERE.with_borrow(|here| look(here.as_ref()))
    }

    pub(crate) fn current() -> Option<Self> {
        HERE.with_borrow(Clone::clone)
    }

    #[inline]
    pub(crate) fn is_here() -> bool {
        Self::here(|world| world.is_some())
    }

    pub(crate) fn now(&self) -> Timestamp {
        let _runtime = self.0.runtime.enter();
        let (began, began_at) = self.0.began;
        began_at + began.elapsed()
    }

    pub(crate) fn handle(&self) -> Handle {
        self.0.runtime.clone()
    }

    pub(crate) fn limits(&self) -> &Arc<LimitsHere> {
        &self.0.limits
    }

    /// The session for whoever asks for nothing else.
    pub(crate) fn session(&self) -> &OnceLock<Arc<EmbeddedSession>> {
        &self.0.session
    }

    /// The store of records that nobody sends elsewhere.
    pub(crate) fn store(&self) -> String {
        let store = self.0.store.get_or_init(ResultStore::memory);
        store.url().to_owned()
    }

    /// While this lives, the clock stands still.
    pub(crate) fn hold(&self) -> Hold {
        let mut holds = self.0.holds.lock();
        holds.count += 1;
        if holds.count == 1 {
            let (sender, receiver) = channel::<()>();
            self.0.runtime.spawn_blocking(move || receiver.recv());
            holds.waiting = Some(sender);
        }
        Hold(self.clone())
    }

    /// This thread is in the world while it runs the code.
    pub(crate) fn enter<R>(self, code: impl FnOnce() -> R) -> R {
        struct Leave(Option<World>);
        impl Drop for Leave {
            fn drop(&mut self) {
                HERE.set(self.0.take());
            }
        }
        let _leave = Leave(HERE.replace(Some(self)));
        code()
    }

    /// Blocks this thread; the clock goes on meanwhile.
    pub(crate) fn block_on<F: Future>(self, future: F) -> F::Output {
        let is_driver = self.0.driver == std::thread::current().id();
        let sleeper = Arc::new(Sleeper {
            world: self,
            thread: std::thread::current(),
            woken: Mutex::new(Woken::No),
        });
        let waker = Waker::from(Arc::clone(&sleeper));
        let mut context = Context::from_waker(&waker);
        let mut future = std::pin::pin!(future);
        let held = HOLD.with_borrow(Option::is_some);
        let output = loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                break output;
            }
            assert!(
                !is_driver,
                "async code in a test with a paused clock blocks its own thread, which all other \
                 async code needs: await instead of `.block()`"
            );
            // Not under the borrow: the last hold of a thread that waits.
            drop(HOLD.take());
            HOLD.set(Some(sleeper.sleep()));
        };
        sleeper.is_up();
        if !held {
            drop(HOLD.take());
        }
        output
    }
}

/// A world until its end, however that comes.
struct Driven {
    world: World,
    runtime: Option<Runtime>,
}

impl Driven {
    fn run<F: Future>(&self, code: F) -> F::Output {
        let runtime = self.runtime.as_ref().expect("held until this is dropped");
        runtime.block_on(code)
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        // Its code goes while this thread is still in the world. Nobody waits
        // for sync code that a timeout left behind.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let World(inner) = &self.world;
        if let Some(session) = inner.session.get() {
            session.close();
        }
        if let Some(store) = inner.store.get() {
            ResultStore::forget(store.url());
        }
    }
}

/// The clock stands still while this lives.
pub(crate) struct Hold(World);

impl Hold {
    /// The thread holds the clock while it runs the code, except where it
    /// waits for something else.
    pub(crate) fn keep<R>(hold: Option<Self>, code: impl FnOnce() -> R) -> R {
        struct LetGo(Option<Hold>);
        impl Drop for LetGo {
            fn drop(&mut self) {
                drop(HOLD.replace(self.0.take()));
            }
        }
        let _let_go = LetGo(HOLD.replace(hold));
        code()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut holds = self.0.0.holds.lock();
        holds.count -= 1;
        if holds.count == 0 {
            holds.waiting = None;
        }
    }
}

/// A thread that waits, and holds the clock again from when it is woken.
struct Sleeper {
    world: World,
    thread: Thread,
    woken: Mutex<Woken>,
}

enum Woken {
    No,
    Yes(Hold),
    /// It has what it waited for.
    Up,
}

impl Sleeper {
    fn sleep(&self) -> Hold {
        loop {
            let mut woken = self.woken.lock();
            match std::mem::replace(&mut *woken, Woken::No) {
                Woken::Yes(hold) => return hold,
                Woken::No | Woken::Up => {}
            }
            drop(woken);
            std::thread::park();
        }
    }

    fn is_up(&self) {
        let last = std::mem::replace(&mut *self.woken.lock(), Woken::Up);
        drop(last);
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        let mut woken = self.woken.lock();
        if matches!(*woken, Woken::No) {
            *woken = Woken::Yes(self.world.hold());
        }
        drop(woken);
        self.thread.unpark();
    }
}
