//! A process that is one scheduled run: what `serve` and the workers of a
//! server start.
//!
//! Invariant: it takes a run only if it was told so by us, with a mark that
//! names a flow of this executable, and if the server's flow is that one. A
//! program that somebody's Python flow starts finds the run's id in its
//! environment, and leaves the run alone.

use std::io::BufRead as _;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::farewell::Farewell;
use super::server::{Proposal, Server, ServerRun};
use crate::definition::{Definition, flows};
use crate::error::{Error, Result};
use crate::mode::ProcessMode;
use crate::prefect::adoption::{self, Adopted};
use crate::prefect::slots::renew_once;
use crate::prefect::verdict::{self, Verdict};
use crate::runtime::{self, AbortOnDrop};
use crate::signals::{self, Signal};
use crate::state::StateName;

/// Our mark: who started the process, and the flow's key.
pub(crate) const VARIABLE: &str = "FLOW_SCHEDULED_RUN";

/// Where Prefect's workers, and we, say which run it is.
pub(crate) const FLOW_RUN: &str = "PREFECT__FLOW_RUN_ID";

pub(crate) static MODE: ProcessMode = ProcessMode::new(VARIABLE, execute);

/// Who started the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// A runner of ours: standard input is the leash.
    Runner,
    /// A worker of Prefect's.
    Worker,
}

impl Keeper {
    /// The mark of a process that it starts.
    pub(crate) fn mark(self, flow_key: &str) -> String {
        match self {
            Self::Runner => format!("serve {flow_key}"),
            Self::Worker => format!("deploy {flow_key}"),
        }
    }

    fn of(mark: &str) -> Option<(Self, &str)> {
        match mark.split_once(' ')? {
            ("serve", key) => Some((Self::Runner, key)),
            ("deploy", key) => Some((Self::Worker, key)),
            _ => None,
        }
    }
}

fn execute(mark: &str) -> Result<()> {
    signals::install();
    let (keeper, key) = Keeper::of(mark)
        .ok_or_else(|| Error::invalid(format!("{VARIABLE} is `{mark}`, which nobody sets")))?;
    if keeper == Keeper::Runner {
        follow_orders()?;
    }
    let run = match std::env::var(FLOW_RUN) {
        Ok(text) => text.parse::<Uuid>().map_err(|_| {
            Error::invalid(format!(
                "{FLOW_RUN} is `{text}`, which is no id of a flow run"
            ))
        })?,
        Err(_) => {
            return Err(Error::invalid(format!(
                "{VARIABLE} is set, but {FLOW_RUN} is not: a worker of a work pool, or `serve`, \
                 sets both"
            )));
        }
    };
    let code = crate::entry::block_on_main(adopt(run, key, keeper))?;
    std::process::exit(code)
}

/// Orders of the runner, and its end.
fn follow_orders() -> Result<()> {
    std::thread::Builder::new()
        .name("flow-orders".to_owned())
        .spawn(|| {
            let mut orders = std::io::stdin().lock();
            let mut order = String::new();
            loop {
                order.clear();
                match orders.read_line(&mut order) {
                    Ok(1..) if order.trim() == "cancel" => crate::flow::cancel_all(),
                    _ => return signals::raise(Signal::Terminate),
                }
            }
        })?;
    Ok(())
}

/// Runs the run, and gives the process's exit code.
async fn adopt(id: Uuid, key: &str, keeper: Keeper) -> Result<i32> {
    let server = Server::of_process()?;
    let run = server.run(id).await.map_err(|error| {
        Error::msg(format!("flow run {id} is not known to the server: {error}"))
    })?;
    if run.is_final() || run.kind() == "CANCELLING" {
        tracing::info!(
            target: "flowcore::prefect",
            "flow run '{}' is {} already, and is not started", run.name, run.kind()
        );
        return Ok(0);
    }
    let flow = match flow_of(&server, &run, key).await {
        Ok(flow) => flow,
        Err(error) => return refuse(&server, &run, "CRASHED", &error.to_string()).await,
    };
    let parameters = Value::Object(run.parameters.clone());
    // A call that nobody awaits does nothing.
    if let Err(error) = flow.call_json(parameters.clone()) {
        let message = format!("Validation of flow parameters failed with error: {error}");
        return refuse(&server, &run, "FAILED", &message).await;
    }
    let (attempts, has_begun) = run.attempts();
    let mut adopted = Adopted::new(run.id, run.name.clone(), attempts, has_begun);
    match verdict::before_begin(server.client(), run.id).await {
        Verdict::GoesOn => adopted.is_running = true,
        Verdict::Unasked => {}
        Verdict::Ends | Verdict::IsCancelled => return Ok(0),
    }
    adoption::adopt(adopted);
    let call = flow.call_json(parameters)?;
    let _lease = run.lease().map(|lease| keep(&server, lease));
    if keeper == Keeper::Runner {
        crate::console::mark_lines();
    }
    let state = call.state().await;
    if keeper == Keeper::Runner {
        Farewell::of(&state).say();
    }
    let is_well = state.is_completed() || state.name() == StateName::Suspended;
    Ok(i32::from(!is_well))
}

/// The flow of the mark, if the server means the same.
async fn flow_of(server: &Server, run: &ServerRun, key: &str) -> Result<&'static dyn Definition> {
    let name = server.flow_name(run.flow_id).await;
    let name = name.map_err(|error| Error::msg(error.to_string()))?;
    let flow = flows()?.get(key)?;
    if flow.name() == name {
        return Ok(flow);
    }
    Err(Error::invalid(format!(
        "flow run '{}' is of flow `{name}`, but the deployment's mark names `{}` of this program",
        run.name,
        flow.name()
    )))
}

/// The run ends before it has begun.
async fn refuse(server: &Server, run: &ServerRun, kind: &str, message: &str) -> Result<i32> {
    tracing::error!(target: "flowcore::prefect", "flow run '{}': {message}", run.name);
    let proposal = Proposal {
        kind,
        name: if kind == "FAILED" {
            "Failed"
        } else {
            "Crashed"
        },
        message: Some(message),
        force: true,
    };
    let told = server.propose(run.id, proposal).await;
    told.map_err(|error| Error::msg(error.to_string()))?;
    Ok(1)
}

/// How long a slot stays ours without a word.
const LEASE: Duration = Duration::from_secs(300);

/// A slot of the deployment's limit, kept as long as this lives. When it ends,
/// the server frees the slot with the run's final state.
fn keep(server: &Server, lease: &str) -> AbortOnDrop<()> {
    let (server, lease) = (server.clone(), lease.to_owned());
    let kept = runtime::process_service().spawn(async move {
        loop {
            if let Err(error) = renew_once(server.client(), &lease, LEASE).await {
                tracing::warn!(
                    target: "flowcore::prefect",
                    "the slot of the deployment's concurrency limit may be lost: {error}"
                );
            }
            tokio::time::sleep(LEASE.mul_f64(0.75)).await;
        }
    });
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_name_who_starts_and_what() {
        for keeper in [Keeper::Runner, Keeper::Worker] {
            let mark = keeper.mark("crate::etl");
            assert_eq!(Keeper::of(&mark), Some((keeper, "crate::etl")));
        }
        assert_eq!(Keeper::of("crate::etl"), None);
        assert_eq!(Keeper::of("other crate::etl"), None);
    }
}
