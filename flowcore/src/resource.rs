//! What a process has once and all its tasks share: connection pools, clients,
//! models.

mod circle;
mod maker;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use self::maker::Maker;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use crate::cancellation::block_on;
use crate::error::{Error, ErrorKind, Result};
use crate::runner::note_waiting;

/// Something that each process makes once, at its first use, and that all runs
/// in it share without a parameter. A task may run in a worker process, where a
/// value of the flow's process is out of reach; a `static` resource is made
/// anew there.
///
/// ```
/// use flowcore::Resource;
/// use flowcore::prelude::*;
///
/// struct Client { base: String }
///
/// static CLIENT: Resource<Client> = Resource::new(|| {
///     let base = std::env::var("API_BASE").unwrap_or("https://localhost".into());
///     Ok(Client { base })
/// });
///
/// #[task]
/// async fn url_of(page: u32) -> Result<String> {
///     Ok(format!("{}/{page}", CLIENT.get().await?.base))
/// }
///
/// #[task]
/// fn url_in_sync_code(page: u32) -> Result<String> {
///     Ok(format!("{}/{page}", CLIENT.block()?.base))
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(url_of(1).await?, url_in_sync_code(1).await?);
/// # Ok(())
/// # }
/// ```
///
/// Of several runs that need it at once one makes it and the others wait, with
/// their slots given up. If it cannot be made, that run gets the error, and the
/// next one tries again; so it is if the run that makes it panics or is
/// cancelled. An initializer may use other resources; if they need each other
/// in a circle, that is an error which names them.
///
/// A resource in a `static` is never dropped: the operating system closes what
/// it holds when the process ends. What has to be flushed is flushed by the
/// flow.
pub struct Resource<T> {
    value: OnceCell<T>,
    make: Make<T>,
    made_at: &'static Location<'static>,
    /// Where the code that makes it waits.
    maker: Maker,
}

enum Make<T> {
    Now(fn() -> Result<T>),
    Later(fn() -> Making<T>),
}

type Making<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

impl<T: fmt::Debug> fmt::Debug for Resource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.get() {
            Some(value) => f.debug_tuple("Resource").field(value).finish(),
            None => f.write_str("Resource(not made yet)"),
        }
    }
}

impl<T: Send + Sync + 'static> Resource<T> {
    /// A resource that sync code makes: a function, or a closure that captures
    /// nothing.
    #[track_caller]
    pub const fn new(make: fn() -> Result<T>) -> Self {
        Self {
            value: OnceCell::const_new(),
            make: Make::Now(make),
            made_at: Location::caller(),
            maker: Maker::nobody(),
        }
    }

    /// A resource that async code makes. It runs on the runtime of users' code,
    /// so what it opens lives as long as the process.
    ///
    /// ```
    /// use flowcore::Resource;
    ///
    /// struct Pool;
    /// # impl Pool { async fn connect(_: &str) -> Result<Self, std::io::Error> { Ok(Pool) } }
    ///
    /// static POOL: Resource<Pool> =
    ///     Resource::new_async(|| Box::pin(async { Ok(Pool::connect("db:5432").await?) }));
    /// ```
    #[track_caller]
    pub const fn new_async(make: fn() -> Making<T>) -> Self {
        Self {
            value: OnceCell::const_new(),
            make: Make::Later(make),
            made_at: Location::caller(),
            maker: Maker::nobody(),
        }
    }

    /// The resource, made if nobody has made it.
    ///
    /// # Errors
    ///
    /// It could not be made. The initializer's own error is in it:
    /// [`Error::downcast_ref`] finds it, [`Error::root`] gives it. An
    /// initializer that needs what is made by means of it gets one of kind
    /// [`ErrorKind::Invalid`], whose text names the whole circle.
    ///
    /// # Cancel safety
    ///
    /// If the future that makes it is dropped half-way, the next one begins anew.
    pub async fn get(&self) -> Result<&T> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let name = self.name();
        let _need = circle::need(name)?;
        // Whoever makes it works; the others wait for a run.
        let makes = AtomicBool::new(false);
        let made = self.value.get_or_try_init(async || {
            makes.store(true, Ordering::Relaxed);
            match self.make {
                Make::Now(make) => circle::making(name, make),
                Make::Later(make) => within_user_runtime(name, circle::making(name, make)).await,
            }
        });
        let mut made = std::pin::pin!(made);
        let mut here = None;
        let made = std::future::poll_fn(|context| {
            let made = made.as_mut().poll(context);
            if made.is_pending() {
                if makes.load(Ordering::Relaxed) {
                    here.get_or_insert_with(|| self.maker.waits()).note();
                } else {
                    note_waiting();
                }
            }
            made
        });
        made.await.map_err(|error| {
            let message = format!(
                "the resource `{}` could not be made: {error}",
                name.type_name
            );
            Error::build(ErrorKind::Failed, message)
                .because(error)
                .finish()
        })
    }

    fn name(&self) -> circle::Name {
        circle::Name {
            address: std::ptr::from_ref(self).addr(),
            type_name: std::any::type_name::<T>(),
            made_at: self.made_at,
        }
    }

    /// The resource, in sync code; a thread of a task runner lends its slot to
    /// other runs while it waits.
    ///
    /// # Errors
    ///
    /// Those of [`Resource::get`]; of kind [`ErrorKind::Cancelled`] if the
    /// run is cancelled meanwhile; of kind [`ErrorKind::Invalid`] if the code
    /// that makes it already could not go on, because this thread or this
    /// tokio task is the one that has to poll it.
    pub fn block(&self) -> Result<&T> {
        match self.value.get() {
            Some(value) => Ok(value),
            None => {
                if self.maker.would_be_stopped() {
                    return Err(Error::invalid(format!(
                        "the resource `{}` is being made by async code that this thread runs, and \
                         `block()` would stop it for ever: write `.get().await` here",
                        self.name().type_name
                    )));
                }
                // Pools of async libraries want to see a runtime.
                let _runtime = Handle::try_current()
                    .is_err()
                    .then(|| crate::runtime::process_user().enter());
                block_on(self.get())
            }
        }
    }
}

/// What the code opens belongs to the runtime that lives as long as the
/// process, and not to the caller's.
async fn within_user_runtime<F: Future + Unpin>(name: circle::Name, mut code: F) -> F::Output {
    // It takes real time, whatever the clock of the code around it.
    let _hold = crate::runtime::hold();
    std::future::poll_fn(|context| {
        let _runtime = crate::runtime::process_user().enter();
        circle::making(name, || Pin::new(&mut code).poll(context))
    })
    .await
}
