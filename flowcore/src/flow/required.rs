//! What comes before a flow's function if its server must know of the run.

use std::pin::pin;

use futures_util::future::{Either, select};

use super::{FlowRun, Interrupt};
use crate::definition::{Api, Failure, FlowInfo, FlowOptions};
use crate::error::{Error, Result};
use crate::state::StateName;

/// Waits until the server knows the run, if it must; why it cannot begin.
pub(super) async fn unreported(
    info: &FlowInfo,
    options: &FlowOptions,
    flow: &FlowRun,
) -> Option<Failure> {
    // Nothing is told of a run in which nothing runs.
    if flow.symbolic().is_some() || !is_required(options, flow) {
        return None;
    }
    match select(pin!(until_known(flow)), pin!(flow.interrupted().wait())).await {
        Either::Left((known, _)) => {
            let error = known.err()?;
            let message = format!("`{}`: {error}", info.key);
            let error = error.into_failed(info.key, flow.name());
            Some(Failure::new(StateName::Failed, Some(message), error))
        }
        Either::Right(_) => {
            let interrupt = flow.life().interrupt().unwrap_or(Interrupt::Cancelled);
            Some(interrupt.of_flow(info.key, flow.name()))
        }
    }
}

#[cfg(feature = "prefect")]
fn is_required(options: &FlowOptions, flow: &FlowRun) -> bool {
    options.api == Api::Required || crate::prefect::reporter::is_required(flow.id())
}

#[cfg(not(feature = "prefect"))]
fn is_required(options: &FlowOptions, _: &FlowRun) -> bool {
    options.api == Api::Required
}

#[cfg(feature = "prefect")]
async fn until_known(flow: &FlowRun) -> Result<()> {
    let known = crate::prefect::required::until_known(flow.id()).await;
    known.map_err(Error::from)
}

#[cfg(not(feature = "prefect"))]
async fn until_known(_: &FlowRun) -> Result<()> {
    Err(Error::invalid(
        "the flow is `api = required`, but the program is built without the feature `prefect`",
    ))
}
