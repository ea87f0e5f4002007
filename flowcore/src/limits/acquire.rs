//! Slots taken in the middle of code: [`concurrency`] and [`rate_limit`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::permits::{self, Permit, Reply};
use crate::cancellation::block_on;
use crate::context::RunContext;
use crate::engine::{Slots, Ticket};
use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "prefect")]
use crate::prefect::slots::{self, Wanted};
use crate::runner::{Line, Request, note_waiting};

/// The name of a limit, or several: `"database"`, `["database", "disk"]`.
pub trait LimitNames {
    /// The names, one by one.
    fn into_names(self) -> Vec<String>;
}

impl LimitNames for &str {
    fn into_names(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl LimitNames for String {
    fn into_names(self) -> Vec<String> {
        vec![self]
    }
}

impl<N: Into<String>, const COUNT: usize> LimitNames for [N; COUNT] {
    fn into_names(self) -> Vec<String> {
        self.map(Into::into).into()
    }
}

impl<N: Into<String>> LimitNames for Vec<N> {
    fn into_names(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

/// Takes `occupy` slots of a [limit](crate::limits), or of several at once,
/// and gives them back when the guard is dropped.
///
/// A run that waits for slots lends its thread to other runs. A limit that
/// nobody made is ignored with a warning, as in Prefect; see
/// [`SlotRequest::strict`]. If `PREFECT_API_URL` names a server, its limits
/// count where this process has none of that name.
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// async fn load(table: &str) -> Result<usize> {
///     let connection = flowcore::concurrency("database", 1).await?;
///     let rows = table.len();
///     drop(connection); // what follows needs no slot
///     Ok(rows)
/// }
///
/// #[task]
/// fn load_in_sync_code(table: &str) -> Result<usize> {
///     let _connection = flowcore::concurrency("database", 1).block()?;
///     Ok(table.len())
/// }
///
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// flowcore::limits().set("database", 2);
/// assert_eq!(load("people").await? + load_in_sync_code("pets").await?, 10);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// One of the limits has fewer slots than `occupy`, `occupy` is 0, or the time
/// limit of the request has passed.
///
/// # Cancel safety
///
/// A request that is dropped waits no longer and takes nothing.
pub fn concurrency(names: impl LimitNames, occupy: u32) -> SlotRequest<ConcurrencySlots> {
    SlotRequest::new(names, occupy, false, |slots| slots)
}

/// Takes `occupy` slots that come back by themselves, as many per second as
/// the limit [says](crate::Limits::set_rate).
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task]
/// async fn fetch(page: u32) -> Result<u32> {
///     flowcore::rate_limit("api", 1).await?;
///     Ok(page)
/// }
///
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// flowcore::limits().set_rate("api", 5, 100.0)?;
/// assert_eq!(fetch(1).await?, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`concurrency`]; and a limit whose slots do not come back by themselves.
pub fn rate_limit(names: impl LimitNames, occupy: u32) -> SlotRequest<()> {
    SlotRequest::new(names, occupy, true, |slots| {
        slots.leave();
    })
}

/// Slots of limits, given back when this is dropped; made by [`concurrency`].
#[derive(Debug)]
#[must_use = "the slots are given back when this is dropped"]
pub struct ConcurrencySlots(Vec<Permit>);

impl ConcurrencySlots {
    /// They come back by themselves.
    fn leave(self) {
        self.0.into_iter().for_each(Permit::leave);
    }
}

impl SlotRequest<ConcurrencySlots> {
    /// What a task in another process asks for.
    pub(crate) async fn for_task(
        names: Vec<String>,
        occupy: u32,
        is_rate: bool,
        is_strict: bool,
        is_quiet: bool,
    ) -> Result<ConcurrencySlots> {
        let request = Self {
            is_strict,
            is_quiet,
            ..Self::new(names, occupy, is_rate, |slots| slots)
        };
        let slots = request.acquire().await?;
        if is_rate {
            slots.leave();
            return Ok(ConcurrencySlots(Vec::new()));
        }
        Ok(slots)
    }
}

/// A request for slots: await it, or [`block`](SlotRequest::block) in sync
/// code.
#[must_use = "nothing is taken until this is awaited"]
pub struct SlotRequest<T> {
    names: Vec<String>,
    occupy: u32,
    is_rate: bool,
    is_strict: bool,
    /// These are limits of a run's tags: nobody wants to hear of those that do
    /// not exist.
    is_quiet: bool,
    timeout: Option<Duration>,
    finish: fn(ConcurrencySlots) -> T,
}

impl<T> fmt::Debug for SlotRequest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotRequest")
            .field("names", &self.names)
            .field("occupy", &self.occupy)
            .finish_non_exhaustive()
    }
}

impl<T> SlotRequest<T> {
    fn new(
        names: impl LimitNames,
        occupy: u32,
        is_rate: bool,
        finish: fn(ConcurrencySlots) -> T,
    ) -> Self {
        Self {
            names: names.into_names(),
            occupy,
            is_rate,
            is_strict: false,
            is_quiet: false,
            timeout: None,
            finish,
        }
    }

    /// A limit that does not exist is an error, not ignored.
    pub fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }

    /// Gives up after this time, with an error of kind `TimedOut`.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Waits in sync code; a thread of a task runner lends its slot to other
    /// runs meanwhile.
    ///
    /// # Errors
    ///
    /// Those of awaiting it, and an error of kind `Cancelled` if the run is
    /// cancelled meanwhile.
    pub fn block(self) -> Result<T> {
        block_on(self.acquire())
    }

    async fn acquire(self) -> Result<T> {
        let line = RunContext::current().and_then(|context| context.flow().line().cloned());
        let acquire = async {
            match line {
                Some(line) => self.acquire_elsewhere(&line).await,
                None => self.acquire_here().await,
            }
        };
        let permits = match self.timeout {
            None => acquire.await?,
            Some(limit) => match crate::runtime::timeout(limit, acquire).await {
                Some(permits) => permits?,
                None => return Err(self.timed_out(limit)),
            },
        };
        Ok((self.finish)(ConcurrencySlots(permits)))
    }

    async fn acquire_here(&self) -> Result<Vec<Permit>> {
        let (slots, unknown) = self.slots()?;
        let permits = match slots {
            Some(slots) => Acquire::start(&slots)?.await?,
            None => Vec::new(),
        };
        // The limits of this process come first: they are nearer.
        #[cfg(feature = "prefect")]
        let (permits, unknown) = self.on_server(permits, unknown).await?;
        self.say_unknown(&unknown)?;
        Ok(permits)
    }

    /// Adds slots of limits that only a Prefect server may have; gives those
    /// that it has not, too.
    #[cfg(feature = "prefect")]
    async fn on_server<'a>(
        &self,
        mut permits: Vec<Permit>,
        mut unknown: Vec<&'a String>,
    ) -> Result<(Vec<Permit>, Vec<&'a String>)> {
        if unknown.is_empty() {
            return Ok((permits, unknown));
        }
        let names = unknown.iter().map(|name| (*name).clone()).collect();
        let taken = if self.is_quiet {
            slots::take_of_tags(names, || None).await?
        } else {
            let wanted = Wanted {
                names,
                slots: self.occupy,
                is_rate: self.is_rate,
                is_strict: self.is_strict,
                holder: None,
            };
            slots::take(wanted).await?
        };
        if let Some(taken) = taken {
            unknown.retain(|name| !taken.names.contains(name));
            permits.push(Permit::none().and_on_server(Some(taken)));
        }
        Ok((permits, unknown))
    }

    /// The code runs in another process than its flow, which decides.
    async fn acquire_elsewhere(&self, line: &Arc<Line>) -> Result<Vec<Permit>> {
        let asked = line.ask(Request::Slots {
            names: self.names.clone(),
            occupy: self.occupy,
            is_rate: self.is_rate,
            is_strict: self.is_strict,
            is_quiet: self.is_quiet,
        });
        Ok(vec![Permit::elsewhere(asked.slots().await?)])
    }

    /// The slots of those limits that exist, and the names of the others.
    fn slots<'a>(&'a self) -> Result<(Option<Slots>, Vec<&'a String>)> {
        if self.occupy == 0 {
            return Err(Error::invalid(format!(
                "0 slots of {} were asked for: ask for at least one",
                self.listed(self.names.iter())
            )));
        }
        let mut unknown = Vec::new();
        let mut held = Vec::new();
        let mut slots: Vec<_> = permits::change(|limits, _| {
            let find = |name: &'a String| match limits.find(name) {
                Some(id) => {
                    held.extend((!limits.decays(id)).then_some(name));
                    Some((id, u64::from(self.occupy)))
                }
                None => {
                    unknown.push(name);
                    None
                }
            };
            self.names.iter().filter_map(find).collect()
        });
        if self.is_rate && !held.is_empty() {
            return Err(Error::invalid(format!(
                "{} cannot limit a rate, because its slots do not come back by themselves: make it \
                 with `flowcore::limits().set_rate(..)`, or hold slots with \
                 `flowcore::concurrency(..)`",
                self.listed(held.into_iter())
            )));
        }
        slots.sort_unstable();
        slots.dedup();
        Ok(((!slots.is_empty()).then(|| slots.into()), unknown))
    }

    /// Says that limits do not exist, here or on a server.
    fn say_unknown(&self, unknown: &[&String]) -> Result<()> {
        if unknown.is_empty() {
            return Ok(());
        }
        #[cfg(feature = "prefect")]
        let why = slots::why_unknown(unknown.iter().copied());
        #[cfg(not(feature = "prefect"))]
        let why = "";
        let unknown = self.listed(unknown.iter().copied());
        if self.is_strict {
            return Err(Error::invalid(format!(
                "{unknown} does not exist: make it with `flowcore::limits().set(..)` before slots \
                 are asked for"
            )));
        }
        if !self.is_quiet {
            tracing::warn!("{unknown} does not exist{why} - skipping acquisition.");
        }
        Ok(())
    }

    fn timed_out(&self, limit: Duration) -> Error {
        let message = format!(
            "attempt to acquire slots of {} timed out after {} second(s)",
            self.listed(self.names.iter()),
            limit.as_secs_f64()
        );
        Error::build(ErrorKind::TimedOut, message).finish()
    }

    fn listed<'a>(&self, names: impl Iterator<Item = &'a String>) -> String {
        let quoted: Vec<_> = names.map(|name| format!("'{name}'")).collect();
        format!("concurrency limit {}", quoted.join(", "))
    }
}

impl<T: Send + 'static> IntoFuture for SlotRequest<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.acquire())
    }
}

/// One request on its way.
struct Acquire {
    desk: Arc<Mutex<Desk>>,
    ticket: Option<Ticket>,
}

#[derive(Default)]
struct Desk {
    reply: Option<Reply>,
    waker: Option<Waker>,
}

impl Acquire {
    fn start(slots: &Slots) -> Result<Self> {
        let desk = Arc::new(Mutex::new(Desk::default()));
        let told = Arc::clone(&desk);
        let requested = permits::request(slots, 1, 0, || {
            Arc::new(move |_, reply| {
                let mut desk = told.lock();
                desk.reply = Some(reply);
                if let Some(waker) = desk.waker.take() {
                    waker.wake();
                }
            })
        })?;
        if requested.ticket.is_none() {
            desk.lock().reply = Some(Reply::Granted(requested.granted));
        }
        Ok(Self {
            desk,
            ticket: requested.ticket,
        })
    }
}

impl Future for Acquire {
    type Output = Result<Vec<Permit>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut desk = self.desk.lock();
        match desk.reply.take() {
            Some(Reply::Granted(permits)) => Poll::Ready(Ok(permits)),
            Some(Reply::Refused(error)) => Poll::Ready(Err(error)),
            None => {
                desk.waker = Some(context.waker().clone());
                note_waiting();
                Poll::Pending
            }
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            permits::forget(ticket);
            permits::tell();
        }
    }
}
