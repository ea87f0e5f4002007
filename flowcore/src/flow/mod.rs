//! Flow runs: the shell around the engine, and the life of a flow's body.

mod aggregate;
mod attempt;
mod call;
mod end;
mod execute;
mod handle;
mod interrupt;
mod life;
mod names;
mod observer;
mod required;
mod running;
mod shell;
mod submit;
mod symbolic;

#[cfg(test)]
mod model_tests;

pub use aggregate::{FlowOutcome, ReturnedRuns};
#[cfg(feature = "prefect")]
pub(crate) use call::called_as;
pub use call::{
    Call, Ended, OwnedCall, StateCall, call, call_lent, call_lent_future, ended, no_key, owned_call,
};
pub use execute::call_flow;
pub use handle::{FlowHandle, start};
pub(crate) use interrupt::Interrupt;
#[cfg(feature = "prefect")]
pub(crate) use names::task_run_id;
pub(crate) use names::task_run_name;
#[cfg(any(feature = "otel", feature = "prefect"))]
pub(crate) use observer::Watch;
pub(crate) use observer::{
    Began, Changes, Input, InputSource, Observer, Observers, Submission, Submitted,
};
pub(crate) use running::end_all;
#[cfg(feature = "prefect")]
pub(crate) use running::{cancel, cancel_all, suspend};
pub(crate) use shell::{Begun, FlowRun, Held, in_hook, in_hook_thread, state_of};
pub use submit::{map, submit};
pub(crate) use symbolic::{Symbolic, Unknown};
