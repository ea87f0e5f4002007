//! A client of a stock Dask scheduler: it submits graphs, follows their keys and
//! fetches their values.
//!
//! ```no_run
//! use flowdask::Client;
//!
//! # async fn example() -> Result<(), flowdask::client::ClientError> {
//! let client = Client::connect("tcp://127.0.0.1:8786").await?;
//! println!("{} threads", client.ncores().await?.values().sum::<u64>());
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Lost links
//!
//! A client keeps its stream to the scheduler for as long as TCP does. When the
//! stream ends, the scheduler has forgotten all that this client wanted, so every
//! key that is waited for ends at once, with [`Cancelled::ConnectionLost`]. The
//! client then looks for the scheduler until its
//! [timeout](ClientBuilder::timeout) is over; what is submitted meanwhile is
//! sent when it is found. After that the client is closed.
//!
//! # Parts
//!
//! `state` is the state machine, without any input or output; `message` what
//! stands on the stream; `link` carries out what the machine says. All else asks
//! questions.

mod builder;
mod cluster;
mod control;
mod datasets;
mod error;
mod future;
mod gather;
mod greeting;
mod link;
mod message;
mod scatter;
mod state;
mod submit;
mod task_stream;
mod topics;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

pub use builder::ClientBuilder;
pub use cluster::{SchedulerInfo, WorkerInfo};
pub use control::CancelOptions;
pub use datasets::Dataset;
pub use error::ClientError;
pub use future::{Changes, Future};
pub use scatter::ScatterOptions;
pub use state::{Cancelled, KeyState};
pub use submit::SubmitOptions;
pub use task_stream::{StartStop, TaskStreamRecord};
pub use topics::{TopicEvent, TopicEvents};

use crate::Release;
use crate::wire::{Address, Value};
use link::Shared;

/// How long a closing client waits until the scheduler has heard of it.
const FAREWELL: Duration = Duration::from_secs(2);

/// A link to a scheduler. Clones share it; when the last one and the last
/// [`Future`] are dropped, it is closed.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// Reads the stream; taken by the one who closes.
    driver: Mutex<Option<JoinHandle<()>>>,
}

impl Client {
    /// Connects to the scheduler at an address, such as `tcp://10.0.0.5:8786`;
    /// [`Client::builder`] has options.
    ///
    /// # Errors
    ///
    /// As [`ClientBuilder::connect`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn connect(address: &str) -> Result<Self, ClientError> {
        Self::builder().address(address).connect().await
    }

    /// A client with options.
    ///
    /// ```no_run
    /// use flowdask::Client;
    /// use flowdask::wire::Security;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::builder()
    ///     .address("tls://10.0.0.5:8786")
    ///     .security(Security::tls_files("ca.pem", "node.pem", "node-key.pem")?)
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    async fn open(address: Address, options: ClientBuilder) -> Result<Self, ClientError> {
        let (shared, reader) = Shared::connect(address, options).await?;
        let driver = tokio::spawn(link::drive(Arc::clone(&shared), reader));
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                driver: Mutex::new(Some(driver)),
            }),
        })
    }

    /// The name by which the scheduler knows this client. Events about it are
    /// logged under it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.shared().id
    }

    /// Where the scheduler is.
    #[must_use]
    pub fn scheduler_address(&self) -> &Address {
        &self.shared().address
    }

    /// The scheduler's release.
    #[must_use]
    pub fn release(&self) -> Release {
        self.shared().release()
    }

    /// What the scheduler says of its packages, as it came.
    #[must_use]
    pub fn versions(&self) -> Value {
        self.shared().versions()
    }

    /// Leaves the scheduler, which then releases the keys of this client. All
    /// that wait for them hear [`Cancelled::Closed`]. Returns when the scheduler
    /// has heard of it, after 2 s at the latest; if the future is dropped the
    /// client is closed all the same.
    pub async fn close(&self) {
        self.shared().close(&Cancelled::Closed);
        let driver = self.inner.driver.lock().take();
        if let Some(driver) = driver {
            let end = driver.abort_handle();
            if tokio::time::timeout(FAREWELL, driver).await.is_err() {
                end.abort();
            }
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Asks the scheduler.
    async fn call<const N: usize>(
        &self,
        op: &'static str,
        members: [(&str, Value); N],
    ) -> Result<Value, ClientError> {
        self.call_at(&self.shared().address, op, members).await
    }

    /// Asks a peer; while it is not there, again until the timeout is over.
    async fn call_at<const N: usize>(
        &self,
        address: &Address,
        op: &'static str,
        members: [(&str, Value); N],
    ) -> Result<Value, ClientError> {
        let mut request = vec![("op".into(), op.into()), ("reply".into(), true.into())];
        request.extend(members.map(|(name, value)| (name.into(), value)));
        let request = Value::Map(request);
        let shared = self.shared();
        let deadline = tokio::time::Instant::now() + shared.timeout;
        let mut pause = greeting::PAUSE;
        loop {
            if shared.apply(|core| core.state.is_closed()) {
                return Err(ClientError::Closed);
            }
            let error = match shared.pool.call(address, &request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !greeting::is_absence(&error) || tokio::time::Instant::now() + pause >= deadline {
                return Err(ClientError::call(op)(error));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close(&Cancelled::Closed);
        if let Some(driver) = self.driver.get_mut().take() {
            driver.abort();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.shared().id)
            .field("address", &self.shared().address)
            .finish_non_exhaustive()
    }
}
