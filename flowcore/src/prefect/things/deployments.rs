//! Runs of deployments, whoever serves them.

use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::question::{NewDeploymentRun, Question};
use super::run_on_server::result_of;
use super::{PrefectError, ServerCall};
use crate::error::Result;

/// A run of a deployment, about to be asked for; see [`run_deployment`].
#[derive(Clone, Debug)]
#[must_use = "nothing runs until it is awaited"]
pub struct RunDeployment {
    new: NewDeploymentRun,
    problem: Option<String>,
}

/// Starts a run of any deployment (`flow/deployment`, a Python one too), waits
/// until it has ended and gives its state. Inside a flow it is shown as a
/// subflow.
///
/// ```no_run
/// # async fn example() -> flowcore::Result<()> {
/// use std::time::Duration;
///
/// use flowcore::run_deployment;
///
/// let run = run_deployment("etl/nightly", &serde_json::json!({"day": "monday"}))
///     .timeout(Duration::from_secs(600))
///     .await?;
/// run.into_result()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Awaiting it fails with a [`PrefectError`] if there is no such deployment, it
/// does not take the parameters, there is no server or it cannot be asked. A
/// run that fails is no error here: its state says so.
pub fn run_deployment(deployment: impl Into<String>, parameters: &impl Serialize) -> RunDeployment {
    let (parameters, problem) = match serde_json::to_value(parameters) {
        Ok(value @ Value::Object(_)) => (value, None),
        Ok(Value::Null) => (Value::Object(Map::new()), None),
        Ok(_) => (
            Value::Null,
            Some("they have to be an object, one key a parameter".to_owned()),
        ),
        Err(error) => (Value::Null, Some(error.to_string())),
    };
    RunDeployment {
        new: NewDeploymentRun {
            deployment: deployment.into(),
            parameters,
            run_name: None,
            tags: Vec::new(),
            timeout: None,
            poll_interval: Duration::from_secs(1),
            as_subflow: true,
            idempotency_key: Uuid::now_v7().to_string(),
        },
        problem,
    }
}

impl RunDeployment {
    /// The run's name. Default: the server makes one.
    pub fn flow_run_name(mut self, name: impl Into<String>) -> Self {
        self.new.run_name = Some(name.into());
        self
    }

    /// Tags of the run.
    pub fn tags<I: IntoIterator<Item: Into<String>>>(mut self, tags: I) -> Self {
        self.new.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Waits no longer than this, and then gives the state that the run has;
    /// zero does not wait at all. Default: until it has ended.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.new.timeout = Some(limit);
        self
    }

    /// How often it is looked at the run. Default: once a second.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.new.poll_interval = interval.max(Duration::from_millis(50));
        self
    }

    /// Whether the flow that asks shows it as a subflow. Default: yes.
    pub fn as_subflow(mut self, as_subflow: bool) -> Self {
        self.new.as_subflow = as_subflow;
        self
    }

    /// Waits in sync code; see [`ServerCall::block`].
    ///
    /// # Errors
    ///
    /// As awaiting it.
    pub fn block(self) -> Result<DeploymentRun> {
        self.call().block()
    }

    fn call(self) -> ServerCall<DeploymentRun> {
        let question = match self.problem {
            Some(problem) => Err(PrefectError::NotJson {
                what: "the parameters",
                problem,
            }),
            None => Ok(Question::RunDeployment(self.new)),
        };
        ServerCall::asking(question)
    }
}

impl IntoFuture for RunDeployment {
    type Output = Result<DeploymentRun>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        self.call().into_future()
    }
}

/// A run of a deployment, as it was when it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeploymentRun {
    /// The flow run's id on the server.
    pub id: Uuid,
    /// The flow run's name.
    pub name: String,
    /// The type of its state, such as `COMPLETED`.
    pub state_type: Option<String>,
    /// The name of its state, such as `Completed` or `Late`.
    pub state_name: Option<String>,
    /// The state's message.
    pub message: Option<String>,
}

impl DeploymentRun {
    /// Whether it did what it is for.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.state_type.as_deref() == Some("COMPLETED")
    }

    /// Nothing if it completed.
    ///
    /// # Errors
    ///
    /// If it failed, crashed, was cancelled or has not ended; the error names
    /// run and state.
    pub fn into_result(self) -> Result<()> {
        result_of(
            "flow run",
            &self.name,
            self.state_type.as_deref(),
            self.state_name.as_deref(),
            self.message.as_deref(),
        )
    }
}
