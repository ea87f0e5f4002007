//! Deployments: flows that a Prefect server starts, by schedule or because
//! somebody asks for it.
//!
//! `serve` executes runs from this process, `deploy` leaves that to the workers
//! of a work pool; either way a run is this executable again. Source: `api.md`
//! 13, 15, 16; decisions 50 and 52.

mod cron;
mod error;
mod farewell;
mod plan;
mod rule;
mod runner;
mod schedule;
mod scheduled;
mod serve;
mod server;

pub use error::DeploymentError;
pub use plan::{Deployment, FlowDeployment};
pub use schedule::Schedule;
pub(crate) use scheduled::MODE as SCHEDULED_RUN;
pub use serve::{Deploy, Deploying, Serve, serve};
pub(super) use server::find;

#[doc = include_str!("../../../../docs/guide/deployments.md")]
#[cfg(doctest)]
mod guide {}
