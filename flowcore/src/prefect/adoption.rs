//! The run of the server that this process is.
//!
//! Invariant: one flow run of the process is it, the first that is called
//! after the process was told. It has the server's id and name, so that ids
//! are the same everywhere.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

static ADOPTED: OnceLock<Adopted> = OnceLock::new();

#[derive(Debug)]
pub(crate) struct Adopted {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    /// Whether a flow run is it already.
    is_taken: AtomicBool,
}

/// The next flow run is that of the server; a process is told once.
pub(crate) fn adopt(id: Uuid, name: String) {
    // A process is one run.
    let _ = ADOPTED.set(Adopted {
        id,
        name,
        is_taken: AtomicBool::new(false),
    });
}

/// The server's run that a flow run, which is about to be called, is to be.
pub(crate) fn take() -> Option<&'static Adopted> {
    let adopted = ADOPTED.get()?;
    let is_first = !adopted.is_taken.swap(true, Ordering::AcqRel);
    is_first.then_some(adopted)
}

/// Whether the server knows the flow run with this id already: it was
/// scheduled there.
pub(crate) fn is_adopted(id: Uuid) -> bool {
    let adopted = ADOPTED.get();
    adopted.is_some_and(|adopted| adopted.id == id && adopted.is_taken.load(Ordering::Acquire))
}
