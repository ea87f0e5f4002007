//! `serve [FLOW..]` and `deploy FLOW`: flows that a Prefect server starts.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use jiff::SignedDuration;
use serde_json::Value;

use super::{Ended, flow, output, parameters, text};
use crate::definition::{Definition, flows};
use crate::error::{Error, Result};
use crate::prefect::{Deploying, Deployment, FlowDeployment, Schedule, serve as serve_all};

pub(super) fn commands() -> [Command; 2] {
    [
        Command::new("serve")
            .about("Register flows with a Prefect server and execute their runs, until a signal ends it")
            .arg(
                Arg::new("flow")
                    .value_name("FLOW")
                    .num_args(0..)
                    .help("Names or keys of flows (default: all of this program)"),
            )
            .args(of_deployment())
            .arg(
                Arg::new("limit")
                    .long("limit")
                    .value_name("COUNT")
                    .value_parser(value_parser!(u32).range(1..))
                    .help("How many runs are executed at once (default: PREFECT_RUNNER_PROCESS_LIMIT, else 5)"),
            ),
        Command::new("deploy")
            .about("Register a flow whose runs the workers of a work pool execute")
            .arg(
                Arg::new("flow")
                    .value_name("FLOW")
                    .required(true)
                    .help("The flow's name or key"),
            )
            .arg(
                Arg::new("pool")
                    .long("pool")
                    .value_name("POOL")
                    .required(true)
                    .help("The work pool, of the type `process`"),
            )
            .arg(
                Arg::new("queue")
                    .long("queue")
                    .value_name("QUEUE")
                    .help("The work pool's queue"),
            )
            .arg(
                Arg::new("job-variable")
                    .long("job-variable")
                    .value_name("NAME=VALUE")
                    .action(ArgAction::Append)
                    .help("A job variable of the pool, such as `working_dir=/app`; may be given again"),
            )
            .args(of_deployment()),
    ]
}

fn of_deployment() -> Vec<Arg> {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let schedule = |name, value, help| option(name, value, help).action(ArgAction::Append);
    let mut arguments = vec![
        option("name", "NAME", "The deployment's name").default_value("default"),
        schedule(
            "cron",
            "EXPRESSION",
            "Run by a cron expression, such as `0 6 * * mon-fri`",
        ),
        schedule(
            "interval",
            "DURATION",
            "Run each time that this much has passed, such as `10m`",
        ),
        schedule(
            "rrule",
            "RULE",
            "Run by a recurrence rule, such as `FREQ=WEEKLY;BYDAY=MO`",
        ),
        option(
            "timezone",
            "ZONE",
            "The time zone of schedules, such as `Europe/Berlin` (default: UTC)",
        ),
        option("tag", "TAG", "A tag of the runs; may be given again").action(ArgAction::Append),
        option(
            "version",
            "VERSION",
            "The deployment's version (default: the flow's)",
        ),
        option(
            "description",
            "TEXT",
            "What it is for (default: the flow's description)",
        ),
        option(
            "concurrency-limit",
            "COUNT",
            "How many of its runs there may be at once",
        )
        .value_parser(value_parser!(u32).range(1..)),
        option(
            "paused",
            "",
            "Let the schedules rest until somebody resumes it",
        )
        .action(ArgAction::SetTrue),
    ];
    arguments.extend(parameters::arguments());
    arguments
}

pub(super) async fn serve(given: &ArgMatches) -> Result<Ended> {
    let named = given.get_many::<String>("flow").into_iter().flatten();
    let named = named.map(|name| flows()?.get(name));
    let mut served = named.collect::<Result<Vec<_>>>()?;
    if served.is_empty() {
        served = flows()?.iter().collect();
    }
    let has_parameters = given.contains_id("param") || given.contains_id("params");
    if let ([_, _, ..], true) = (&served[..], has_parameters) {
        return Err(Error::invalid(
            "parameters belong to one flow: serve it alone, or several without parameters",
        ));
    }
    let deployments = served
        .into_iter()
        .map(|flow| Ok(FlowDeployment::of_program(flow, plan(flow, given)?)))
        .collect::<Result<Vec<_>>>()?;
    let mut serving = serve_all(deployments);
    if let Some(limit) = given.get_one::<u32>("limit") {
        serving = serving.limit(*limit as usize);
    }
    serving.await?;
    Ok(Ended::Done)
}

pub(super) async fn deploy(given: &ArgMatches) -> Result<Ended> {
    let flow = flow(given)?;
    let mut plan = plan(flow, given)?.work_pool(text(given, "pool"));
    if let Some(queue) = given.get_one::<String>("queue") {
        plan = plan.work_queue(queue);
    }
    for variable in given
        .get_many::<String>("job-variable")
        .into_iter()
        .flatten()
    {
        let Some((name, value)) = variable.split_once('=') else {
            return Err(Error::invalid(format!(
                "`--job-variable {variable}` has no value: write `--job-variable {variable}=VALUE`"
            )));
        };
        let json = serde_json::from_str::<Value>(value);
        plan = plan.job_variable(name, json.unwrap_or_else(|_| value.into()));
    }
    let id = Deploying::of(FlowDeployment::of_program(flow, plan)).await?;
    output::line(&id.to_string());
    Ok(Ended::Done)
}

/// The deployment that a command describes.
fn plan(flow: &dyn Definition, given: &ArgMatches) -> Result<Deployment> {
    let many = |name: &str| given.get_many::<String>(name).into_iter().flatten();
    let one = |name: &str| given.get_one::<String>(name).cloned();
    let mut plan = Deployment::new(text(given, "name"))
        .tags(many("tag"))
        .paused(given.get_flag("paused"))
        .parameters(parameters::read(flow, given)?);
    for expression in many("cron") {
        plan = plan.cron(expression);
    }
    for duration in many("interval") {
        plan = plan.schedule(Schedule::interval(interval(duration)?));
    }
    for rule in many("rrule") {
        plan = plan.rrule(rule);
    }
    if let Some(zone) = one("timezone") {
        plan = plan.timezone(zone);
    }
    if let Some(version) = one("version") {
        plan = plan.version(version);
    }
    if let Some(description) = one("description") {
        plan = plan.description(description);
    }
    if let Some(limit) = given.get_one::<u32>("concurrency-limit") {
        plan = plan.concurrency_limit(*limit);
    }
    Ok(plan)
}

/// `10m`, `1h 30m`, or a number of seconds.
fn interval(text: &str) -> Result<Duration> {
    let seconds = text.parse().ok();
    let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let read = || Duration::try_from(text.parse::<SignedDuration>().ok()?).ok();
    seconds.or_else(read).ok_or_else(|| {
        Error::invalid(format!(
            "`--interval {text}` is no duration: write one such as `30s`, `10m` or `1h 30m`"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_as_people_write_them() {
        for (text, seconds) in [("30s", 30), ("10m", 600), ("1h 30m", 5400), ("5", 5)] {
            assert_eq!(interval(text).unwrap().as_secs(), seconds, "{text}");
        }
        for text in ["soon", "-5s", "", "-1"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
