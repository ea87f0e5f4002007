//! What the worker's loop and its server, which answers beside it, both use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Duration;

use parking_lot::Mutex;

use super::executor::{Executor, StreamHandle};
use super::mail::Mailbox;
use super::metrics::Process;
use super::state::{Peer, Resources};
use super::store::Store;
use crate::wire::{Address, RpcPool, Security, Value};

pub(super) struct Shared {
    pub(super) scheduler: Address,
    pub(super) address: Peer,
    pub(super) name: String,
    /// Unique in the cluster and in time.
    pub(super) id: String,
    pub(super) nthreads: usize,
    pub(super) resources: Resources,
    pub(super) memory_limit: Option<u64>,
    /// Whether the process is this worker's alone.
    pub(super) owns_process: bool,
    pub(super) death_timeout: Duration,
    pub(super) security: Security,
    pub(super) pool: RpcPool,
    pub(super) store: Store,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) mailbox: Mailbox,
    pub(super) stream: StreamHandle,
    /// The scheduler's own, which we show as ours (protocol, trap 9).
    pub(super) versions: Mutex<Value>,
    pub(super) process: Mutex<Process>,
    pub(super) is_paused: AtomicBool,
    pub(super) transfers: Transfers,
}

impl Shared {
    /// The memory that counts against the limit.
    pub(super) fn memory(&self) -> u64 {
        if self.owns_process {
            self.process.lock().memory()
        } else {
            self.store.sizes().in_memory
        }
    }
}

/// What flows between this worker and its peers.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    pub(super) incoming: AtomicUsize,
    pub(super) incoming_total: AtomicU64,
    pub(super) outgoing: AtomicUsize,
    pub(super) outgoing_bytes: AtomicU64,
    pub(super) outgoing_total: AtomicU64,
}

/// Counts something as under way while it lives.
pub(super) struct UnderWay<'a> {
    count: &'a AtomicUsize,
}

impl<'a> UnderWay<'a> {
    /// Nothing if so many are under way already.
    pub(super) fn begin(count: &'a AtomicUsize, limit: usize) -> Option<Self> {
        use std::sync::atomic::Ordering::Relaxed;
        count
            .fetch_update(Relaxed, Relaxed, |now| (now < limit).then_some(now + 1))
            .ok()
            .map(|_| Self { count })
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.count
            .fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}
