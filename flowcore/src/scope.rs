//! Tags and options for all that is submitted inside some code.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::definition::TaskOptions;
use crate::transacting::Transaction;

tokio::task_local! {
    static CURRENT: Arc<Scope>;
}

/// Tags and options that apply to every task and flow run that is submitted,
/// mapped, called or started in some code, and in the runs that come of it.
/// Scopes nest: tags add up, and the options of an inner scope come after those
/// of an outer one. They come after the task's own options too, `with_options`
/// included.
///
/// [`with_tags`] and [`with_task_options`] are the short forms for async code.
///
/// ```
/// use flowcore::prelude::*;
/// use flowcore::Scope;
///
/// #[task]
/// fn load(day: i64) -> Vec<String> {
///     flowcore::run_info().unwrap().tags
/// }
///
/// #[flow]
/// fn backfill() -> Result<Vec<String>> {
///     let scope = Scope::new().tag("backfill").task_options(|o| o.retries(3));
///     scope.enter(|| load.submit(1)).block()
/// }
///
/// assert_eq!(backfill().block()?, ["backfill"]);
/// # Ok::<(), flowcore::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "a scope does nothing until code runs in it"]
pub struct Scope {
    tags: Vec<String>,
    changes: Vec<Change>,
    transaction: Option<Transaction>,
}

type Change = Arc<dyn Fn(TaskOptions) -> TaskOptions + Send + Sync>;

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("tags", &self.tags)
            .field("changes", &self.changes.len())
            .finish()
    }
}

impl Scope {
    /// What surrounds the calling code, and nothing more.
    pub fn new() -> Self {
        Self::current().map_or_else(Self::default, |scope| Self::clone(&scope))
    }

    /// One more tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
        self
    }

    /// More tags.
    pub fn tags<T: Into<String>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        tags.into_iter().fold(self, Self::tag)
    }

    /// A change of the options of every task.
    pub fn task_options(
        mut self,
        change: impl Fn(TaskOptions) -> TaskOptions + Send + Sync + 'static,
    ) -> Self {
        self.changes.push(Arc::new(change));
        self
    }

    /// Runs sync code in it.
    pub fn enter<R>(self, code: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(Arc::new(self), code)
    }

    /// Async code in it, wherever that is polled.
    pub fn around<F: Future>(self, code: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(Arc::new(self), code)
    }

    /// Code of a transaction.
    pub(crate) fn in_transaction(mut self, transaction: Transaction) -> Self {
        self.transaction = Some(transaction);
        self
    }

    pub(crate) fn transaction(&self) -> Option<&Transaction> {
        self.transaction.as_ref()
    }

    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    pub(crate) fn enter_shared<R>(scope: Option<Arc<Self>>, code: impl FnOnce() -> R) -> R {
        match scope {
            None => code(),
            Some(scope) => CURRENT.sync_scope(scope, code),
        }
    }

    pub(crate) async fn around_shared<F: Future>(scope: Option<Arc<Self>>, code: F) -> F::Output {
        match scope {
            None => code.await,
            Some(scope) => CURRENT.scope(scope, code).await,
        }
    }

    pub(crate) fn all_tags(&self) -> impl Iterator<Item = &String> {
        self.tags.iter()
    }

    /// A task's options as they are in this scope.
    pub(crate) fn applied_to(&self, options: &TaskOptions) -> TaskOptions {
        let known: Vec<_> = options.all_tags().collect();
        let new = self
            .tags
            .iter()
            .filter(|tag| !known.contains(&tag.as_str()));
        let tagged = new.fold(options.clone(), TaskOptions::tag);
        self.changes
            .iter()
            .fold(tagged, |options, change| change(options))
    }
}

/// Async code whose runs all have these tags too: what it submits, maps, calls
/// and starts, and what is submitted in those runs. See [`Scope`].
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task(tags = ["etl"])]
/// async fn load(day: i64) -> Vec<String> {
///     flowcore::run_info().unwrap().tags
/// }
///
/// #[flow]
/// async fn nightly() -> Result<Vec<String>> {
///     flowcore::with_tags(["nightly"], async { load.submit(1).await }).await
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(nightly().await?, ["etl", "nightly"]);
/// # Ok(())
/// # }
/// ```
pub fn with_tags<T: Into<String>, F: Future>(
    tags: impl IntoIterator<Item = T>,
    code: F,
) -> impl Future<Output = F::Output> {
    Scope::new().tags(tags).around(code)
}

/// Async code in which the options of every task are changed so. See [`Scope`].
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// async fn flaky() -> Result<u32, String> {
///     match flowcore::run_info().unwrap().attempt {
///         1 | 2 => Err("not yet".into()),
///         attempt => Ok(attempt),
///     }
/// }
///
/// #[flow]
/// async fn patient() -> Result<u32> {
///     flowcore::with_task_options(|o| o.retries(2), async { flaky.submit().await }).await
/// }
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// assert_eq!(patient().await?, 3);
/// # Ok(())
/// # }
/// ```
pub fn with_task_options<F: Future>(
    change: impl Fn(TaskOptions) -> TaskOptions + Send + Sync + 'static,
    code: F,
) -> impl Future<Output = F::Output> {
    Scope::new().task_options(change).around(code)
}
