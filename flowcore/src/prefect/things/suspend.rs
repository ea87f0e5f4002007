//! Flow runs of deployments that leave their process until somebody resumes
//! them: then the server starts them again, from the beginning.
//!
//! Invariant: the process leaves only when the server has the state Suspended.
//! Source: `api.md` 12.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::pause::Pause;
use super::{PrefectError, pause};
use crate::flow::FlowRun;

/// Suspends the flow run until somebody resumes it, on its page or by the API.
/// Its process ends; when it is resumed, whoever serves the deployment starts
/// the flow run again in a new one, from the beginning. Tasks that keep their
/// results (`persist_result`) do not run again, and the flow goes on behind
/// this call.
///
/// ```no_run
/// use flowcore::prelude::*;
/// use flowcore::Deployment;
///
/// #[task]
/// async fn prepare() -> u32 { 7 }
///
/// #[flow(persist_result)]
/// async fn careful() -> Result<u32> {
///     let prepared = prepare.submit().await?;
///     flowcore::suspend_flow_run().description("Look at the figures first.").await?;
///     Ok(prepared)
/// }
///
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// careful.serve(Deployment::new("by-hand")).await
/// # }
/// ```
///
/// What was submitted before runs to its end first.
///
/// # Errors
///
/// Awaiting it fails with a [`PrefectError`]: outside of a flow's own code, if
/// the flow run is of no deployment or inside another one, so that nobody would
/// start it again, or if the server says no.
pub fn suspend_flow_run() -> Pause<()> {
    pause::pause_flow_run().suspends()
}

/// Suspends the flow run, as [`suspend_flow_run`], until somebody resumes it
/// with this input; the page of the run shows a form for it, and the server
/// checks it.
///
/// ```no_run
/// use flowcore::prelude::*;
///
/// #[derive(schemars::JsonSchema, serde::Deserialize)]
/// struct Approval {
///     by: String,
/// }
///
/// #[flow(persist_result)]
/// async fn pays() -> Result<String> {
///     let approval: Approval = flowcore::suspend_for_input().await?;
///     Ok(approval.by)
/// }
/// # fn main() {}
/// ```
///
/// # Errors
///
/// As [`suspend_flow_run`], and if the input is no value of the type after all.
pub fn suspend_for_input<T>() -> Pause<T>
where
    T: JsonSchema + DeserializeOwned + Send + 'static,
{
    pause::pause_for_input().suspends()
}

/// Leaves the process, now that the server has the state Suspended. Async code
/// is left where it waits; code that is not gets the error.
pub(super) async fn leave(flow: &FlowRun) -> PrefectError {
    tracing::info!(
        "Suspending flow run, execution will be rescheduled when this flow run is resumed."
    );
    flow.suspend();
    tokio::task::yield_now().await;
    PrefectError::Suspended
}
