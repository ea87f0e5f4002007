//! `graph FLOW`: a picture of what it would submit.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, value_parser};

use super::{Ended, output, parameters};
use crate::definition::Definition;
use crate::error::{Error, Result};
use crate::report::{values_of, visualize};

pub(super) fn arguments() -> [Arg; 2] {
    [
        Arg::new("output")
            .long("output")
            .short('o')
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("The file to write; without it the picture goes to standard output"),
        Arg::new("format")
            .long("format")
            .value_parser(["svg", "dot"])
            .help("The form (default: what the file's name ends with, else dot)"),
    ]
}

pub(super) async fn print(flow: &dyn Definition, given: &ArgMatches) -> Result<Ended> {
    let file = given.get_one::<PathBuf>("output");
    let ending = file.and_then(|file| file.extension());
    let is_svg = match given.get_one::<String>("format") {
        Some(format) => format == "svg",
        None => ending.is_some_and(|ending| ending == "svg"),
    };
    let call = flow.call_json(parameters::read(flow, given)?)?;
    // The flow's code runs for it, and may print.
    let graph = match file {
        None => output::prints_aside(visualize(call)).await??,
        Some(_) => visualize(call).await?,
    };
    if let Some(values) = values_of(graph.asked_for()) {
        eprintln!(
            "nobody knows {values}, as no task runs: the picture shows what the flow does without"
        );
    }
    let text = if is_svg {
        graph.to_svg()
    } else {
        graph.to_dot()
    };
    match file {
        None => output::line(&text),
        Some(file) => write(file, &text)?,
    }
    Ok(Ended::Done)
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text)
        .map_err(|error| Error::msg(format!("cannot write {}: {error}", file.display())))
}
