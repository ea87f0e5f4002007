//! `serve` and `deploy`: from a program's deployments to the server's.

use std::collections::HashSet;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use uuid::Uuid;

use super::error::DeploymentError;
use super::plan::{Checked, Deployment, FlowDeployment};
use super::runner::{Runner, Served, Settings};
use super::scheduled::{Keeper, VARIABLE};
use super::server::Server;
use crate::definition::{Definition, Facts, FlowDefinition};
use crate::error::Result;
use crate::runtime::{self, AbortOnDrop};
use crate::settings;
use crate::signals::Drain;

/// What a flow can do with a Prefect server beside reporting its runs; every
/// `#[flow]` has it.
pub trait Deploy: Definition {
    /// The flow with a deployment, for [`serve`] with others.
    fn to_deployment(&self, deployment: Deployment) -> FlowDeployment;

    /// Registers a deployment and executes its runs, until the process is told
    /// to end. See [`serve`].
    ///
    /// ```no_run
    /// use flowcore::prelude::*;
    /// use flowcore::Deployment;
    ///
    /// #[flow]
    /// async fn etl(#[default(1)] n: u32) -> u32 { n }
    ///
    /// # #[flowcore::main]
    /// # async fn main() -> Result<()> {
    /// etl.serve(Deployment::new("nightly").cron("0 6 * * *")).await
    /// # }
    /// ```
    fn serve(&self, deployment: Deployment) -> Serve {
        serve([self.to_deployment(deployment)])
    }

    /// Registers a deployment whose runs the workers of its
    /// [work pool](Deployment::work_pool) execute: a stock
    /// `prefect worker start --pool NAME --type process` on a machine that has
    /// this executable at the same place.
    ///
    /// ```no_run
    /// use flowcore::prelude::*;
    /// use flowcore::Deployment;
    ///
    /// #[flow]
    /// async fn etl(#[default(1)] n: u32) -> u32 { n }
    ///
    /// # #[flowcore::main]
    /// # async fn main() -> Result<()> {
    /// let id = etl.deploy(Deployment::new("nightly").work_pool("warehouse")).await?;
    /// # let _ = id;
    /// # Ok(())
    /// # }
    /// ```
    fn deploy(&self, deployment: Deployment) -> Deploying {
        Deploying::of(self.to_deployment(deployment))
    }
}

/// The future of [`Deploy::deploy`]; gives the deployment's id.
#[derive(Debug)]
#[must_use = "nothing is deployed until it is awaited"]
pub struct Deploying(FlowDeployment);

impl Deploying {
    pub(crate) fn of(deployment: FlowDeployment) -> Self {
        Self(deployment)
    }
}

impl IntoFuture for Deploying {
    type Output = Result<Uuid>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { deploy(self.0).await.map_err(DeploymentError::into_error) })
    }
}

async fn deploy(deployment: FlowDeployment) -> Result<Uuid, DeploymentError> {
    let mut checked = deployment.checked()?;
    let Some(pool) = checked.plan.pool.clone() else {
        let deployment = checked.plan.name;
        return Err(DeploymentError::NoPool { deployment });
    };
    if !crate::mode::is_initialized() {
        return Err(DeploymentError::NotInitialized);
    }
    mark(&mut checked)?;
    let server = Server::of_process()?;
    let registered = server.register(&checked).await?;
    tracing::info!(
        target: "flowcore::prefect",
        "deployment '{}' is executed by workers of pool '{pool}'", checked.full_name()
    );
    Ok(registered.id)
}

/// What a worker starts: this executable, with our mark. What the deployment
/// says itself stays.
fn mark(checked: &mut Checked) -> Result<(), DeploymentError> {
    let mark = Keeper::Worker.mark(checked.flow.key());
    let variables = &mut checked.plan.job_variables;
    if !variables.contains_key("command") {
        let program = std::env::current_exe()
            .map_err(|error| DeploymentError::Server(format!("where am I? {error}")))?;
        let command = quoted(&program.to_string_lossy());
        variables.insert("command".to_owned(), command.into());
    }
    if !variables.contains_key("working_dir")
        && let Ok(directory) = std::env::current_dir()
    {
        let directory = directory.to_string_lossy().into_owned();
        variables.insert("working_dir".to_owned(), directory.into());
    }
    let environment = variables
        .entry("env")
        .or_insert_with(|| serde_json::Map::new().into());
    if let Some(environment) = environment.as_object_mut() {
        environment.insert(VARIABLE.to_owned(), mark.into());
    }
    Ok(())
}

/// A word for the shell-like splitting of workers.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@%,=".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

/// Registers deployments and executes their runs, each in a process of this
/// executable, until the process is told to end.
///
/// ```no_run
/// use flowcore::prelude::*;
/// use flowcore::Deployment;
///
/// #[flow]
/// async fn load(#[default(1)] n: u32) {}
///
/// #[flow]
/// async fn clean() {}
///
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// flowcore::serve([
///     load.to_deployment(Deployment::new("nightly").cron("0 6 * * *")),
///     clean.to_deployment(Deployment::new("by-hand")),
/// ])
/// .limit(2)
/// .await
/// # }
/// ```
///
/// The first SIGTERM or Ctrl-C lets what runs go on to its end, for
/// [a while](Serve::patience), and starts nothing new; the second ends it at
/// once.
///
/// # Errors
///
/// A deployment is wrong, or the server does not take it; see
/// [`DeploymentError`]. Once it serves, a server that is away is waited for.
pub fn serve(deployments: impl IntoIterator<Item = FlowDeployment>) -> Serve {
    Serve {
        deployments: deployments.into_iter().collect(),
        limit: None,
        grace: Duration::from_secs(30),
        patience: Duration::from_secs(60),
        pauses: true,
        every: None,
    }
}

/// What [`serve`] gives: options, and a future that ends when the process shall
/// end.
///
/// # Cancel safety
///
/// If it is dropped, its runs end with it, as Crashed.
#[derive(Debug)]
#[must_use = "nothing is served until it is awaited"]
pub struct Serve {
    deployments: Vec<FlowDeployment>,
    limit: Option<usize>,
    grace: Duration,
    patience: Duration,
    pauses: bool,
    every: Option<Duration>,
}

impl Serve {
    /// How many runs are executed at once. Default: what
    /// `PREFECT_RUNNER_PROCESS_LIMIT` says, else 5.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit.max(1));
        self
    }

    /// How long a run that is cancelled may take to end, before it is killed.
    /// Default: 30 seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long runs may go on when this process shall end. Default: a minute.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Whether the deployments are paused when this process ends, so that no
    /// runs pile up that nobody executes. Default: yes. Say no if several
    /// processes serve them.
    pub fn pause_on_shutdown(mut self, pause: bool) -> Self {
        self.pauses = pause;
        self
    }

    /// How often the server is asked for runs. Default: what
    /// `PREFECT_RUNNER_POLL_FREQUENCY` says, else 10 seconds.
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.every = Some(every.max(Duration::from_millis(100)));
        self
    }

    async fn run(self) -> Result<(), DeploymentError> {
        let settings = self.settings()?;
        let checked = self.checked()?;
        if !crate::mode::is_initialized() {
            return Err(DeploymentError::NotInitialized);
        }
        let server = Server::of_process()?;
        let mut served = Vec::with_capacity(checked.len());
        for one in &checked {
            let registered = server.register(one).await?;
            let name = one.full_name();
            tracing::info!(
                target: "flowcore::prefect",
                "serves '{name}'; `prefect deployment run '{name}'` starts a run"
            );
            served.push(Served {
                id: registered.id,
                flow_id: registered.flow_id,
                flow_name: one.flow.name().to_owned(),
                flow_key: one.flow.key(),
                name: one.plan.name.clone(),
            });
        }
        for one in &served {
            let page = format!("/deployments/deployment/{}", one.id);
            if let Some(page) = server.client().settings().page(&page) {
                tracing::info!(target: "flowcore::prefect", "{page}");
            }
        }
        let drain = Drain::begin();
        let runner = Runner::new(server, served, settings, drain.shared());
        let running = runtime::process_service().spawn(runner.run());
        // A dropped future ends the runner, and the runner its runs.
        let ended = AbortOnDrop::from(running).await.map_err(|error| {
            DeploymentError::Server(format!("what executes runs has ended: {error}"))
        });
        drop(drain);
        ended
    }

    fn settings(&self) -> Result<Settings, DeploymentError> {
        let chain = settings::of_process();
        let wrong = |error: settings::SettingError| DeploymentError::Server(error.to_string());
        let limit = match self.limit {
            Some(limit) => limit,
            None => chain
                .count("PREFECT_RUNNER_PROCESS_LIMIT", 5)
                .map_err(wrong)? as usize,
        };
        let every = match self.every {
            Some(every) => every,
            None => {
                let default = Duration::from_secs(10);
                chain
                    .seconds("PREFECT_RUNNER_POLL_FREQUENCY", default)
                    .map_err(wrong)?
            }
        };
        Ok(Settings {
            limit: limit.max(1),
            grace: self.grace,
            patience: self.patience,
            pauses: self.pauses,
            every: every.max(Duration::from_millis(100)),
        })
    }

    fn checked(self) -> Result<Vec<Checked>, DeploymentError> {
        if self.deployments.is_empty() {
            return Err(DeploymentError::Nothing);
        }
        let mut names = HashSet::new();
        let mut checked = Vec::with_capacity(self.deployments.len());
        for deployment in self.deployments {
            let one = deployment.checked()?;
            if let Some(pool) = one.plan.pool {
                return Err(DeploymentError::OfPool {
                    deployment: one.plan.name,
                    pool,
                });
            }
            if !names.insert(one.full_name()) {
                return Err(DeploymentError::Twice {
                    flow: one.flow.name().to_owned(),
                    deployment: one.plan.name,
                });
            }
            checked.push(one);
        }
        Ok(checked)
    }
}

impl IntoFuture for Serve {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run().await.map_err(DeploymentError::into_error) })
    }
}

impl<F> Deploy for F
where
    F: FlowDefinition + Definition,
{
    fn to_deployment(&self, deployment: Deployment) -> FlowDeployment {
        let is_changed = match self.defined().facts() {
            Facts::Flow(_, options) => options.is_changed(),
            Facts::Task(..) => false,
        };
        FlowDeployment::new(self, is_changed, deployment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schedule;
    use crate::prelude::*;
    use serde_json::{Value, json};

    /// Does it.
    #[flow(version = "3")]
    async fn nightly(day: String, limit: Option<u32>) {
        let _ = (day, limit);
    }

    fn refusal(deployment: Deployment) -> String {
        let checked = nightly.to_deployment(deployment).checked();
        checked.unwrap_err().to_string()
    }

    #[test]
    fn what_can_be_seen_to_be_wrong_is_told_without_a_server() {
        let new = || Deployment::new("d");
        for (deployment, part) in [
            (
                new().cron("0 25 * * *").parameter("day", "a"),
                "is no cron expression",
            ),
            (new().timezone("Nowhere"), "no time zone `Nowhere`"),
            (Deployment::new("a/b"), "`a/b` has `/` in it"),
            (Deployment::new(""), "is empty"),
            (
                new().parameter("limit", "many"),
                "`limit` is no `Option<u32>`",
            ),
            (new().parameter("limt", 1), "`limt` is no parameter"),
            (new().cron("0 6 * * *"), "no value for `day`"),
            (
                new().schedule(Schedule::cron("0 6 * * *").parameter("day", 7)),
                "`day` is no `String`",
            ),
        ] {
            let error = refusal(deployment);
            assert!(error.contains(part), "{part}: {error}");
        }
        let resting = Schedule::cron("0 6 * * *").active(false);
        assert!(
            nightly
                .to_deployment(new().schedule(resting))
                .checked()
                .is_ok()
        );
    }

    #[test]
    fn a_changed_copy_cannot_be_in_another_process() {
        let changed = nightly.with_options(|options| options.retries(3));
        let error = changed
            .to_deployment(Deployment::new("d"))
            .checked()
            .unwrap_err();
        assert!(
            matches!(error, DeploymentError::ChangedCopy { .. }),
            "{error}"
        );
    }

    #[test]
    fn deployments_say_what_prefects_do() {
        let deployment = Deployment::new("d")
            .schedule(Schedule::cron("0 6 * * *").parameter("limit", 1))
            .timezone("Europe/Berlin")
            .parameters(json!({"day": "monday"}))
            .tags(["a"])
            .concurrency_limit(2)
            .paused(true);
        let checked = nightly.to_deployment(deployment).checked().unwrap();
        let body = Value::from(checked.to_json());
        assert_eq!(body["version"], "3");
        assert_eq!(body["description"], "Does it.");
        assert_eq!(
            body["schedules"][0]["schedule"]["timezone"],
            "Europe/Berlin"
        );
        assert_eq!(body["parameters"], json!({"day": "monday"}));
        assert_eq!(
            (&body["paused"], &body["concurrency_limit"]),
            (&json!(true), &json!(2))
        );
        let schema = &body["parameter_openapi_schema"];
        assert_eq!(schema["properties"]["limit"]["position"], 1);
        assert_eq!(schema["required"], json!(["day"]));
    }

    #[test]
    fn what_workers_start_is_marked() {
        let deployment = Deployment::new("d")
            .work_pool("p")
            .job_variable("env", json!({"A": "1"}))
            .job_variable("working_dir", "/there");
        let mut checked = nightly.to_deployment(deployment).checked().unwrap();
        mark(&mut checked).unwrap();
        let variables = Value::from(checked.plan.job_variables);
        assert_eq!(variables["working_dir"], "/there");
        assert_eq!(variables["env"]["A"], "1");
        let expected = format!("deploy {}", nightly.key());
        assert_eq!(variables["env"][VARIABLE], expected.as_str());
        assert!(!variables["command"].as_str().unwrap().is_empty());
    }

    #[test]
    fn commands_survive_being_split() {
        assert_eq!(quoted("/app/my-flows"), "/app/my-flows");
        assert_eq!(quoted("/my app/it's"), r#"'/my app/it'"'"'s'"#);
    }
}
