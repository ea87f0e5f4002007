//! A deployment as it is written in a program.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::{DeploymentError, check_name};
use super::schedule::{Schedule, check_timezone, written};
use crate::definition::{Definition, Description, ParameterError, ParameterErrors, flows};
use crate::error::Result;

/// How a flow is known to a Prefect server: under which name, with which
/// parameters, when it runs by itself.
///
/// `flow.serve(..)` registers it and executes its runs from this process;
/// `flow.deploy(..)` registers it for the workers of a
/// [work pool](Deployment::work_pool).
///
/// ```no_run
/// use flowcore::prelude::*;
/// use flowcore::Deployment;
///
/// #[flow]
/// async fn etl(day: String, limit: Option<u32>) -> usize { day.len() }
///
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// let nightly = Deployment::new("nightly")
///     .cron("0 6 * * *")
///     .timezone("Europe/Berlin")
///     .parameter("day", "yesterday")
///     .tags(["warehouse"]);
/// etl.serve(nightly).await
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a deployment does nothing until a flow is served or deployed with it"]
pub struct Deployment {
    pub(super) name: String,
    schedules: Vec<Schedule>,
    timezone: Option<String>,
    parameters: Map<String, Value>,
    tags: Vec<String>,
    version: Option<String>,
    description: Option<String>,
    paused: bool,
    concurrency_limit: Option<u32>,
    cancels_new: bool,
    enforces_schema: bool,
    pub(super) pool: Option<String>,
    queue: Option<String>,
    pub(super) job_variables: Map<String, Value>,
}

impl Deployment {
    /// A deployment of this name, without a schedule. A flow has one
    /// deployment of each name; registering it again changes it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            schedules: Vec::new(),
            timezone: None,
            parameters: Map::new(),
            tags: Vec::new(),
            version: None,
            description: None,
            paused: false,
            concurrency_limit: None,
            cancels_new: false,
            enforces_schema: true,
            pool: None,
            queue: None,
            job_variables: Map::new(),
        }
    }

    /// Runs by a cron expression of five fields, such as `0 6 * * mon-fri`.
    pub fn cron(self, expression: impl Into<String>) -> Self {
        self.schedule(Schedule::cron(expression))
    }

    /// Runs each time that this much has passed.
    pub fn interval(self, every: std::time::Duration) -> Self {
        self.schedule(Schedule::interval(every))
    }

    /// Runs by a recurrence rule, such as `FREQ=WEEKLY;BYDAY=MO,FR`.
    pub fn rrule(self, rule: impl Into<String>) -> Self {
        self.schedule(Schedule::rrule(rule))
    }

    /// Runs by this schedule, beside those it has.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedules.push(schedule);
        self
    }

    /// The time zone of schedules that name none. Default: UTC.
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.timezone = Some(name.into());
        self
    }

    /// The value of a parameter for runs that are given no other.
    ///
    /// # Panics
    ///
    /// The value cannot be written as JSON.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.parameters.insert(name.into(), written(&value));
        self
    }

    /// Values of parameters: something that is an object in JSON, such as
    /// `json!({"day": "monday"})`, a map or a structure.
    ///
    /// # Panics
    ///
    /// It cannot be written as JSON, or is no object there.
    pub fn parameters(mut self, parameters: impl Serialize) -> Self {
        match written(&parameters) {
            Value::Object(object) => self.parameters.extend(object),
            other => panic!("parameters are an object with an entry for each, not `{other}`"),
        }
        self
    }

    /// Tags of its runs.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Its version. Default: the flow's, if that has one.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// What it is for. Default: the flow's description.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Whether its schedules rest until somebody resumes it. Default: no.
    pub fn paused(mut self, paused: bool) -> Self {
        self.paused = paused;
        self
    }

    /// How many of its runs there may be at once, wherever they are executed;
    /// further ones wait on the server. Default: any number.
    pub fn concurrency_limit(mut self, limit: u32) -> Self {
        self.concurrency_limit = Some(limit);
        self
    }

    /// Cancels runs for which the [limit](Self::concurrency_limit) has no
    /// place, instead of letting them wait.
    pub fn cancel_over_limit(mut self) -> Self {
        self.cancels_new = true;
        self
    }

    /// Whether the server refuses parameters that the flow does not take.
    /// Default: yes. They never reach the flow either way.
    pub fn enforce_parameter_schema(mut self, enforce: bool) -> Self {
        self.enforces_schema = enforce;
        self
    }

    /// The work pool whose workers execute its runs: those of
    /// `prefect worker start --pool NAME --type process`, on machines that have
    /// this executable at the same place.
    pub fn work_pool(mut self, name: impl Into<String>) -> Self {
        self.pool = Some(name.into());
        self
    }

    /// The queue of the work pool. Default: the pool's own.
    pub fn work_queue(mut self, name: impl Into<String>) -> Self {
        self.queue = Some(name.into());
        self
    }

    /// A job variable of the work pool, such as `working_dir`.
    ///
    /// # Panics
    ///
    /// The value cannot be written as JSON.
    pub fn job_variable(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.job_variables.insert(name.into(), written(&value));
        self
    }
}

/// A flow with a deployment, for [`serve`](crate::serve); made by
/// `flow.to_deployment(..)`.
#[derive(Debug)]
#[must_use = "a deployment does nothing until it is served"]
pub struct FlowDeployment {
    pub(super) flow: Result<&'static dyn Definition, DeploymentError>,
    pub(super) plan: Deployment,
}

impl FlowDeployment {
    /// `is_changed`: the flow is a copy with options of its own.
    pub(crate) fn new(flow: &dyn Definition, is_changed: bool, plan: Deployment) -> Self {
        let flow = if is_changed {
            Err(DeploymentError::ChangedCopy {
                flow: flow.name().to_owned(),
                deployment: plan.name.clone(),
            })
        } else {
            // Two flows with one key are told when a program begins.
            flows()
                .and_then(|flows| flows.get(flow.key()))
                .map_err(|error| DeploymentError::Server(error.to_string()))
        };
        Self { flow, plan }
    }

    /// Of a flow as the program defines it.
    #[cfg(feature = "cli")]
    pub(crate) fn of_program(flow: &dyn Definition, plan: Deployment) -> Self {
        Self::new(flow, false, plan)
    }

    /// The flow and its deployment, if all that can be seen here is right.
    pub(super) fn checked(self) -> Result<Checked, DeploymentError> {
        let Self { flow, plan } = self;
        let flow = flow?;
        check_name("flow", flow.name())?;
        check_name("deployment", &plan.name)?;
        if let Some(pool) = &plan.pool {
            check_name("work pool", pool)?;
        }
        if let Some(queue) = &plan.queue {
            check_name("work queue", queue)?;
        }
        if let Some(timezone) = &plan.timezone {
            check_timezone(timezone)?;
        }
        for schedule in &plan.schedules {
            schedule.check()?;
        }
        let description = flow.describe();
        check_parameters(flow, &description, &plan)?;
        Ok(Checked {
            flow,
            description,
            plan,
        })
    }
}

/// Parameters of the deployment and its schedules: of types that the flow
/// takes, and none is missing when a schedule's time has come.
fn check_parameters(
    flow: &dyn Definition,
    description: &Description,
    plan: &Deployment,
) -> Result<(), DeploymentError> {
    let fits = |place, parameters: &Map<String, Value>| match unfit(flow, parameters) {
        None => Ok(()),
        Some(problem) => Err(DeploymentError::Parameters {
            deployment: plan.name.clone(),
            flow: flow.name().to_owned(),
            place,
            problem,
        }),
    };
    fits("parameters", &plan.parameters)?;
    for schedule in &plan.schedules {
        let own = schedule.own_parameters();
        fits("parameters of a schedule", own)?;
        let is_missing =
            |name: &str| !own.contains_key(name) && !plan.parameters.contains_key(name);
        let mut parameters = description.parameters.iter();
        let missing = parameters.find(|it| it.required && is_missing(it.name));
        if let Some(missing) = missing.filter(|_| schedule.is_active()) {
            return Err(DeploymentError::MissingParameter {
                deployment: plan.name.clone(),
                flow: flow.name().to_owned(),
                parameter: missing.name,
            });
        }
    }
    Ok(())
}

/// What is wrong with some of the flow's parameters.
fn unfit(flow: &dyn Definition, parameters: &Map<String, Value>) -> Option<String> {
    // Nothing runs: the call is dropped.
    let error = flow.call_json(Value::Object(parameters.clone())).err()?;
    let Some(errors) = error.downcast_ref::<ParameterErrors>() else {
        return Some(error.to_string());
    };
    let problems = errors.errors().iter();
    let problems = problems.filter(|problem| match problem {
        ParameterError::Missing { .. } => false,
        // Nobody gave it.
        ParameterError::Unreadable { name, .. } => parameters.contains_key(*name),
        _ => true,
    });
    let problems: Vec<_> = problems.map(ToString::to_string).collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// A deployment with nothing wrong that can be seen here.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) flow: &'static dyn Definition,
    pub(super) description: Description,
    pub(super) plan: Deployment,
}

impl Checked {
    /// `flow/name`, as Prefect's command line wants it.
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.flow.name(), self.plan.name)
    }

    /// What the server is told, beside flow and name.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let (plan, flow) = (&self.plan, &self.description);
        let text = plan.description.as_deref().unwrap_or(&flow.description);
        let schedules = plan.schedules.iter();
        let schedules = schedules.map(|it| it.to_json(plan.timezone.as_deref()));
        let mut body = Map::new();
        let mut say = |name: &str, value: Value| body.insert(name.to_owned(), value);
        say("description", text.into());
        say("tags", plan.tags.clone().into());
        say("parameters", plan.parameters.clone().into());
        say("paused", plan.paused.into());
        say("schedules", schedules.collect());
        say("enforce_parameter_schema", plan.enforces_schema.into());
        say(
            "parameter_openapi_schema",
            flow.parameter_openapi_schema.clone(),
        );
        say("job_variables", plan.job_variables.clone().into());
        if let Some(version) = plan.version.as_ref().or(flow.version.as_ref()) {
            say("version", version.as_str().into());
            let info = json!({"type": "prefect:simple", "version": version});
            say("version_info", info);
        }
        // Also without a limit: an earlier registration may have said one.
        say("concurrency_limit", plan.concurrency_limit.into());
        if plan.cancels_new {
            let options = json!({"collision_strategy": "CANCEL_NEW"});
            say("concurrency_options", options);
        }
        if let Some(pool) = &plan.pool {
            say("work_pool_name", pool.as_str().into());
        }
        if let Some(queue) = &plan.queue {
            say("work_queue_name", queue.as_str().into());
        }
        body
    }
}
