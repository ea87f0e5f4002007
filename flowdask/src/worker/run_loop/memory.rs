//! Memory: what goes to disk, and when the worker pauses.
//!
//! As stock workers do: above the target values go to disk as soon as they
//! come; above the spill threshold of all memory, until the target is reached;
//! above the last threshold nothing new is started. A worker that shares its
//! process counts its values only.

use std::sync::Arc;
use std::time::Duration;

use crate::worker::mail::Mail;
use crate::worker::shared::Shared;
use crate::worker::state::Event;

use super::RunLoop;

/// Percent of the limit: `distributed.worker.memory.target`, `.spill`,
/// `.pause` and `.transfer`.
const TARGET: u64 = 60;
const SPILL: u64 = 70;
const PAUSE: u64 = 80;
const TRANSFER: u64 = 10;

/// `distributed.worker.memory.monitor-interval`.
const INTERVAL: Duration = Duration::from_millis(100);

/// How much may be on its way here at a time.
pub(super) fn incoming_limit(memory_limit: u64) -> u64 {
    share(memory_limit, TRANSFER)
}

fn share(limit: u64, percent: u64) -> u64 {
    limit / 100 * percent
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    is_full: bool,
    is_spilling: bool,
}

impl Memory {
    /// Without a limit nothing is looked at.
    pub(super) fn start(shared: &Shared) -> Self {
        if shared.memory_limit.is_some() {
            let mailbox = shared.mailbox.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(INTERVAL).await;
                    mailbox.put(Mail::MemoryDue);
                }
            });
        }
        Self::default()
    }

    pub(super) fn spilled(&mut self) {
        self.is_spilling = false;
    }
}

impl RunLoop {
    pub(super) fn look_at_memory(&mut self) {
        let Some(limit) = self.shared.memory_limit else {
            return;
        };
        let memory = self.shared.memory();
        if memory > share(limit, SPILL) {
            self.spill(limit, true);
        }
        let is_full = memory > share(limit, PAUSE);
        if is_full != self.memory.is_full {
            self.memory.is_full = is_full;
            let worker = &self.shared.name;
            if is_full {
                tracing::warn!(
                    worker,
                    memory,
                    limit,
                    "the worker is paused: its memory is full"
                );
            } else {
                tracing::info!(worker, memory, limit, "the worker goes on");
            }
            self.tell(Event::MemoryFull(is_full));
        }
    }

    /// A value came.
    pub(super) fn spill_if_due(&mut self) {
        if let Some(limit) = self.shared.memory_limit
            && self.shared.store.sizes().in_memory > share(limit, TARGET)
        {
            self.spill(limit, false);
        }
    }

    fn spill(&mut self, limit: u64, for_process: bool) {
        if self.memory.is_spilling {
            return;
        }
        self.memory.is_spilling = true;
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || {
            spill_to(&shared, share(limit, TARGET), for_process);
            shared.mailbox.put(Mail::Spilled);
        });
    }
}

fn spill_to(shared: &Shared, target: u64, for_process: bool) {
    while shared.store.sizes().in_memory > target || (for_process && shared.memory() > target) {
        match shared.store.spill_one() {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => {
                tracing::error!(
                    worker = shared.name,
                    directory = %shared.store.directory().display(),
                    %error,
                    "values cannot be written to disk, and stay in memory"
                );
                return;
            }
        }
    }
}
