//! `inspect FLOW`: what it is, and what it takes.

use clap::ArgMatches;

use super::{Ended, output};
use crate::definition::Definition;
use crate::error::Result;

pub(super) fn print(flow: &dyn Definition, given: &ArgMatches) -> Result<Ended> {
    let description = flow.describe();
    if given.get_flag("json") {
        output::json(&description)?;
    } else {
        output::line(&format!("{description}\n  schema"));
        let schema = serde_json::to_string_pretty(&description.parameter_openapi_schema)?;
        let lines = schema.lines().map(|line| format!("    {line}"));
        output::line(&lines.collect::<Vec<_>>().join("\n"));
    }
    Ok(Ended::Done)
}
