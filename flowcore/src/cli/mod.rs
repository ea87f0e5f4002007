//! The program as its own command line: what is in it, and how it is run by
//! name.
//!
//! Standard output holds what was asked for and nothing else, so that it can
//! go into a file or another program; lines of runs and problems are on
//! standard error. Exit codes: 0 done, 1 failed, 2 the command was wrong.

#[cfg(feature = "prefect")]
mod deployments;
mod graph;
mod inspect;
mod list;
mod output;
mod parameters;
#[cfg(feature = "prefect")]
mod replay;
mod run;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind as UsageKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::definition::{Definition, flows, tasks};
use crate::entry;
use crate::error::{Error, ErrorKind, Result};
use crate::mode::{ModeCommand, commands};

/// The program's arguments as commands: `run FLOW --param day=monday`,
/// `flows`, `tasks`, `inspect FLOW`, `graph FLOW`, `serve [FLOW..]`, `deploy FLOW`
/// and `replay` for a Prefect server, and those that bridges bring, such as
/// `worker` with `flowdask`. `--help` lists them.
///
/// It is the whole of a `main`, gets the process ready as [`init`](crate::init())
/// does, and gives the exit code: 0 if all went well, 1 if a run did not
/// complete, 2 if the command was wrong.
///
/// ```no_run
/// use flowcore::prelude::*;
///
/// #[flow]
/// async fn greet(name: String) -> String { format!("Hello, {name}!") }
///
/// fn main() -> std::process::ExitCode {
///     flowcore::cli()
/// }
/// ```
///
/// `#[flowcore::main(cli)]` does the same, and something of its own if there
/// are no arguments.
#[must_use = "it is the program's exit code"]
pub fn cli() -> ExitCode {
    ExitCode::from(begin(true))
}

/// What `#[flowcore::main(cli)]` calls: commands, or without any `main`.
#[doc(hidden)]
pub fn run_main_or_command<F: Future>(
    aborts: bool,
    signals: bool,
    is_empty: bool,
    main: F,
) -> F::Output {
    if std::env::args_os().len() > 1 || is_empty {
        if aborts {
            return entry::run_main(aborts, signals, main);
        }
        drop(main);
        std::process::exit(begin(signals).into());
    }
    entry::run_main(aborts, signals, main)
}

fn begin(signals: bool) -> u8 {
    if let Err(error) = entry::prepare(cfg!(panic = "abort"), signals) {
        eprintln!("error: {error}");
        return Ended::Misused.code();
    }
    let ended = entry::block_on_main(perform(std::env::args_os()));
    ended.code()
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Done,
    Failed,
    Misused,
}

impl Ended {
    const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Misused => 2,
        }
    }
}

async fn perform(arguments: impl IntoIterator<Item = OsString>) -> Ended {
    let given = match command().try_get_matches_from(arguments) {
        Ok(given) => given,
        Err(error) => {
            // Help goes to standard output, and nobody may read it.
            let _ = error.print();
            return match error.kind() {
                UsageKind::DisplayHelp | UsageKind::DisplayVersion => Ended::Done,
                _ => Ended::Misused,
            };
        }
    };
    match dispatch(&given).await {
        Ok(ended) => ended,
        Err(error) => {
            output::problem(&error);
            match error.kind() {
                ErrorKind::Invalid => Ended::Misused,
                _ => Ended::Failed,
            }
        }
    }
}

async fn dispatch(given: &ArgMatches) -> Result<Ended> {
    let (name, given) = given
        .subcommand()
        .ok_or_else(|| Error::invalid("a command is missing; `--help` lists them"))?;
    match name {
        "run" => run::run(given).await,
        "flows" => list::print(flows()?, given),
        "tasks" => list::print(tasks()?, given),
        "inspect" => inspect::print(flow(given)?, given),
        "graph" => graph::print(flow(given)?, given).await,
        #[cfg(feature = "prefect")]
        replay::NAME => replay::run().await,
        #[cfg(feature = "prefect")]
        "serve" => deployments::serve(given).await,
        #[cfg(feature = "prefect")]
        "deploy" => deployments::deploy(given).await,
        _ => enter_mode(name, given),
    }
}

fn enter_mode(name: &str, given: &ArgMatches) -> Result<Ended> {
    let Some(command) = commands::all().find(|command| command.name == name) else {
        return Err(Error::invalid(format!("there is no command `{name}`")));
    };
    let options = command.options.iter().filter_map(|(option, _)| {
        let value = given.get_one::<String>(option)?;
        Some((*option, value.clone()))
    });
    let options: Vec<_> = options.collect();
    commands::enter(command, &text(given, "argument"), &options)?;
    Ok(Ended::Done)
}

/// The flow that a command names.
fn flow(given: &ArgMatches) -> Result<&'static dyn Definition> {
    flows()?.get(&text(given, "flow"))
}

/// A required argument.
fn text(given: &ArgMatches, name: &str) -> String {
    given.get_one::<String>(name).cloned().unwrap_or_default()
}

fn command() -> Command {
    let flow = || Arg::new("flow").value_name("FLOW").required(true);
    let json = || {
        Arg::new("json")
            .long("json")
            .action(ArgAction::SetTrue)
            .help("Print JSON, for other programs")
    };
    // Help and errors name the file that was started.
    let mut command = Command::new("program")
        .about("Flows and tasks of this program")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("run")
                .about("Run a flow and print its value")
                .arg(flow().help("The flow's name or key"))
                .args(parameters::arguments())
                .arg(json()),
        )
        .subcommand(
            Command::new("flows")
                .about("List the flows of this program")
                .arg(json()),
        )
        .subcommand(
            Command::new("tasks")
                .about("List the tasks of this program")
                .arg(json()),
        )
        .subcommand(
            Command::new("inspect")
                .about("Print what is known of a flow, and the schema of its parameters")
                .arg(flow().help("The flow's name or key"))
                .arg(json()),
        )
        .subcommand(
            Command::new("graph")
                .about("Draw what a flow would submit, without running its tasks")
                .arg(flow().help("The flow's name or key"))
                .args(parameters::arguments())
                .args(graph::arguments()),
        );
    #[cfg(feature = "prefect")]
    {
        command = command
            .subcommand(replay::command())
            .subcommands(deployments::commands());
    }
    for mode in commands::all() {
        command = command.subcommand(of_mode(mode));
    }
    command
}

fn of_mode(mode: &'static ModeCommand) -> Command {
    let options = mode.options.iter().map(|(option, help)| {
        Arg::new(*option)
            .long(*option)
            .value_name("VALUE")
            .help(*help)
    });
    let argument = Arg::new("argument")
        .value_name(mode.argument)
        .required(true);
    Command::new(mode.name)
        .about(mode.about)
        .arg(argument)
        .args(options)
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn the_commands_fit_together() {
        command().debug_assert();
    }
}
