//! Results that outlive their runs: records in a store, the keys that find
//! them again, and what a run does with both.
//!
//! Formats are Prefect's, so that a Python flow finds what a Rust one wrote.
//! A record is believed only if its checksum, its codec and its type are
//! right; whatever is wrong with a record or a store, the task runs.

mod json;
mod keep;
mod key;
mod lock;
mod options;
mod policy;
mod record;
mod settings;
mod store;

#[cfg(feature = "prefect")]
pub(crate) use json::{stable_text as stable_json, text as json_text};
pub(crate) use keep::{Begun, Keep, KeySource};
pub use key::{IntoCacheKey, Unstable};
pub(crate) use key::{stable_text, stable_text_of_loan};
pub use lock::Isolation;
pub(crate) use lock::Lock;
#[cfg(feature = "prefect")]
pub(crate) use options::PackedParameters;
pub use options::{FlowParameters, ResultAttributes, ResultDescriptor, flow_parameters};
pub(crate) use options::{FlowResults, ResultOptions};
pub use policy::{
    CachePart, CachePolicy, DEFAULT, FLOW_PARAMETERS, INPUTS, NO_CACHE, RUN_ID, TASK_SOURCE,
};
pub(crate) use record::RecordMetadata;
pub use store::ResultStore;
