//! What dashboards and stock clients read of a worker (protocol, section 7.2).
//!
//! They fail at members that are not there, so all are sent.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

use sysinfo::{Networks, Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::time::Instant;

use super::WorkerError;
use super::messages::now;
use super::shared::Shared;
use crate::wire::Value;

/// Only we have it: other Rust workers, and Python workers beside us, are told
/// apart by it.
pub(super) const MARKER: &str = "flowdask";

/// The bandwidth to peers that the scheduler reckons with, in bytes per second,
/// as stock workers assume it at first.
const BANDWIDTH: u64 = 100_000_000;

/// Measures this process.
pub(super) struct Process {
    system: System,
    process: Pid,
}

impl Process {
    pub(super) fn new() -> Result<Self, WorkerError> {
        Ok(Self {
            system: System::new().map_err(unmeasurable)?,
            process: Pid::from_u32(std::process::id()),
        })
    }

    /// What it takes now, in bytes.
    pub(super) fn memory(&mut self) -> u64 {
        self.refresh(ProcessRefreshKind::nothing().with_memory())
            .map_or(0, sysinfo::Process::memory)
    }

    /// Percent of one core, since the last time.
    fn cpu(&mut self) -> f64 {
        self.refresh(ProcessRefreshKind::nothing().with_cpu())
            .map_or(0.0, |process| process.cpu_usage().into())
    }

    fn refresh(&mut self, what: ProcessRefreshKind) -> Option<&sysinfo::Process> {
        self.system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&[self.process]),
            false,
            what,
        );
        self.system.process(self.process)
    }
}

fn unmeasurable(error: sysinfo::Error) -> WorkerError {
    WorkerError::Measure(Box::new(error))
}

/// Measures the process and the machine.
pub(super) struct Metrics {
    networks: Networks,
    measured: Instant,
}

/// What the loop knows.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) tasks: HashMap<&'static str, usize>,
    pub(super) incoming_bytes: u64,
}

impl Metrics {
    pub(super) fn new() -> Result<Self, WorkerError> {
        Ok(Self {
            networks: Networks::new_with_refreshed_list().map_err(unmeasurable)?,
            measured: Instant::now(),
        })
    }

    /// All members of `metrics`.
    pub(super) fn measure(&mut self, shared: &Shared, counts: &Counts) -> Value {
        let seconds = self.measured.elapsed().as_secs_f64().max(1e-3);
        self.measured = Instant::now();
        self.networks.refresh(true);
        let (read, written) = self.networks.values().fold((0, 0), |(read, written), net| {
            (read + net.received(), written + net.transmitted())
        });
        #[allow(clippy::cast_precision_loss)]
        let rate = |bytes: u64| Value::from(bytes as f64 / seconds);
        let memory = shared.memory();
        let cpu = shared.process.lock().cpu();
        let sizes = shared.store.sizes();
        let transfers = &shared.transfers;
        let tasks = counts
            .tasks
            .iter()
            .map(|(state, count)| ((*state).into(), (*count).into()))
            .collect();
        let bandwidth = Value::map([
            ("total", BANDWIDTH.into()),
            ("workers", Value::map([])),
            ("types", Value::map([])),
        ]);
        let transfer = Value::map([
            ("incoming_bytes", counts.incoming_bytes.into()),
            ("incoming_count", transfers.incoming.load(Relaxed).into()),
            (
                "incoming_count_total",
                transfers.incoming_total.load(Relaxed).into(),
            ),
            (
                "outgoing_bytes",
                transfers.outgoing_bytes.load(Relaxed).into(),
            ),
            ("outgoing_count", transfers.outgoing.load(Relaxed).into()),
            (
                "outgoing_count_total",
                transfers.outgoing_total.load(Relaxed).into(),
            ),
        ]);
        let idle = Value::map([("read_bps", 0.0.into()), ("write_bps", 0.0.into())]);
        let net = Value::map([("read_bps", rate(read)), ("write_bps", rate(written))]);
        let spilled = Value::map([
            ("memory", sizes.on_disk.into()),
            ("disk", sizes.on_disk.into()),
        ]);
        Value::map([
            ("bandwidth", bandwidth),
            ("digests_total_since_heartbeat", Value::map([])),
            ("memory", memory.into()),
            ("spilled_bytes", spilled),
            ("cpu", cpu.into()),
            ("host_net_io", net),
            ("host_disk_io", idle),
            ("transfer", transfer),
            // The loop never waits for what blocks.
            ("event_loop_interval", 0.02.into()),
            ("time", now().into()),
            ("task_counts", Value::Map(tasks)),
            ("managed_bytes", sizes.in_memory.into()),
            ("num_fds", 0.into()),
            (MARKER, 1.into()),
        ])
    }
}
