//! What the state machine is told, and what it asks for.

use std::sync::Arc;

use super::Priority;
use super::status::Status;
use crate::wire::Key;

/// Where a peer listens, as the scheduler writes it.
pub(crate) type Peer = Arc<str>;

/// Names and amounts of what a run occupies beside its slot.
pub(crate) type Resources = Vec<(Arc<str>, f64)>;

/// One call of the executor. A key may be executed again; an execution is
/// never the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Execution(pub(crate) u64);

/// One `get_data` at a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Request(pub(crate) u64);

/// A key that lies elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) key: Key,
    pub(crate) peers: Vec<Peer>,
    /// 0 if nobody said.
    pub(crate) nbytes: u64,
}

/// The scheduler's order to run a task (protocol, section 7.3).
#[derive(Clone, Debug)]
pub(crate) struct ComputeTask<W> {
    pub(crate) key: Key,
    pub(crate) run_id: i64,
    pub(crate) priority: Priority,
    pub(crate) resources: Resources,
    pub(crate) dependencies: Vec<Remote>,
    pub(crate) work: W,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event<W> {
    /// From the scheduler (protocol, section 7.5).
    ComputeTask(ComputeTask<W>),
    FreeKeys(Vec<Key>),
    RemoveReplicas(Vec<Key>),
    AcquireReplicas(Vec<Remote>),
    RefreshWhoHas(Vec<Remote>),
    StealRequest {
        key: Key,
        stimulus_id: String,
    },
    StatusChange(Status),
    RemoveWorker(Peer),
    Close,

    /// The executor: a result of this size in memory.
    Finished {
        execution: Execution,
        nbytes: u64,
    },
    Erred(Execution),
    /// The executor wants the run to be placed anew.
    Rescheduled(Execution),
    /// Some inputs could not be read back, so nothing was executed.
    InputsLost {
        execution: Execution,
        keys: Vec<Key>,
    },
    /// The run waits for something else and needs no slot meanwhile.
    Lent(Execution),

    /// A peer sent these keys; it has no others of the request.
    Fetched {
        request: Request,
        found: Vec<(Key, u64)>,
    },
    /// A peer has too many transfers.
    PeerBusy(Request),
    /// A peer cannot be reached, or broke off.
    PeerFailed(Request),
    /// A busy peer may be asked again.
    PeerRested(Peer),

    /// A client or the scheduler put values here (`update_data`, `gather`).
    DataReceived(Vec<(Key, u64)>),
    /// A value cannot be read back from disk.
    DataLost(Key),
    /// Memory is above the threshold to pause, or below it again.
    MemoryFull(bool),
    /// Once in a while: what was asked without success is asked again.
    Tick,
    /// The stream broke: nothing the scheduler said holds any longer.
    SchedulerLost,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command<W> {
    /// Keep the value that came with the event.
    Store(Key),
    /// Drop the value.
    Drop(Key),
    /// Call the executor; the inputs are all stored.
    Execute {
        execution: Execution,
        key: Key,
        work: W,
        inputs: Vec<Key>,
    },
    /// Tell the executor that nobody wants this key any more.
    Cancel(Key),
    /// Ask a peer for its copies.
    Fetch {
        request: Request,
        peer: Peer,
        keys: Vec<Key>,
    },
    /// Say [`Event::PeerRested`] after a moment.
    Rest(Peer),
    /// Tell the scheduler.
    Send(Message),
    /// End the stream and stop.
    Leave,
}

/// A message to the scheduler (protocol, section 7.4), without what the state
/// machine does not know: sizes, types and times.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    TaskFinished {
        key: Key,
        run_id: i64,
    },
    TaskErred {
        key: Key,
        run_id: i64,
    },
    Reschedule {
        key: Key,
    },
    LongRunning {
        key: Key,
        run_id: i64,
        execution: Execution,
    },
    AddKeys(Vec<Key>),
    ReleaseWorkerData(Key),
    StealResponse {
        key: Key,
        /// None: unknown here.
        state: Option<&'static str>,
        stimulus_id: String,
    },
    RequestRefreshWhoHas(Vec<Key>),
    StatusChange(Status),
}
