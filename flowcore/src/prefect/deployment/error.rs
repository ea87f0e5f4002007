//! What is wrong with a deployment, or with serving it.

use crate::error::{Error, ErrorKind};
use crate::prefect::ApiError;
use crate::prefect::naming::{RULE, refused, shown};

/// Why a deployment was not made, or is not served.
///
/// It comes as an [`Error`]; `downcast_ref` gives it back.
///
/// ```
/// use flowcore::prelude::*;
/// use flowcore::{Deployment, DeploymentError};
///
/// #[flow]
/// async fn nightly() {}
///
/// # #[flowcore::main]
/// # async fn main() {
/// let error = nightly.serve(Deployment::new("every-night").cron("0 25 * * *")).await.unwrap_err();
/// let error = error.downcast_ref::<DeploymentError>().unwrap();
/// assert!(matches!(error, DeploymentError::Cron { expression, .. } if expression == "0 25 * * *"));
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeploymentError {
    /// Prefect refuses such names.
    #[error("{what} `{name}` {problem}: {RULE}")]
    Name {
        /// What has the name.
        what: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A cron expression that is none.
    #[error(
        "`{expression}` is no cron expression: {problem}; it has five fields, minute hour day month weekday, such as `0 6 * * mon-fri`"
    )]
    Cron {
        /// The expression.
        expression: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A recurrence rule that is none.
    #[error(
        "`{rule}` is no recurrence rule: {problem}; it looks like `FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=9`, after RFC 5545"
    )]
    Rrule {
        /// The rule.
        rule: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An interval that no schedule can have.
    #[error(
        "an interval of {interval:?} is no schedule: give one from a microsecond to 999999999 days, such as `10m`"
    )]
    Interval {
        /// The interval.
        interval: std::time::Duration,
    },
    /// A time zone that nobody knows.
    #[error(
        "there is no time zone `{name}`: take a name such as `Europe/Berlin` or `UTC`, with its capitals"
    )]
    TimeZone {
        /// The name.
        name: String,
    },
    /// Parameters that the flow does not take.
    #[error("the {place} of deployment `{deployment}` do not fit flow `{flow}`: {problem}")]
    Parameters {
        /// The deployment.
        deployment: String,
        /// The flow.
        flow: String,
        /// Whose parameters: the deployment's, or a schedule's.
        place: &'static str,
        /// What is wrong with them.
        problem: String,
    },
    /// A run by schedule would lack a parameter.
    #[error(
        "deployment `{deployment}` has a schedule, but no value for `{parameter}` of flow `{flow}`: give it one with `.parameter(\"{parameter}\", ..)`, of the deployment or of the schedule"
    )]
    MissingParameter {
        /// The deployment.
        deployment: String,
        /// The flow.
        flow: String,
        /// The parameter.
        parameter: &'static str,
    },
    /// The flow is a changed copy, which no other process can have.
    #[error(
        "flow `{flow}` of deployment `{deployment}` has options that were changed at run time, and the process of a run knows only what `#[flow(..)]` says: write them there, or in a flow of their own"
    )]
    ChangedCopy {
        /// The flow.
        flow: String,
        /// The deployment.
        deployment: String,
    },
    /// Two deployments of one flow have the same name.
    #[error("flow `{flow}` has two deployments `{deployment}`: rename one of them")]
    Twice {
        /// The flow.
        flow: String,
        /// The deployment.
        deployment: String,
    },
    /// There is nothing to serve.
    #[error("there are no deployments to serve: give at least one")]
    Nothing,
    /// The deployment says who runs it, and it is somebody else.
    #[error(
        "deployment `{deployment}` belongs to work pool `{pool}`, whose workers run it: deploy it, or leave the pool out and serve it"
    )]
    OfPool {
        /// The deployment.
        deployment: String,
        /// The pool.
        pool: String,
    },
    /// The deployment does not say who runs it.
    #[error(
        "deployment `{deployment}` has no work pool: say `.work_pool(..)`, or serve it from this process"
    )]
    NoPool {
        /// The deployment.
        deployment: String,
    },
    /// There is no such work pool.
    #[error(
        "there is no work pool `{pool}` on the Prefect server: `prefect work-pool create {pool} --type process` makes it"
    )]
    UnknownPool {
        /// The pool.
        pool: String,
    },
    /// No server is named.
    #[error(
        "there is no Prefect server to tell of deployments: set PREFECT_API_URL, such as `http://127.0.0.1:4200/api`"
    )]
    NoServer,
    /// A process that starts this executable again gets this `main` again.
    #[error(
        "each run is a process of this executable, and only a program that begins with `#[flowcore::main]`, `flowcore::cli()` or `flowcore::init()` can be one: add it (tests under `cargo test` cannot)"
    )]
    NotInitialized,
    /// The server says no, or nothing.
    #[error("{0}")]
    Server(String),
}

impl From<ApiError> for DeploymentError {
    fn from(error: ApiError) -> Self {
        Self::Server(error.to_string())
    }
}

impl DeploymentError {
    /// The same as the error of users: all but the server's are calls that were
    /// wrong.
    pub(super) fn into_error(self) -> Error {
        let kind = match self {
            Self::Server(_) => ErrorKind::Other,
            _ => ErrorKind::Invalid,
        };
        let message = self.to_string();
        Error::build(kind, message).value(Box::new(self)).finish()
    }
}

/// Whether Prefect takes the name.
pub(super) fn check_name(what: &'static str, name: &str) -> Result<(), DeploymentError> {
    let problem = match refused(name) {
        Some(letter) => format!("has {} in it", shown(letter)),
        None if name.is_empty() => "is empty".to_owned(),
        None => return Ok(()),
    };
    let name = name.to_owned();
    Err(DeploymentError::Name {
        what,
        name,
        problem,
    })
}
