//! What speaks with a Prefect server.
//!
//! Nothing here is needed to run flows: without `PREFECT_API_URL` nothing is
//! sent, and no flow waits for, or fails because of, what a server does,
//! unless it says so.
//!
//! Source of all facts about the server: `api.md`, checked on Prefect 3.8.8,
//! 3.0.0 and 2.20.25.

pub(crate) mod adoption;
mod background;
pub(crate) mod cancelling;
mod client;
mod deployment;
mod mark;
mod message;
mod naming;
mod on_server;
mod outbox;
mod replay;
pub(crate) mod reporter;
pub(crate) mod required;
pub(crate) mod slots;
mod things;
mod transition;
pub(crate) mod verdict;

pub use background::{Background, BackgroundRun, Delay, Delayed, ServeTasks, serve_tasks};
pub(crate) use deployment::SCHEDULED_RUN;
pub use deployment::{
    Deploy, Deploying, Deployment, DeploymentError, FlowDeployment, Schedule, Serve, serve,
};
pub(crate) use things::answer_from_home;
pub use things::artifacts::{Artifact, CreatedArtifact};
pub use things::deployments::{DeploymentRun, RunDeployment, run_deployment};
pub use things::events::{Event, emit_event};
pub use things::pause::{Pause, pause_flow_run, pause_for_input};
pub use things::secrets::{SecretValue, secret};
pub use things::suspend::{suspend_flow_run, suspend_for_input};
pub(crate) use things::variables;
pub use things::{PrefectError, ServerCall};

pub use replay::{Replayed, replay};

pub(crate) use client::{ApiClient, ApiError};
