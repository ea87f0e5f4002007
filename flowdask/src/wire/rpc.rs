//! Questions to peers over links that are kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::connection::{Connection, HANDSHAKE_TIMEOUT};
use super::{Address, Security, Value, WireError};

/// How many idle links to one peer are kept.
const IDLE: usize = 8;

/// Links to peers, taken for one exchange at a time. Clones share them.
#[derive(Clone, Debug)]
pub struct RpcPool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    security: Security,
    timeout: Duration,
    idle: Mutex<HashMap<Address, Vec<Connection>>>,
}

impl RpcPool {
    /// A pool without links; a new link may take 10 s.
    #[must_use]
    pub fn new(security: Security) -> Self {
        Self::with_timeout(security, HANDSHAKE_TIMEOUT)
    }

    /// A pool without links; a new link may take so long.
    #[must_use]
    pub fn with_timeout(security: Security, timeout: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                security,
                timeout,
                idle: Mutex::default(),
            }),
        }
    }

    /// Asks a peer. If the future is dropped the link is too; the peer may
    /// have heard the question.
    ///
    /// # Errors
    ///
    /// The peer cannot be reached, or its handler failed
    /// ([`WireError::Remote`]).
    pub async fn call(&self, address: &Address, request: &Value) -> Result<Value, WireError> {
        let mut connection = self.take(address).await?;
        let answer = connection.call(request).await;
        if !answer.as_ref().is_err_and(WireError::is_lost_link) {
            self.give_back(address, connection);
        }
        answer
    }

    /// A link for an exchange of its own; [give it back](Self::give_back)
    /// after a complete one.
    ///
    /// # Errors
    ///
    /// The peer cannot be reached.
    pub async fn take(&self, address: &Address) -> Result<Connection, WireError> {
        while let Some(mut connection) = self.take_idle(address) {
            if connection.is_idle() {
                return Ok(connection);
            }
        }
        Connection::connect(address, &self.shared.security, self.shared.timeout).await
    }

    fn take_idle(&self, address: &Address) -> Option<Connection> {
        self.shared.idle.lock().get_mut(address)?.pop()
    }

    /// Takes a link back on which nothing is under way.
    pub fn give_back(&self, address: &Address, connection: Connection) {
        let mut idle = self.shared.idle.lock();
        let links = idle.entry(address.clone()).or_default();
        if links.len() < IDLE {
            links.push(connection);
        }
    }

    /// Forgets a peer that has left.
    pub fn forget(&self, address: &Address) {
        self.shared.idle.lock().remove(address);
    }
}
