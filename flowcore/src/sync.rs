//! What threads share without a lock is made of these. The models in
//! `flowcore/models` put loom's in their place, and compile the files that use
//! this module once more.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

pub(crate) use parking_lot::Mutex;
pub(crate) use tokio::sync::Notify;
