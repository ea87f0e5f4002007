//! The run of the server that this process is.
//!
//! Invariant: one flow run of the process is it, the first that is called
//! after the process was told. It has the server's id and name, so that ids
//! are the same everywhere. Task runs of it that processes before this one have
//! made keep their ids: those of this process are others.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

static ADOPTED: OnceLock<Adopted> = OnceLock::new();

#[derive(Debug)]
pub(crate) struct Adopted {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    /// Attempts that processes before this one have made.
    pub(crate) attempts: u32,
    /// Whether the server has it as Running already.
    pub(crate) is_running: bool,
    /// What makes ids of task runs those of this process; 0 in the first one.
    salt: u64,
    /// Whether a flow run is it already.
    is_taken: AtomicBool,
}

impl Adopted {
    /// A run as the server has it; `attempts` were made before, and
    /// `has_begun` says whether any process has executed it.
    pub(crate) fn new(id: Uuid, name: String, attempts: u32, has_begun: bool) -> Self {
        let salt = if has_begun {
            Uuid::new_v4().as_u64_pair().1 | 1
        } else {
            0
        };
        Self {
            id,
            name,
            attempts,
            is_running: false,
            salt,
            is_taken: AtomicBool::new(false),
        }
    }
}

/// The next flow run is that of the server; a process is told once.
pub(crate) fn adopt(adopted: Adopted) {
    // A process is one run.
    let _ = ADOPTED.set(adopted);
}

/// The server's run that a flow run, which is about to be called, is to be.
pub(crate) fn take() -> Option<&'static Adopted> {
    let adopted = ADOPTED.get()?;
    let is_first = !adopted.is_taken.swap(true, Ordering::AcqRel);
    is_first.then_some(adopted)
}

/// The flow run that the server knows already, as it was scheduled there.
pub(crate) fn taken() -> Option<Uuid> {
    let adopted = ADOPTED.get()?;
    let is_taken = adopted.is_taken.load(Ordering::Acquire);
    is_taken.then_some(adopted.id)
}

/// Whether the server has made the first state of this flow run, Running.
pub(crate) fn is_running(id: Uuid) -> bool {
    let adopted = ADOPTED.get();
    adopted.is_some_and(|adopted| adopted.id == id && adopted.is_running)
}

/// What the ids of a flow run's task runs are made from, beside its id.
pub(crate) fn salt_of(flow_run: Uuid) -> u64 {
    match ADOPTED.get() {
        Some(adopted) if adopted.id == flow_run => adopted.salt,
        _ => 0,
    }
}
