//! `flows` and `tasks`: what is in the program.

use clap::ArgMatches;
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::{Ended, output};
use crate::definition::{Definition, Definitions, Description};
use crate::error::Result;

pub(super) fn print(definitions: &Definitions, given: &ArgMatches) -> Result<Ended> {
    let all: Vec<_> = definitions.iter().map(Definition::describe).collect();
    if given.get_flag("json") {
        output::json(&all)?;
    } else {
        output::line(&table(&all));
    }
    Ok(Ended::Done)
}

fn table(all: &[Description]) -> String {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_header(["NAME", "PARAMETERS", "DESCRIPTION", "KEY"]);
    for description in all {
        let what = description.description.lines().next().unwrap_or_default();
        table.add_row([
            description.name.as_str(),
            &parameters(description),
            what,
            description.key,
        ]);
    }
    let lines = table.lines().map(|line| line.trim().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// `day: String, limit?: u32`
fn parameters(description: &Description) -> String {
    let parameters = description.parameters.iter().map(|parameter| {
        let mark = if parameter.required { "" } else { "?" };
        format!("{}{mark}: {}", parameter.name, parameter.type_name)
    });
    parameters.collect::<Vec<_>>().join(", ")
}
